"""Schemas of experiments: splits of users between models, and what came of them."""

from typing import Literal

from pydantic import BaseModel, Field

__all__ = ["ArmOut", "DifferenceOut", "ExperimentOut", "ExperimentOutcomeOut", "ExperimentsOut", "LookOut"]


class ExperimentOut(BaseModel):
    """An experiment: a split of users between models, from its change to the next change of the split."""

    id: int = Field(description="Revision of the change that made the split.")
    key: str = Field(description="Name of the key that made it.")
    start: int = Field(description="Time of its start, in seconds since 1970.")
    end: int | None = Field(description="Time of its end; null while it lasts.")
    shares: dict[str, float] = Field(description="Planned share of the users by name of the model, which is the arm.")


class ExperimentsOut(BaseModel):
    """The experiments."""

    experiments: list[ExperimentOut] = Field(description="Newest first.")


class ArmOut(BaseModel):
    """An arm of an experiment."""

    model: str = Field(description="Name of the model.")
    share: float = Field(description="Planned share of the users.")
    users: int = Field(description="Number of users who were answered with a logged list.")
    counted: int = Field(description="Number of these whose window is over, so that their outcome is known.")
    mean: float | None = Field(description="Mean outcome of the counted users; null without one.")
    lists: int = Field(description="Number of logged lists.")
    empty_lists: float | None = Field(description="Share of the lists without an item; null without a list.")
    elsewhere: float | None = Field(
        description="Share of the lists that another model answered, because that of the arm was not in service."
    )
    runs: list[str] = Field(
        description="Digests of the runs that answered; several if the model was deployed anew meanwhile."
    )


class LookOut(BaseModel):
    """The difference of two arms as it was known at a time."""

    time: int = Field(description="Seconds since 1970.")
    users: int = Field(description="Number of users of both arms whose outcome was known.")
    difference: float | None = Field(
        description="Difference of the mean outcomes; null while an arm has no counted user."
    )
    low: float | None = Field(description="Lower end of the interval; null while there is none.")
    high: float | None = Field(description="Upper end of the interval; null while there is none.")


class DifferenceOut(BaseModel):
    """The difference of an arm to the control."""

    arm: str = Field(description="Name of the arm's model.")
    difference: float | None = Field(
        description="Mean outcome of the arm minus that of the control; null while one of them has no counted user."
    )
    low: float | None = Field(description="Lower end of the interval; null while there are too few users.")
    high: float | None = Field(description="Upper end of the interval; null while there are too few users.")
    level: float = Field(description="Level of the interval, which holds at all looks together.")
    verdict: str = Field(
        description="`better` if the interval lies above −margin, `worse` if it lies below, otherwise `undecided`."
    )
    sentence: str = Field(description="The verdict and its reason.")
    looks: list[LookOut] = Field(description="The difference along the time, oldest first; at most 50 looks.")


class ExperimentOutcomeOut(BaseModel):
    """What came of an experiment so far."""

    experiment: ExperimentOut = Field(description="The experiment.")
    control: str = Field(description="Arm with which the others are compared.")
    measure: Literal["users", "events"] = Field(
        description="Outcome of a user: `users`, whether there is an event with a weight; `events`, the sum of the weights."
    )
    window: int = Field(description="Seconds after a user's first list within which events count.")
    margin: float = Field(description="Largest loss that does not matter.")
    arms: list[ArmOut] = Field(description="The arms, in the order of their names.")
    differences: list[DifferenceOut] = Field(description="The other arms compared with the control.")
    ratio_p_value: float | None = Field(
        description="p-value, valid at any time, of the hypothesis that users were assigned in the planned shares; null for "
        "a single arm."
    )
    mismatch: bool = Field(
        description="Whether that p-value is at most 0.01: then the arms cannot be compared, and every verdict is `undecided`."
    )
