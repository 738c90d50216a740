"""EM gives the same answer in any unit and at any distance from the origin."""

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from torch import distributions as td

from foldin.errors import ConfigError, FitError
from foldin.inference import (
    FactorAnalysis,
    FiniteMixture,
    GaussianMixture,
    Points,
    VariationalGaussianMixture,
    Weighted,
    em,
    stochastic_em,
)
from foldin.inference.gaussian_mixture import COVARIANCES
from tests.inference.test_gaussian_mixture import clusters, whole

UNITS = [1e-6, 1e6]


def own_log_prob(model: GaussianMixture, x: np.ndarray) -> np.ndarray:
    """From the parameters alone, by SciPy."""
    parts = zip(model.weights, model.means, whole(model), strict=True)
    return logsumexp([np.log(w) + multivariate_normal(m, c).logpdf(x) for w, m, c in parts], axis=0)


@pytest.mark.parametrize("covariance", COVARIANCES)
@pytest.mark.parametrize("model", [GaussianMixture, VariationalGaussianMixture])
def test_mixtures_are_the_same_in_any_unit(covariance, model):
    x = clusters(150, 3, far=3.0)
    bounds, means = [], []
    for unit in (1.0, *UNITS):
        one = model(3, 3, covariance=covariance)
        found = one.fit(Points(unit * x), np.random.default_rng(0), iterations=500, tolerance=1e-5, check=True)
        assert found.converged
        assert found.falls == ()
        bounds.append(np.array(found.lower_bounds) / len(x) + 3 * np.log(unit))
        means.append(one.means / unit)
    for other, mean in zip(bounds[1:], means[1:], strict=True):
        assert other == pytest.approx(bounds[0], abs=1e-9)
        assert mean == pytest.approx(means[0], abs=1e-6)


def test_the_floor_holds_in_any_unit_and_the_bound_still_never_falls():
    """Two components, one of which shrinks onto points that are equal."""
    x = np.concatenate((np.random.default_rng(0).normal(size=(80, 2)), np.full((20, 2), 0.5)))
    for covariance in COVARIANCES:
        first = np.nan
        for unit in (1.0, 1e-3):
            model = GaussianMixture(3, 2, covariance=covariance, floor=1e-4)
            found = model.fit(Points(unit * x), np.random.default_rng(1), iterations=15, tolerance=1e-8, check=True)
            least = np.sqrt(model.least)
            assert np.linalg.eigvalsh(whole(model) / np.outer(least, least)).min() > 1.0 - 1e-9
            reached = found.lower_bounds[-1] + 200 * np.log(unit)
            first = reached if unit == 1.0 else first
            assert reached == pytest.approx(first, abs=1e-6)


def test_without_a_floor_a_component_of_one_point_is_refused():
    x = np.concatenate((np.random.default_rng(0).normal(size=(30, 2)), [[50.0, 50.0]]))
    for covariance, said in (("full", "its covariance is singular"), ("diagonal", "a variance of it is 0")):
        with pytest.raises(FitError, match=said):
            GaussianMixture(2, 2, covariance=covariance, floor=0.0).fit(Points(x), np.random.default_rng(0))
    with pytest.raises(ConfigError, match="restarts = 0"):
        GaussianMixture(2, 2).fit(Points(x), np.random.default_rng(0), restarts=0)


@pytest.mark.parametrize("covariance", COVARIANCES)
@pytest.mark.parametrize("far", [1e3, 1e7, 1e9, 1e15])
def test_the_density_beside_an_outlier_is_that_of_the_parameters(covariance, far):
    x = np.concatenate((np.random.default_rng(0).normal(size=(300, 2)), [[far, -far]]))
    model = GaussianMixture(2, 2, covariance=covariance)
    model.fit(Points(x), np.random.default_rng(0))
    assert model.log_prob(x) == pytest.approx(own_log_prob(model, x), abs=1e-5)
    # The outlier is a component of its own, and the other that of the rest.
    main = int(model.weights.argmax())
    assert model.weights[main] == pytest.approx(300 / 301, rel=1e-3)
    assert model.means[main] == pytest.approx(x[:300].mean(axis=0), abs=1e-6)
    if covariance == "full":
        assert model.covariances[main] == pytest.approx(np.cov(x[:300].T, bias=True), abs=1e-6)


