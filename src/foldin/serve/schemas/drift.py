"""Schemas of the drift of the models in service."""

from pydantic import BaseModel, Field

__all__ = ["DriftOut", "DriftsOut", "LikelihoodOut"]


class LikelihoodOut(BaseModel):
    """Log-likelihood of the items that known users took for the first time in a period, in nats per item."""

    users: int = Field(description="Number of users.")
    mean: float = Field(description="Mean over users of the mean over their new items.")
    low: float | None = Field(description="Lower end of the 95 % interval; null for too few users.")
    high: float | None = Field(description="Upper end of the 95 % interval; null for too few users.")
    popularity: float = Field(
        description="The same mean if every item has the probability of its share of the training events."
    )
    error: float | None = Field(description="Standard error of the mean; null for a single user.")


class DriftOut(BaseModel):
    """How far the latest events are from what a model was trained on, for a sample of users."""

    model: str = Field(description="Name of the model.")
    run: str = Field(description="Digest of the run that served.")
    time: int = Field(description="Time of the measurement, in seconds since 1970.")
    since: int = Field(description="Time from which on events are the latest ones, in seconds since 1970.")
    events: int = Field(description="Number of latest events.")
    users: int = Field(description="Number of users with latest events.")
    new_users: float = Field(description="Share of these users without an earlier event.")
    unknown_items: float = Field(
        description="Share of the latest events with items that are not in the model's catalog."
    )
    age: float | None = Field(
        description="Days between the newest event that the model was trained on and the newest event; null if unknown."
    )
    likelihood: LikelihoodOut | None = Field(
        description="Log-likelihood of the latest events; null for a model without a density, or with nothing to measure."
    )
    first: LikelihoodOut | None = Field(
        description="The same on the first period after training; null if the events do not hold it."
    )
    fall: tuple[float, float, float] | None = Field(
        description="Mean and 95 % interval of the fall of the log-likelihood since then, in nats per item."
    )
    alarms: list[str] = Field(description="What exceeds its limit, a sentence each.")


class DriftsOut(BaseModel):
    """The measurements of the models in service."""

    drift: list[DriftOut] = Field(description="The measurements, model by model, newest first.")
