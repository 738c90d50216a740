"""The driver alone, on a model whose EM is known: the mean of a normal with missing values."""

import numpy as np
import pytest

from foldin.errors import FitError
from foldin.inference import Maximizable, Statistics, em


class MeanWithMissing(Maximizable[np.ndarray]):
    """x ~ N(μ, 1), some x missing: E fills them in with μ, M takes the mean; converges to that of what is there."""

    def __init__(self, mu: float = 0.0, broken: bool = False) -> None:
        self.mu, self.broken = mu, broken

    def summarize(self, batch):
        there = ~np.isnan(batch)
        log_likelihood = float(-0.5 * np.sum((batch[there] - self.mu) ** 2))
        filled = np.where(there, batch, self.mu)
        return Statistics({"sum": np.array(filled.sum())}, log_likelihood, float(len(batch)))

    def maximize(self, statistics):
        step = -3.0 if self.broken else 0.0
        self.mu = float(statistics.sums["sum"]) / statistics.weight + step


DATA = np.array([1.0, 2.0, np.nan, 6.0, np.nan])


def test_it_converges_to_what_is_known_and_keeps_its_bounds():
    model = MeanWithMissing()
    found = em(model, lambda: [DATA], iterations=200, tolerance=1e-12, check=True)
    assert found.converged
    assert model.mu == pytest.approx(3.0, abs=1e-4)
    assert (np.diff(found.lower_bounds) >= 0).all()
    # It goes nearer by the share of what is missing, 2/5, in each step.
    other = MeanWithMissing()
    em(other, lambda: [DATA], iterations=3)
    assert other.mu == pytest.approx(3.0 * (1 - 0.4**3))


def test_iterations_are_counted_and_not_converging_is_said():
    found = em(MeanWithMissing(), lambda: [DATA], iterations=2, tolerance=0.0)
    assert not found.converged
    assert len(found.lower_bounds) == 3


def test_a_falling_bound_is_caught_when_asked():
    with pytest.raises(FitError, match="iteration 1: the bound fell by"):
        em(MeanWithMissing(broken=True), lambda: [DATA], check=True)
    em(MeanWithMissing(broken=True), lambda: [DATA], iterations=3)


def test_no_data_and_infinite_bounds_are_refused():
    with pytest.raises(FitError, match="there is no data"):
        em(MeanWithMissing(), lambda: [])
    with pytest.raises(FitError, match="the bound is -inf"):
        em(MeanWithMissing(), lambda: [np.array([np.inf, 1.0])])


class Restarted(MeanWithMissing):
    """Its third step throws what it knew away, as a component that is started again does."""

    steps = 0

    def maximize(self, statistics):
        super().maximize(statistics)
        self.steps += 1
        if self.steps == 3:
            self.mu = -50.0


def test_a_fall_is_no_convergence_and_is_said():
    model = Restarted()
    found = em(model, lambda: [DATA], iterations=200, tolerance=1e-12)
    assert found.converged
    assert found.falls == (3,)
    assert found.lower_bounds[3] < found.lower_bounds[2]
    assert len(found.lower_bounds) > 10
    assert model.mu == pytest.approx(3.0, abs=1e-4)


def test_a_bound_that_only_falls_never_converges():
    found = em(MeanWithMissing(mu=3.0, broken=True), lambda: [DATA], iterations=2)
    assert not found.converged
    assert found.falls


def test_a_fall_within_rounding_is_convergence():
    class Jitter(MeanWithMissing):
        calls = 0

        def summarize(self, batch):
            found = super().summarize(batch)
            self.calls += 1
            return Statistics(found.sums, found.log_likelihood * (1.0 + 1e-13 * self.calls), found.weight)

    found = em(Jitter(mu=3.0), lambda: [DATA], check=True)
    assert found.converged
    assert found.lower_bounds[1] < found.lower_bounds[0]
    assert found.falls == ()