@pytest.mark.parametrize("covariance", COVARIANCES)
@pytest.mark.parametrize(("far", "wide"), [(1e6, 1e-3), (1e3, 1e-9), (1e8, 1e-3)])
def test_tight_clusters_far_apart_keep_their_widths(covariance, far, wide):
    rng = np.random.default_rng(1)
    noise = rng.normal(size=(400, 2)) * [1.0, 2.0]
    x = np.repeat([[far, far], [-far, -far]], 200, axis=0) + wide * noise
    model = GaussianMixture(2, 2, covariance=covariance)
    model.fit(Points(x), np.random.default_rng(0), check=True)
    order = np.argsort(-model.means[:, 0])
    spread = np.stack([np.cov((x[part] - x[part].mean(axis=0)).T, bias=True) for part in (slice(200), slice(200, 400))])
    expected = {
        "full": spread,
        "tied": np.broadcast_to(spread.mean(axis=0), spread.shape),
        "diagonal": spread * np.eye(2),
        "spherical": np.einsum("kii->k", spread)[:, None, None] / 2.0 * np.eye(2),
    }[covariance]
    assert whole(model)[order] / wide**2 == pytest.approx(expected / wide**2, abs=1e-3)


@pytest.mark.parametrize("covariance", COVARIANCES)
def test_parts_far_from_the_origin_merge_to_the_whole(covariance, set_threads):
    rng = np.random.default_rng(2)
    x = np.repeat([[1e7, 0.0], [-1e7, 5.0]], 100, axis=0) + 1e-2 * rng.normal(size=(200, 2))
    x = x[rng.permutation(200)]
    model = GaussianMixture(2, 2, covariance=covariance)
    model.begin(Points(x), np.random.default_rng(0))
    exact = model.summarize(Points(x)).sums["moments"]
    set_threads(3)
    merged = model.summarize(Points(x[:30])).merge(model.summarize(Points(x[30:]))).sums["moments"]
    assert merged.weight == pytest.approx(exact.weight)
    assert merged.mean == pytest.approx(exact.mean, rel=1e-14)
    assert np.allclose(merged.scatter, exact.scatter, rtol=1e-5, atol=1e-8)
    for k, mean in enumerate(exact.mean):
        own = x[np.abs(x[:, 0] - mean[0]) < 1e6]
        scatter = (own - own.mean(axis=0)).T @ (own - own.mean(axis=0))
        expected = scatter if exact.scatter.ndim == 3 else np.diag(scatter)
        assert exact.scatter[k] == pytest.approx(expected, rel=1e-6, abs=1e-8)


def test_given_parameters_are_taken_at_their_word_far_from_the_origin():
    model = GaussianMixture(2, 2)
    model.means, model.covariances = np.array([[1e8, 1e8], [1e8 + 1.0, 1e8]]), np.array([np.eye(2) * 1e-4] * 2)
    x = 1e8 + np.random.default_rng(0).normal(size=(20, 2))
    assert model.log_prob(x) == pytest.approx(own_log_prob(model, x), rel=1e-9)


def test_variational_components_far_off_are_told_apart():
    rng = np.random.default_rng(3)
    x = np.concatenate([at + rng.normal(size=(100, 2)) for at in (0.0, 1e7)])
    for covariance in COVARIANCES:
        moved, plain = (VariationalGaussianMixture(2, 2, covariance=covariance) for _ in range(2))
        one = moved.fit(Points(x + 1e9), np.random.default_rng(0))
        other = plain.fit(Points(x), np.random.default_rng(0))
        assert one.lower_bounds[-1] == pytest.approx(other.lower_bounds[-1], rel=1e-6)
        assert plain.shares() == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize(("unit", "offset"), [(1e-6, 0.0), (1e6, 0.0), (1.0, 1e8), (1e-3, 1e6)])
