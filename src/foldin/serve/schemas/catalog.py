"""Items, models in service, and what may be done with them."""

from pydantic import BaseModel, Field

from foldin.serve.schemas.common import NAME, Strict

__all__ = ["DeployRequest", "ItemOut", "ItemsOut", "ModelOut", "ModelsOut", "SplitRequest"]


class ItemOut(BaseModel):
    """An item of the catalog."""

    item: str = Field(description="External id.")
    title: str = Field(description="Title of the item.")
    count: int = Field(description="Training events.")
    similarity: float | None = Field(default=None, description="Cosine of the item vectors.")


class ItemsOut(BaseModel):
    """Items, best first."""

    items: list[ItemOut] = Field(description="Items, best first.")


class ModelOut(BaseModel):
    """A model in service."""

    name: str = Field(description="Name in requests and logs.")
    kind: str = Field(description="Which of the models of foldin.")
    run: str = Field(description="Digest of the run.")
    items: int = Field(description="Number of items in its catalog.")
    has_likelihood: bool = Field(description="Whether it gives probabilities.")
    has_posterior: bool = Field(description="Whether it can explore by Thompson sampling, and say how sure it is.")
    default: bool = Field(description="Whether it answers who names no model.")
    share: float | None = Field(description="Share of the users whose requests name no model, while a split is on.")
    can_roll_back: bool = Field(description="Whether something served under this name before.")
    waiting: int = Field(description="Requests in its queue.")
    attributes: list[str] = Field(description="Features of the catalog that filters may ask for.")
    repeats: str = Field(
        description="Which of a user's events with one item count: `first`, `last`, or `first-of-kind`."
    )


class ModelsOut(BaseModel):
    """The models in service."""

    models: list[ModelOut] = Field(description="Models in the order of their names.")


class DeployRequest(Strict):
    """A run to put in service."""

    run: str = Field(
        min_length=1, max_length=1000, description="Its folder, inside the folders that the service may read."
    )
    name: str | None = Field(
        default=None,
        min_length=1,
        max_length=NAME,
        pattern=r"^[\w.-]+$",
        description="Name in service; that of the folder when left out.",
    )
    default: bool = Field(default=False, description="Whether it answers who names no model.")


class SplitRequest(Strict):
    """Who is served by which model; empty ends the test."""

    shares: dict[str, float] = Field(
        max_length=10, description="Share of the users by name of the model; shares sum to 1."
    )
