"""The calls of the routes on experiments, one function a route."""

from collections.abc import Mapping
from typing import Literal

from foldin.client.experiments import Experiment, ExperimentOutcome
from foldin.client.reading import Call, read_as

__all__ = ["experiment", "experiments"]


def experiments(*, limit: int = 100) -> Call[tuple[Experiment, ...]]:
    """The experiments, newest first: each split of users between models is one, until the split changes.

    Args:
        limit: maximum number of experiments.
    """
    read = read_as(tuple[Experiment, ...], "experiments")
    return Call(method="GET", route="/v1/experiments", read=read, query={"limit": limit}, repeatable=True)


def experiment(
    experiment_id: int,
    *,
    window: int = 86_400,
    weights: Mapping[str, float] | None = None,
    measure: Literal["users", "events"] = "users",
    level: float = 0.95,
    margin: float = 0.0,
    control: str | None = None,
) -> Call[ExperimentOutcome]:
    """The outcome of an experiment so far: its arms, and their differences with intervals that may be looked at any time.

    The unit is the user. A user's outcome is what came of the experiment's lists within the window after the user's first list:
    events on items that were listed to the user before. It counts once the window is over.

    Args:
        experiment_id: id of the experiment, as `experiments` gives it.
        window: seconds after a user's first list within which events count.
        weights: weight of an event by its kind, others weighing 0; None for a weight of 1 of every event.
        measure: outcome of a user: `users`, whether there is an event with a weight, with exact intervals; `events`, the sum of
            the weights, with intervals that hold for many users.
        level: probability with which all intervals hold at all times.
        margin: largest loss that does not matter, in units of the outcome.
        control: arm with which the others are compared; the first by name if None.
    """
    named = None if weights is None else [f"{kind}:{weight!r}" for kind, weight in weights.items()]
    return Call(
        method="GET",
        route="/v1/experiments/{id}",
        read=read_as(ExperimentOutcome),
        values={"id": str(experiment_id)},
        query={
            "window": window,
            "weight": named,
            "measure": measure,
            "level": level,
            "margin": margin,
            "control": control,
        },
        repeatable=True,
    )
