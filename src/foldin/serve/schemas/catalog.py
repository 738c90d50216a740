"""Schemas of items, of models in service, and of their deployment."""

from pydantic import BaseModel, Field

from foldin.serve.schemas.common import NAME, Strict

__all__ = ["DeployRequest", "ItemOut", "ItemsOut", "ModelOut", "ModelsOut", "SplitRequest"]


class ItemOut(BaseModel):
    """An item of the catalog."""

    item: str = Field(description="External id.")
    title: str = Field(description="Title of the item.")
    count: int = Field(description="Training events.")
    similarity: float | None = Field(default=None, description="Cosine similarity of the item vectors.")


class ItemsOut(BaseModel):
    """Items, best first."""

    items: list[ItemOut] = Field(description="Items, best first.")


class ModelOut(BaseModel):
    """A model in service."""

    name: str = Field(description="Name in requests and logs.")
    kind: str = Field(description="Kind of model, as in `foldin models`.")
    run: str = Field(description="Digest of the run.")
    items: int = Field(description="Number of items in the model's catalog.")
    has_likelihood: bool = Field(description="Whether lists have probabilities instead of scores.")
    has_posterior: bool = Field(
        description="Whether the model has a posterior, for Thompson sampling and uncertainties."
    )
    default: bool = Field(description="Whether this is the default model, for requests that do not choose one.")
    share: float | None = Field(
        description="Share of the users that a split assigns to this model; null without a split."
    )
    can_roll_back: bool = Field(description="Whether a previous model of this name can be restored.")
    waiting: int = Field(description="Number of requests in the model's queue.")
    attributes: list[str] = Field(description="Names of the features of items that filters may use.")
    repeats: str = Field(
        description="Which of several events of a user with one item is used: `first`, `last`, or `first-of-kind`."
    )


class ModelsOut(BaseModel):
    """The models in service."""

    models: list[ModelOut] = Field(description="Models in the order of their names.")


class DeployRequest(Strict):
    """A run to deploy."""

    run: str = Field(
        min_length=1,
        max_length=1000,
        description="Path of the run directory, inside a folder that the service may read.",
    )
    name: str | None = Field(
        default=None,
        min_length=1,
        max_length=NAME,
        pattern=r"^[\w.-]+$",
        description="Name in service; the name of the run directory if omitted.",
    )
    default: bool = Field(
        default=False, description="Whether to make it the default model, for requests that do not choose one."
    )


class SplitRequest(Strict):
    """The split of users between models; an empty one ends the split."""

    shares: dict[str, float] = Field(
        max_length=10, description="Share of users by name of the model; the shares must sum to 1."
    )