@pytest.mark.parametrize("kind", [td.Normal, td.MultivariateNormal])
def test_mixtures_of_normals_are_the_same_in_any_unit_and_place(kind, unit, offset):
    rng = np.random.default_rng(4)
    x = torch.from_numpy(np.concatenate((rng.normal(-2.0, 0.5, 90), rng.normal(2.0, 1.0, 210))))
    x = x if kind is td.Normal else x[:, None]
    means = []
    for data in (x, unit * x + offset):
        model = FiniteMixture(kind, 2)
        found = model.fit(Weighted(data), np.random.default_rng(0), check=True)
        means.append(float(model.distribution().log_prob(data).mean()))
        assert found.lower_bounds[-1] / 300 == pytest.approx(means[-1], abs=1e-6)
    assert means[1] + np.log(unit) == pytest.approx(means[0], abs=1e-5)


@pytest.mark.parametrize("isotropic", [False, True])
@pytest.mark.parametrize(("unit", "offset"), [(1e-6, 0.0), (1e-3, 1e5)])
def test_factor_analysis_is_the_same_in_any_unit_and_place(isotropic, unit, offset):
    rng = np.random.default_rng(5)
    x = rng.normal(size=(200, 2)) @ rng.normal(size=(2, 5)) + 0.3 * rng.normal(size=(200, 5))
    found = []
    for data in (x, unit * x + offset):
        model = FactorAnalysis(2, 5, isotropic=isotropic)
        result = model.fit(data, np.random.default_rng(0), iterations=3000, tolerance=1e-6, check=True)
        assert result.converged
        found.append((result.lower_bounds[-1] / 200, model))
    assert found[1][0] + 5 * np.log(unit) == pytest.approx(found[0][0], abs=1e-6)
    assert found[1][1].noise / unit**2 == pytest.approx(found[0][1].noise, rel=1e-2)


def test_a_nearly_noiseless_coordinate_keeps_its_density():
    rng = np.random.default_rng(6)
    z = rng.normal(size=(300, 1))
    x = np.concatenate((1e3 * z, -1e3 * z, z + 0.1 * rng.normal(size=(300, 1))), axis=1)
    model = FactorAnalysis(1, 3)
    model.fit(x, np.random.default_rng(0), check=True)
    covariance = model.loadings @ model.loadings.T + np.diag(model.noise)
    # In units of their own, in which SciPy can invert it.
    unit = np.sqrt(np.diag(covariance))
    exact = multivariate_normal(model.mean / unit, covariance / np.outer(unit, unit)).logpdf(x / unit)
    assert model.log_prob(x) == pytest.approx(exact - np.log(unit).sum(), abs=1e-3)


@pytest.mark.parametrize("offset", [1e6])
def test_stochastic_factor_analysis_ends_at_the_maximum(offset):
    rng = np.random.default_rng(7)
    x = offset + 3.0 * rng.normal(size=5) + rng.normal(size=(2000, 2)) @ rng.normal(size=(2, 5))
    x = x + 0.5 * rng.normal(size=x.shape)
    exact = FactorAnalysis(2, 5)
    exact.fit(x, np.random.default_rng(0))
    model = FactorAnalysis(2, 5)
    model.begin(x[:20], np.random.default_rng(0))  # whose mean is off
    order = np.concatenate([rng.permutation(2000) for _ in range(5)])
    stochastic_em(model, (x[order[at : at + 100]] for at in range(0, len(order), 100)), weight=2000.0)
    assert model.log_prob(x).mean() == pytest.approx(exact.log_prob(x).mean(), abs=2e-3)
    assert model.mean == pytest.approx(x.mean(axis=0), abs=0.05)


def test_stochastic_steps_of_a_mixture_far_from_the_origin():
    rng = np.random.default_rng(8)
    x = np.repeat([[1e6, 1e6], [-1e6, -1e6]], 200, axis=0) + 1e-3 * rng.normal(size=(400, 2))
    x = x[rng.permutation(400)]
    model, exact = GaussianMixture(2, 2), GaussianMixture(2, 2)
    model.begin(Points(x[:100]), np.random.default_rng(0))
    stochastic_em(model, [Points(x[at : at + 100]) for at in (0, 100, 200, 300) * 3], weight=400.0)
    exact.begin(Points(x), np.random.default_rng(0))
    em(exact, lambda: [Points(x)])
    assert model.log_prob(x).mean() == pytest.approx(exact.log_prob(x).mean(), abs=0.05)
