import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_t
from scipy.stats import t as student

from foldin.errors import ConfigError, ShapeError
from foldin.inference import Points, VariationalGaussianMixture
from foldin.inference.gaussian_mixture import COVARIANCES
from tests.inference.test_gaussian_mixture import clusters


@settings(max_examples=25)
@given(st.sampled_from(COVARIANCES), st.integers(1, 4), st.integers(1, 3), st.integers(0, 1000))
def test_the_bound_never_falls(covariance, components, width, seed):
    model = VariationalGaussianMixture(components, width, covariance=covariance)
    found = model.fit(
        Points(clusters(60, width, seed, far=2.0)), np.random.default_rng(seed), iterations=20, tolerance=0.0
    )
    assert (np.diff(found.lower_bounds) > -1e-7).all()


def log_evidence(x: np.ndarray, covariance: str) -> float:
    """log p(x) of one Gaussian under its conjugate prior: a product of Student t predictive densities."""
    width = x.shape[1]
    nu0, beta0, m0 = float(width), 1.0, x.mean(axis=0)
    scatter0 = np.cov(x.T, bias=True).reshape(width, width)
    total = 0.0
    for n in range(len(x)):
        seen = x[:n]
        mean = seen.mean(axis=0) if n else m0
        beta, nu = beta0 + n, nu0 + n
        m = (beta0 * m0 + n * mean) / beta
        spread = (seen - mean).T @ (seen - mean) + beta0 * n / beta * np.outer(mean - m0, mean - m0)
        scale = (scatter0 + spread) * (beta + 1) / beta
        if covariance in ("full", "tied"):
            free = nu - width + 1
            total += multivariate_t(m, scale / free, df=free).logpdf(x[n])
        elif covariance == "diagonal":
            total += student(nu, m, np.sqrt(np.diag(scale) / nu)).logpdf(x[n]).sum()
        else:
            shape = np.trace(scale) / (nu * width) * np.eye(width)
            total += multivariate_t(m, shape, df=nu * width).logpdf(x[n])
    return float(total)


@pytest.mark.parametrize("covariance", COVARIANCES)
@pytest.mark.parametrize("width", [1, 3])
def test_with_one_component_the_bound_is_the_log_evidence(covariance, width):
    """The family contains the posterior, so that nothing is lost."""
    x = clusters(40, width) + 100.0
    model = VariationalGaussianMixture(1, width, covariance=covariance)
    found = model.fit(Points(x), np.random.default_rng(0))
    assert found.lower_bounds[-1] == pytest.approx(log_evidence(x, covariance), rel=1e-6)
    assert model.means[0] == pytest.approx(x.mean(axis=0))


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_components_that_are_not_needed_are_left_empty(covariance):
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(at, 0.5, (150, 2)) for at in (-8.0, 0.0, 8.0)])
    model = VariationalGaussianMixture(8, 2, covariance=covariance, concentration=1e-3)
    model.fit(Points(x), rng, iterations=500, tolerance=1e-6)
    used = model.shares() > 0.02
    assert used.sum() == 3
    assert np.sort(model.means[used, 0]) == pytest.approx([-8, 0, 8], abs=0.2)


def test_weights_are_repetitions_and_units_do_not_matter():
    x = clusters(80, 2)
    times = np.random.default_rng(1).integers(1, 4, 80)
    one, two, scaled = (VariationalGaussianMixture(1, 2) for _ in range(3))
    first = one.fit(Points(x, times.astype(float)), np.random.default_rng(0)).lower_bounds[-1]
    second = two.fit(Points(np.repeat(x, times, axis=0)), np.random.default_rng(0)).lower_bounds[-1]
    assert first == pytest.approx(second)
    moved = scaled.fit(Points(x * 100.0 + 7.0), np.random.default_rng(0)).lower_bounds[-1]
    plain = VariationalGaussianMixture(1, 2).fit(Points(x), np.random.default_rng(0)).lower_bounds[-1]
    assert moved == pytest.approx(plain - 2 * 80 * np.log(100.0), rel=1e-6)


def test_bad_settings_are_refused():
    with pytest.raises(ConfigError, match="degrees 1 above 2"):
        VariationalGaussianMixture(2, 3, degrees=1.0)


def test_it_starts_from_given_clusters():
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(-3.0, 1.0, (40, 2)), rng.normal(3.0, 1.0, (60, 2))])
    labels = np.repeat([1, 0], [40, 60])
    model = VariationalGaussianMixture(2, 2)
    model.begin(Points(x), rng, labels=labels)
    assert model.alpha == pytest.approx([60.5, 40.5])
    assert model.means[1] == pytest.approx((40 * x[:40].mean(axis=0) + x.mean(axis=0)) / 41)
    with pytest.raises(ShapeError, match=r"labels must be 100 numbers in \[0, 2\)"):
        model.begin(Points(x), rng, labels=labels + 1)
