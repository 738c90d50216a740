"""Expectation–maximization over mergeable statistics, for any model: on all data at once, in batches, or over several workers.

A model provides two methods. `summarize` (E-step) turns a batch of data into the expected sufficient statistics under the current
parameters, together with the log-likelihood; `maximize` (M-step) sets the parameters from statistics. Statistics of parts of
the data are merged by addition, so that EM over batches, out of core, or over several workers equals EM over all data.
Stochastic EM takes its steps from a running average of the statistics instead.

Each iteration raises log p(x) + log p(parameters) or leaves it unchanged: dempster1977, theorem 1. Stochastic EM: cappe2009,
eq. 12.
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

_ROUNDING = 1e-9  # of the bound, or nats per unit of weight if that is more: a smaller fall is attributed to rounding


@dataclass(frozen=True)
class Statistics:
    """Expected sufficient statistics of some data.

    Args:
        sums: sums over the data, by name: arrays, or other objects that can be added and multiplied by a number, such as
            `Moments`.
        log_likelihood: log p(data) in nats, under the parameters with which the expectations were computed.
        weight: amount of data: the number of points, or the sum of their weights.
    """

    sums: Mapping[str, Any]
    log_likelihood: float
    weight: float

    def merge(self, other: "Statistics") -> "Statistics":
        """The statistics of both data sets together."""
        sums = {name: value + other.sums[name] for name, value in self.sums.items()}
        return Statistics(sums, self.log_likelihood + other.log_likelihood, self.weight + other.weight)

    def scaled(self, factor: float) -> "Statistics":
        """The statistics of `factor` times the data."""
        sums = {name: factor * value for name, value in self.sums.items()}
        return Statistics(sums, factor * self.log_likelihood, factor * self.weight)


class Maximizable(ABC, Generic[B]):
    """Interface of a model that EM can fit."""

    @abstractmethod
    def summarize(self, batch: B) -> Statistics:
        """E-step: the expected sufficient statistics of a batch."""

    @abstractmethod
    def maximize(self, statistics: Statistics) -> None:
        """M-step: set the parameters that maximize the expected log-likelihood of the statistics (plus the log prior)."""

    def log_prior(self) -> float:
        """log p(parameters) up to a constant, in nats; 0 for maximum likelihood."""
        return 0.0


@dataclass(frozen=True, repr=False)
class EMResult(Displayed):
    """The course of an EM fit.

    Args:
        lower_bounds: log p(x) + log p(parameters) before each iteration and at the end, in nats.
        converged: whether EM ended because the bound rose by less than the tolerance; a fall is not convergence.
        falls: iterations after which the bound was lower than before by more than rounding explains. EM continues after such an
            iteration. Causes of a fall are a component that was reinitialized, an M-step that is not a maximum, or the limits
            of double precision.
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
    """Run EM until the bound rises by less than `tolerance` nats per unit of weight.

    A fall of the bound is not convergence: EM continues, and the result lists the iteration in `falls`.

    Args:
        model: model to fit, changed in place.
        batches: function that returns the batches of the data anew for every iteration.
        iterations: maximum number of iterations.
        tolerance: rise of the bound below which EM ends, in nats per unit of weight.
        check: whether to fail if the bound falls by more than rounding can explain.

    Raises:
        FitError: there is no data, the bound is not finite, or (with `check`) the bound falls.
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
    """Run stochastic EM with one step for each batch.

    Each step moves the running statistics toward those of the batch, scaled up to the weight of all data, by (τ₀ + t)^−κ.

    Args:
        model: model to fit, changed in place.
        batches: batches of the data in random order.
        weight: total weight of all data.
        delay: τ₀ ≥ 0; a larger value makes the early steps smaller.
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
