"""Pareto smoothing against an independent implementation, and the ends of its range."""

import math

import numpy as np
import pytest
import torch

from foldin.errors import ConfigError, ShapeError
from foldin.inference import Parameter, black_box_vi, effective_sample_size, pareto_shape, psis

# Made once by `arviz.psislw` of ArviZ 0.21.0, on the draws of `drawn`.
REFERENCE = {
    ("normal", 0.1): -0.16786399252152748,
    ("normal", 1.0): 0.10534296715942718,
    ("normal", 5.0): 1.5105181599096684,
    ("normal", 30.0): 8.68085238512793,
    ("normal", 100.0): 26.866723184658102,
    ("normal", 300.0): 79.02953705448789,
    ("t", 2.0): 2.843101679716671,
    ("t", 5.0): 1.0688774093204687,
    ("bounded", 0.1): -0.6796991552617163,
}


def drawn(kind: str, parameter: float) -> np.ndarray:
    if kind == "normal":
        return np.random.default_rng(0).standard_normal(4000) * parameter
    if kind == "t":
        return np.random.default_rng(1).standard_t(parameter, 1000)
    return np.log(np.random.default_rng(2).random(500) + parameter)


@pytest.mark.parametrize("case", REFERENCE, ids=str)
def test_k_hat_is_that_of_an_independent_implementation(case):
    assert psis(drawn(*case))[1] == pytest.approx(REFERENCE[case], rel=1e-9)


@pytest.mark.parametrize(("k", "reference"), [(2.0, 2.2036566644495568), (10.0, 9.143247310611821)])
def test_the_fit_of_heavy_tails_is_that_of_an_independent_implementation(k, reference):
    """By `_gpdfit` of ArviZ 0.21.0."""
    excesses = 3.0 * np.expm1(-k * np.log1p(-np.random.default_rng(0).random(300))) / k
    assert pareto_shape(excesses)[0] == pytest.approx(reference, rel=1e-9)


@pytest.mark.parametrize("sd", [100.0, 1000.0, 1e4, 1e6])
def test_k_hat_grows_with_the_spread_beyond_what_a_double_holds(sd):
    """Where ratios are e^(sd·ε), the fit tends to sd times a constant: nothing underflows, and nothing caps it."""
    ratios = np.random.default_rng(0).standard_normal(4000)
    assert psis(ratios * sd)[1] / sd == pytest.approx(psis(ratios * 1e8)[1] / 1e8, rel=0.1)


def test_k_hat_does_not_see_a_constant_factor():
    ratios = np.random.default_rng(3).standard_normal(800) * 4.0
    smoothed, k = psis(ratios)
    moved, same = psis(ratios - 5000.0)
    assert same == pytest.approx(k, rel=1e-9)
    assert moved == pytest.approx(smoothed, abs=1e-9)


def test_ties_with_the_cutoff_are_no_excesses():
    tied = np.concatenate((np.zeros(900), np.full(60, 1.0), np.linspace(1.1, 3.0, 40)))
    assert math.isfinite(psis(tied)[1])
    assert psis(np.zeros(100))[1] == -math.inf  # no draw is worth more than another
    few = np.concatenate((np.zeros(97), [1.0, 2.0, 3.0]))
    weights, k = psis(few)
    assert k == math.inf  # too few to judge by
    assert weights == pytest.approx(few - np.logaddexp.reduce(few))


def test_draws_outside_the_support_have_no_weight():
    ratios = np.random.default_rng(0).standard_normal(1000)
    ratios[::2] = -math.inf
    weights, k = psis(ratios)
    assert math.isfinite(k)
    assert np.exp(weights).sum() == pytest.approx(1.0)
    assert (weights[::2] == -math.inf).all()
    ratios[:] = -math.inf
    ratios[:3] = 0.0
    assert psis(ratios)[1] == math.inf


def test_excesses_that_underflow_have_an_infinite_shape():
    assert pareto_shape(np.array([0.0, 0.0, 0.0, 0.0, 1e-300, 1.0])) == (math.inf, 0.0)
    assert pareto_shape(np.zeros(10)) == (-math.inf, 0.0)
    for bad in ([-1.0, 1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0, math.inf]):
        with pytest.raises(ShapeError, match="finite and at least 0"):
            pareto_shape(np.array(bad))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_ratios_that_are_no_numbers_are_refused(bad):
    ratios = np.zeros(100)
    ratios[3] = bad
    for function in (psis, effective_sample_size):
        with pytest.raises(ShapeError, match="finite or −∞"):
            function(ratios)


def test_the_effective_sample_size_counts_draws():
    assert effective_sample_size(np.full(40, -7000.0)) == pytest.approx(40.0)
    assert effective_sample_size(np.log([1.0, 1.0, 2.0])) == pytest.approx(16 / 6)
    assert effective_sample_size(np.array([0.0, -1e4, -math.inf])) == 1.0
    # Kong: draws / (1 + variance of the weights); log-normal weights have the variance e^(s²) − 1.
    ratios = 0.5 * np.random.default_rng(0).standard_normal(200_000)
    assert effective_sample_size(ratios) / 200_000 == pytest.approx(math.exp(-0.25), rel=0.02)


def test_too_few_final_draws_are_refused_before_any_step():
    def never(values):
        raise AssertionError("no step should be made")

    with pytest.raises(ConfigError, match="final_draws = 10: must be a whole number of at least 25"):
        black_box_vi(never, {"x": Parameter()}, torch.Generator(), final_draws=10)
