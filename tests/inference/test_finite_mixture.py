"""Mixtures of any exponential family: EM's bound, merging, weights as repetition, the truth found again."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import distributions as td

from foldin import probability as pr
from foldin.errors import ConfigError, FitError, ShapeError
from foldin.inference import FiniteMixture, GaussianMixture, Points, Weighted


def t(*values) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


MIXTURES = [
    td.MixtureSameFamily(td.Categorical(t(0.3, 0.7)), td.Poisson(t(1.0, 9.0))),
    td.MixtureSameFamily(td.Categorical(t(0.6, 0.4)), td.Exponential(t(0.2, 8.0))),
    td.MixtureSameFamily(td.Categorical(t(0.5, 0.5)), td.Gamma(t(20.0, 30.0), t(10.0, 5.0))),
    td.MixtureSameFamily(td.Categorical(t(0.25, 0.75)), td.Normal(t(-2.0, 2.0), t(0.5, 1.0))),
    td.MixtureSameFamily(td.Categorical(t(0.5, 0.5)), td.Beta(t(8.0, 2.0), t(2.0, 10.0))),
    td.MixtureSameFamily(td.Categorical(t(0.4, 0.6)), td.VonMises(t(-1.5, 1.5), t(6.0, 4.0))),
]
KINDS = [type(one.component_distribution) for one in MIXTURES]


def drawn(truth: td.Distribution, n: int, seed: int = 0) -> torch.Tensor:
    return pr.sample(truth, n, np.random.default_rng(seed))


@pytest.mark.parametrize(("truth", "kind"), list(zip(MIXTURES, KINDS, strict=True)), ids=[k.__name__ for k in KINDS])
def test_em_finds_the_truth_and_never_falls(truth, kind):
    x = drawn(truth, 3000)
    model = FiniteMixture(kind, 2)
    result = model.fit(Weighted(x), np.random.default_rng(1), check=True, iterations=300)
    found = model.distribution()
    assert result.lower_bounds[-1] == pytest.approx(float(found.log_prob(x).sum()), rel=1e-6)
    assert result.lower_bounds[-1] >= float(truth.log_prob(x).sum()) - 1e-6 * abs(result.lower_bounds[-1])
    assert sorted(model.weights.tolist()) == pytest.approx(sorted(truth.mixture_distribution.probs.tolist()), abs=0.05)


@settings(max_examples=20)
@given(st.lists(st.integers(0, 12), min_size=6, max_size=25), st.integers(1, 3), st.integers(0, 4))
def test_the_likelihood_never_falls(counts, components, seed):
    x = t(*counts, 1)
    model = FiniteMixture(td.Poisson, components)
    model.fit(Weighted(x + 1.0), np.random.default_rng(seed), iterations=20, check=True)
    assert torch.isfinite(model.distribution().log_prob(x + 1.0)).all()


def test_parts_merge_to_the_whole_and_weights_are_repetition():
    x = drawn(MIXTURES[2], 200)
    model = FiniteMixture(td.Gamma, 2)
    model.begin(Weighted(x), np.random.default_rng(0))
    whole = model.summarize(Weighted(x))
    parts = model.summarize(Weighted(x[:70])).merge(model.summarize(Weighted(x[70:])))
    for name, value in whole.sums.items():
        assert np.allclose(parts.sums[name], value, rtol=1e-12)
    assert parts.log_likelihood == pytest.approx(whole.log_likelihood, rel=1e-12)
    weights = torch.from_numpy(np.random.default_rng(1).integers(0, 4, 200)).double()
    weighted = model.summarize(Weighted(x, weights))
    repeated = model.summarize(Weighted(x.repeat_interleave(weights.long())))
    for name, value in weighted.sums.items():
        assert np.allclose(repeated.sums[name], value, rtol=1e-10)


def test_a_mixture_of_full_gaussians_agrees_with_its_own_class():
    rng = np.random.default_rng(0)
    x = np.concatenate(
        [rng.normal(size=(150, 2)), 3.0 + rng.normal(size=(100, 2)) @ np.array([[1.0, 0.5], [0.0, 0.5]])]
    )
    mine = FiniteMixture(td.MultivariateNormal, 2)
    reached = mine.fit(Weighted(torch.from_numpy(x)), np.random.default_rng(0), iterations=2000, tolerance=1e-12)
    other = GaussianMixture(2, 2, covariance="full")
    expected = other.fit(Points(x), np.random.default_rng(0), iterations=2000, tolerance=1e-12)
    assert reached.lower_bounds[-1] == pytest.approx(expected.lower_bounds[-1], rel=1e-4)


def test_one_component_is_the_fit_of_the_family():
    x = drawn(MIXTURES[2], 100)
    result = FiniteMixture(td.Gamma, 1).fit(Weighted(x), np.random.default_rng(0))
    assert result.lower_bounds[-1] == pytest.approx(pr.fit_gamma(x.numpy()).log_likelihood, rel=1e-9)


def test_bad_input_is_one_clear_error():
    with pytest.raises(ConfigError, match="Laplace: must be one of Bernoulli"):
        FiniteMixture(td.Laplace, 2)
    with pytest.raises(ConfigError, match="components = 0"):
        FiniteMixture(td.Normal, 0)
    model = FiniteMixture(td.Gamma, 2)
    with pytest.raises(FitError, match="no parameters yet"):
        model.distribution()
    with pytest.raises(FitError, match="Gamma: value 1 is outside the support: -1"):
        model.fit(Weighted(t(1.0, -1.0, 2.0)), np.random.default_rng(0))
    with pytest.raises(ShapeError, match="1 observations for 2 components"):
        model.fit(Weighted(t(1.0)), np.random.default_rng(0))
    with pytest.raises(FitError, match="component"):
        model.fit(Weighted(t(2.0, 2.0, 2.0, 2.0)), np.random.default_rng(0))


def test_values_outside_the_support_and_odd_weights_are_refused():
    rng = np.random.default_rng(0)
    for kind, values in (
        (td.Exponential, (-1.0, 5.0, 3.0)),
        (td.Poisson, (0.5, 5.0, 3.0)),
        (td.Bernoulli, (-0.5, 1.0, 0.0)),
    ):
        with pytest.raises(FitError, match="value 0 is outside the support"):
            FiniteMixture(kind, 1).fit(Weighted(t(*values)), rng)
    model, x = FiniteMixture(td.Normal, 1), t(1.0, 2.0, 3.0)
    for weights in (t(1.0, 2.0), t(1.0, -1.0, 1.0)):
        with pytest.raises(ShapeError, match="weights must be 3 numbers, none below 0"):
            model.fit(Weighted(x, weights), rng)
    with pytest.raises(ConfigError, match="restarts = 0"):
        model.fit(Weighted(x), rng, restarts=0)
    counts = torch.tensor([1, 2, 3, 9])
    assert FiniteMixture(td.Poisson, 1).fit(Weighted(counts), rng).lower_bounds[-1] == pytest.approx(
        pr.fit_poisson(counts.numpy()).log_likelihood
    )
