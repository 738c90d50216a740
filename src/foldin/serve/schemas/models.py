"""Schemas of the models in service, of their deployment, and of the log of changes."""

from typing import Any

from pydantic import BaseModel, Field

from foldin.serve.schemas.common import NAME, Strict

__all__ = ["ChangeOut", "ChangesOut", "DeployRequest", "DeploymentOut", "ModelOut", "ModelsOut", "SplitRequest"]


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
    attribute_kinds: dict[str, str] = Field(
        description="Type of the values of each of these features: `number`, `truth`, `text`, `date` or `other`."
    )
    refused: dict[str, str] = Field(
        description="Values of `explore` that the model refuses, with the reason; empty if it accepts all."
    )
    repeats: str = Field(
        description="Which of several events of a user with one item is used: `first`, `last`, `first-of-kind`, or all of them "
        "(`keep`); then items of the history are listed unless a request says otherwise."
    )


class DeploymentOut(BaseModel):
    """What the database says of a model, and whether the process that answered serves it."""

    name: str = Field(description="Name in requests and logs.")
    generation: int = Field(
        description="Number of times that the name was given a run, rolled back or retired; send it with a change, which is "
        "then refused if there was another one since. It is not the generation that `foldin runs list` shows, which numbers the "
        "trainings in a folder and is the end of `run`."
    )
    run: str = Field(
        description="Folder or URL of the run that is to serve; it ends with `generations/` and the number of its training if "
        "the folder keeps several."
    )
    wanted: str | None = Field(description="Digest of the run that is to serve; null for a retired model.")
    serving: str | None = Field(
        description="Digest of the run that serves in the process that answered; null for none."
    )
    problem: str | None = Field(
        description="Why the process that answered does not serve the wanted run; null if it does, or is loading it."
    )
    previous: str | None = Field(description="Digest of the run that a roll back restores; null if there is none.")
    default: bool = Field(description="Whether this is the default model, for requests that do not choose one.")
    share: float | None = Field(
        description="Share of the users that a split assigns to this model; null without a split."
    )
    retired: bool = Field(description="Whether the model is out of service.")
    changed: int = Field(description="Time of the newest change, in seconds since 1970.")


class ModelsOut(BaseModel):
    """The models in service."""

    models: list[ModelOut] = Field(
        description="Models that the process that answered serves, in the order of their names."
    )
    deployments: list[DeploymentOut] = Field(
        description="Models that all processes are to serve, in the order of their names; retired ones included."
    )
    revision: int = Field(description="Number of changes so far, the same in all processes.")


class ChangeOut(BaseModel):
    """A change of the models in service."""

    revision: int = Field(description="Number of the change.")
    time: int = Field(description="Seconds since 1970.")
    key: str = Field(
        description="Name of the key that asked for it; `anybody` without keys, `command line` or `watch` for the service itself."
    )
    action: str = Field(description="One of `deploy`, `rollback`, `default`, `split` and `retire`.")
    model: str | None = Field(description="Name of the model; null for a split.")
    before: dict[str, Any] = Field(
        description="The models that changed, by name, as they were before; null for a model that did not exist."
    )
    after: dict[str, Any] = Field(description="The models that changed, by name, as they were afterwards.")


class ChangesOut(BaseModel):
    """The log of changes."""

    changes: list[ChangeOut] = Field(description="Newest first.")


class DeployRequest(Strict):
    """A run to deploy."""

    run: str = Field(
        min_length=1,
        max_length=1000,
        description="Folder or URL of the run, below one that the service may read.",
    )
    name: str | None = Field(
        default=None,
        min_length=1,
        max_length=NAME,
        pattern=r"^[\w.-]+$",
        description="Name in service; the last part of the run's address if omitted.",
    )
    default: bool = Field(
        default=False, description="Whether to make it the default model, for requests that do not choose one."
    )
    generation: int | None = Field(
        default=None,
        ge=0,
        lt=2**63,
        description="Generation that the model must have, 0 if there must be none of that name; another one is refused with 409.",
    )


class SplitRequest(Strict):
    """The split of users between models; an empty one ends the split."""

    shares: dict[str, float] = Field(
        max_length=10, description="Share of users by name of the model; the shares must sum to 1."
    )
    revision: int | None = Field(
        default=None, ge=0, lt=2**63, description="Revision that must be the newest; another one is refused with 409."
    )
