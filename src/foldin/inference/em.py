"""Expectation–maximization over mergeable statistics: one driver for any model, in one piece, in batches, or in many places.

A model says two things. `summarize` (E) turns a batch of data into the expected sufficient statistics under the present
parameters, with the log-likelihood on the way; `maximize` (M) sets the parameters from statistics. Statistics of parts merge by
adding up, so that EM over batches, out of core, or over several workers is EM over everything. Stochastic EM takes a step
from a running average of them instead.

Each iteration raises log p(x) + log p(parameters), or leaves it: dempster1977, theorem 1. Stochastic: cappe2009, eq. 12.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from foldin.display import Display, Displayed
from foldin.errors import FitError
from foldin.inference.arguments import check_count, check_number

__all__ = ["EMResult", "Maximizable", "Statistics", "em", "stochastic_em"]

B = TypeVar("B")

_ROUNDING = 1e-9  # of the bound, or nats per unit of weight where that is more: a fall by less is none


@dataclass(frozen=True)
class Statistics:
    """Expected sufficient statistics of some data.

    Args:
        sums: by name; every one is a sum over the data: an array, or anything else that adds up and can be multiplied by a
            number, as `Moments` does.
        log_likelihood: log p(data) under the parameters that the expectations were taken with, in nats.
        weight: how much data: the number of points, or the sum of their weights.
    """

    sums: Mapping[str, Any]
    log_likelihood: float
    weight: float

    def merge(self, other: "Statistics") -> "Statistics":
        """Those of both data together."""
        sums = {name: value + other.sums[name] for name, value in self.sums.items()}
        return Statistics(sums, self.log_likelihood + other.log_likelihood, self.weight + other.weight)

    def scaled(self, factor: float) -> "Statistics":
        """Those of `factor` times the data."""
        sums = {name: factor * value for name, value in self.sums.items()}
        return Statistics(sums, factor * self.log_likelihood, factor * self.weight)


class Maximizable(ABC, Generic[B]):
    """What EM needs of a model."""

    @abstractmethod
    def summarize(self, batch: B) -> Statistics:
        """E: the expected statistics of a batch."""

    @abstractmethod
    def maximize(self, statistics: Statistics) -> None:
        """M: the parameters that maximize the expected log-likelihood (and log prior) of the statistics."""

    def log_prior(self) -> float:
        """log p(parameters) up to a constant, in nats; 0 for maximum likelihood."""
        return 0.0


@dataclass(frozen=True, repr=False)
class EMResult(Displayed):
    """How EM went.

    Args:
        lower_bounds: log p(x) + log p(parameters) before each iteration, and at the end, in nats.
        converged: whether the bound rose by less than the tolerance, up to rounding; never at a fall.
        falls: iterations after which the bound was lower than before by more than rounding explains. EM continues after such an
            iteration. A fall means a component that was started again, a step that is no maximum, or numbers at the end of
            double precision.
    """

    lower_bounds: tuple[float, ...]
    converged: bool
    falls: tuple[int, ...] = ()

    def display(self) -> Display:
        first, last, count = self.lower_bounds[0], self.lower_bounds[-1], len(self.lower_bounds) - 1
        how = "converged" if self.converged else "did not converge"
        fell = f"; it fell after {', '.join(map(str, self.falls))}" if self.falls else ""
        return Display(
            title=f"EM {how} in {count:,} iterations: the bound rose from {first:,.4f} to {last:,.4f} nats{fell}"
        )


def _gather(model: Maximizable[B], batches: Iterable[B]) -> Statistics:
    """The statistics of all batches together."""
    total: Statistics | None = None
    for batch in batches:
        found = model.summarize(batch)
        total = found if total is None else total.merge(found)
    if total is None or total.weight <= 0.0:
        raise FitError("EM: there is no data, or all of its weights are zero")
    return total


def em(
    model: Maximizable[B],
    batches: Callable[[], Iterable[B]],
    *,
    iterations: int = 100,
    tolerance: float = 1e-6,
    check: bool = False,
) -> EMResult:
    """EM until the bound rises by less than `tolerance` nats per unit of weight.

    A bound that falls is no convergence: EM continues, and the result lists the iteration in `falls`.

    Args:
        model: changed in place.
        batches: the data, given anew for every iteration.
        iterations: at most.
        tolerance: of the rise.
        check: fail when the bound falls by more than rounding can explain.

    Raises:
        FitError: no data, a bound that is not finite, or (with `check`) one that falls.
    """
    check_count("iterations", iterations, 0)
    check_number("tolerance", tolerance, least=0.0)
    bounds: list[float] = []
    falls: list[int] = []
    for number in range(iterations + 1):
        statistics = _gather(model, batches())
        bounds.append(statistics.log_likelihood + model.log_prior())
        if not np.isfinite(bounds[-1]):
            raise FitError(f"EM, iteration {number}: the bound is {bounds[-1]}")
        if number:
            rise = bounds[-1] - bounds[-2]
            if rise < -_ROUNDING * max(abs(bounds[-1]), statistics.weight):
                if check:
                    raise FitError(f"EM, iteration {number}: the bound fell by {-rise:g} nats")
                falls.append(number)
            elif max(rise, 0.0) < tolerance * statistics.weight:
                return EMResult(tuple(bounds), True, tuple(falls))
        if number < iterations:
            model.maximize(statistics)
    return EMResult(tuple(bounds), False, tuple(falls))


def stochastic_em(
    model: Maximizable[B],
    batches: Iterable[B],
    *,
    weight: float,
    delay: float = 1.0,
    forgetting: float = 0.7,
) -> None:
    """One step for each batch: the running statistics go to those of the batch, as if it were everything, by (τ₀ + t)^−κ.

    Args:
        model: changed in place.
        batches: in random order.
        weight: of all data.
        delay: τ₀ ≥ 0; at 0 the first step forgets everything before it.
        forgetting: κ in (0.5, 1].
    """
    check_number("weight", weight, above=0.0)
    check_number("delay", delay, least=0.0)
    check_number("forgetting", forgetting, above=0.5, most=1.0)
    running: Statistics | None = None
    for number, batch in enumerate(batches):
        found = model.summarize(batch)
        found = found.scaled(weight / found.weight)
        rho = min(1.0, (number + 1.0 + delay) ** -forgetting) if running is not None else 1.0
        running = found if running is None else running.scaled(1.0 - rho).merge(found.scaled(rho))
        model.maximize(running)
