import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from foldin.errors import ConfigError, FitError, ShapeError
from foldin.inference import FactorAnalysis, em


def data(n: int = 400, width: int = 5, factors: int = 2, seed: int = 0, noise: float = 0.5) -> np.ndarray:
    rng = np.random.default_rng(seed)
    loadings = 2.0 * rng.standard_normal((width, factors))
    return 3.0 + rng.standard_normal((n, factors)) @ loadings.T + noise * rng.standard_normal((n, width))


@settings(max_examples=25)
@given(st.booleans(), st.integers(1, 3), st.integers(0, 1000))
def test_em_never_lowers_the_likelihood(isotropic, factors, seed):
    model = FactorAnalysis(factors, 5, isotropic=isotropic)
    found = model.fit(data(60, seed=seed), np.random.default_rng(seed), iterations=40, tolerance=0.0)
    assert (np.diff(found.lower_bounds) > -1e-7).all()


def test_the_density_is_a_gaussian_of_low_rank_plus_noise():
    model, x = FactorAnalysis(2, 5), data()
    model.fit(x, np.random.default_rng(0), iterations=5)
    covariance = model.loadings @ model.loadings.T + np.diag(model.noise)
    assert np.allclose(model.log_prob(x), multivariate_normal(model.mean, covariance).logpdf(x))


def test_probabilistic_pca_finds_its_closed_form():
    x = data()
    model = FactorAnalysis(2, 5, isotropic=True)
    found = model.fit(x, np.random.default_rng(0), iterations=5000, tolerance=1e-12)
    values, vectors = np.linalg.eigh(np.cov(x.T, bias=True))
    assert model.noise == pytest.approx(np.full(5, values[:3].mean()), rel=1e-4)
    principal = vectors[:, 3:] @ np.diag(values[3:] - values[:3].mean()) @ vectors[:, 3:].T
    assert np.allclose(model.loadings @ model.loadings.T, principal, atol=1e-2)
    exact = multivariate_normal(x.mean(0), principal + values[:3].mean() * np.eye(5)).logpdf(x).sum()
    assert found.lower_bounds[-1] == pytest.approx(exact, rel=1e-6)


def test_factor_analysis_finds_unequal_noise():
    rng = np.random.default_rng(1)
    x = data(20_000, 6, 1, noise=0.0) + rng.standard_normal((20_000, 6)) * np.array([0.2, 0.4, 0.6, 0.8, 1.0, 1.2])
    model = FactorAnalysis(1, 6)
    model.fit(x, rng, tolerance=1e-10, iterations=5000)
    assert np.sqrt(model.noise) == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.2], abs=0.06)


def test_the_posterior_is_bayes_rule():
    model, x = FactorAnalysis(2, 5), data()
    model.fit(x, np.random.default_rng(0), iterations=20)
    mean, covariance = model.posterior(x[:3])
    precision = np.eye(2) + model.loadings.T @ np.diag(1 / model.noise) @ model.loadings
    assert np.allclose(covariance, np.linalg.inv(precision))
    expected = (x[:3] - model.mean) @ np.diag(1 / model.noise) @ model.loadings @ np.linalg.inv(precision)
    assert np.allclose(mean, expected)


def test_batches_merge_and_samples_have_the_covariance():
    x = data()
    one, many = FactorAnalysis(2, 5), FactorAnalysis(2, 5)
    for model, batches in ((one, [x]), (many, [x[:90], x[90:]])):
        model.begin(x, np.random.default_rng(0))
        model.mean = model.mean + 1.0  # the first step puts it right
        em(model, lambda batches=batches: batches, iterations=10)
    assert np.allclose(one.loadings, many.loadings, rtol=1e-10)
    assert np.allclose(one.mean, x.mean(axis=0))
    drawn = one.sample(100_000, np.random.default_rng(1))
    assert np.allclose(np.cov(drawn.T), one.loadings @ one.loadings.T + np.diag(one.noise), atol=0.4)


def test_bad_input_is_refused_and_constant_data_has_a_limit():
    with pytest.raises(ConfigError, match="factors = 3: must be ≥ 1 and < 3"):
        FactorAnalysis(3, 3)
    with pytest.raises(ShapeError, match="points of width 3"):
        FactorAnalysis(1, 3).fit(np.zeros((4, 2)), np.random.default_rng(0))
    with pytest.raises(FitError, match="point 0, coordinate 2 is inf"):
        FactorAnalysis(1, 3).fit(np.array([[0.0, 0.0, np.inf]]), np.random.default_rng(0))
    model = FactorAnalysis(1, 3)
    model.fit(np.ones((5, 3)), np.random.default_rng(0), iterations=20)
    assert np.isfinite(model.log_prob(np.ones((2, 3)))).all()
