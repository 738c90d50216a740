"""Experiments: splits of users between models, and what came of them."""

import math
from dataclasses import asdict
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Path, Query
from starlette.exceptions import HTTPException

from foldin.errors import ConfigError
from foldin.serve.api.access import Access
from foldin.serve.engine.experiments import (
    Difference,
    ExperimentOutcome,
    Measure,
    Outcomes,
    decision_of,
    experiment_outcome,
)
from foldin.serve.engine.service import Service
from foldin.serve.schemas import (
    ArmOut,
    DifferenceOut,
    ExperimentOut,
    ExperimentOutcomeOut,
    ExperimentsOut,
    LookOut,
)
from foldin.serve.storage.experiments import ExperimentStore, SplitPeriod

__all__ = ["experiments"]

_YEAR = 366 * 86_400


def experiments(service: Service, access: Access) -> APIRouter:
    """`/v1/experiments` and `/v1/experiments/{id}`."""
    router = APIRouter(tags=["experiments"], dependencies=access.after("read"))
    store = ExperimentStore(service.events.engine)

    @router.get("/v1/experiments")
    def listed(
        limit: Annotated[int, Query(ge=1, le=1000, description="Maximum number of experiments.")] = 100,
    ) -> ExperimentsOut:
        """List the experiments, newest first. Each split of users between models is one, until the split changes."""
        return ExperimentsOut(experiments=[_period(one) for one in store.periods()[:limit]])

    @router.get("/v1/experiments/{id}")
    def outcome(
        experiment: Annotated[int, Path(alias="id", ge=1, lt=2**63, description="Id of the experiment.")],
        window: Annotated[
            int, Query(ge=1, le=_YEAR, description="Seconds after a user's first list within which events count.")
        ] = 86_400,
        weight: Annotated[
            list[str] | None,
            Query(
                max_length=32,
                description="Weight of the events of a kind, as KIND:WEIGHT, such as `buy:5`; other kinds then weigh 0. Every "
                "event weighs 1 if omitted.",
            ),
        ] = None,
        measure: Annotated[
            Measure,
            Query(
                description="Outcome of a user: `users`, whether there is an event with a weight, with exact intervals; "
                "`events`, the sum of the weights, with intervals that hold for many users."
            ),
        ] = "users",
        level: Annotated[
            float, Query(gt=0, lt=1, description="Probability with which all intervals hold at all times.")
        ] = 0.95,
        margin: Annotated[
            float, Query(ge=0, le=1e9, description="Largest loss that does not matter, in units of the outcome.")
        ] = 0.0,
        control: Annotated[
            str | None, Query(description="Arm with which the others are compared; the first by name if omitted.")
        ] = None,
    ) -> ExperimentOutcomeOut:
        """The outcome of an experiment so far: its arms, and their differences with intervals that may be looked at any time.

        The unit is the user. A user's outcome is what came of the experiment's lists within the window after the user's first
        list: events on items that were listed to the user before. It counts once the window is over.
        """
        period = next((one for one in store.periods() if one.id == experiment), None)
        if period is None:
            raise HTTPException(404, f"experiments: no experiment {experiment}; GET /v1/experiments lists them")
        settings = Outcomes(
            window=window, weights=_weights(weight), measure=measure, level=level, margin=margin, control=control
        )
        return _outcome(experiment_outcome(store, period, settings))

    return router


def _weights(given: list[str] | None) -> dict[str, float]:
    found: dict[str, float] = {}
    for one in given or ():
        kind, colon, text = one.rpartition(":")
        try:
            found[kind] = float(text)
        except ValueError:
            colon = ""
        if not colon or not math.isfinite(found[kind]):
            raise ConfigError(f"weight: KIND:WEIGHT was expected, such as buy:5, not {one[:40]!r}")
    return found


def _period(period: SplitPeriod) -> ExperimentOut:
    return ExperimentOut(**asdict(period))


def _outcome(found: ExperimentOutcome) -> ExperimentOutcomeOut:
    return ExperimentOutcomeOut(
        experiment=_period(found.period),
        control=found.control,
        measure=found.settings.measure,
        window=found.settings.window,
        margin=found.settings.margin,
        arms=[ArmOut(**asdict(one)) for one in found.arms],
        differences=[_difference(found, one) for one in found.differences],
        ratio_p_value=found.ratio_p_value,
        mismatch=found.mismatch,
    )


def _difference(found: ExperimentOutcome, one: Difference) -> DifferenceOut:
    decision = decision_of(found, one)
    estimates, low, high = (
        [float(value) if np.isfinite(value) else None for value in values]
        for values in (one.estimates, one.low, one.high)
    )
    looks = zip(one.times.tolist(), one.users.tolist(), estimates, low, high, strict=True)
    return DifferenceOut(
        arm=one.arm,
        difference=estimates[-1] if estimates else None,
        low=decision.low,
        high=decision.high,
        level=decision.level,
        verdict=decision.verdict.value,
        sentence=decision.sentence,
        looks=[
            LookOut(time=at, users=users, difference=estimate, low=least, high=most)
            for at, users, estimate, least, most in looks
        ],
    )
