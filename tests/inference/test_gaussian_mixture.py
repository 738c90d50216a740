import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from foldin.errors import ConfigError, FitError, ShapeError
from foldin.inference import GaussianMixture, Points, em, k_means, nearest
from foldin.inference.gaussian_mixture import COVARIANCES
from foldin.inference.moments import Moments


def clusters(n: int = 300, width: int = 3, seed: int = 0, far: float = 6.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centers = far * rng.standard_normal((3, width))
    mix = rng.standard_normal((3, width, width))
    own = rng.integers(3, size=n)
    return centers[own] + np.einsum("nij,nj->ni", mix[own], rng.standard_normal((n, width)))


def whole(model: GaussianMixture) -> np.ndarray:
    """Covariances as matrices, whatever their kind."""
    eye = np.eye(model.width)
    return {
        "full": lambda: model.covariances,
        "tied": lambda: np.broadcast_to(model.covariances, (model.components, *eye.shape)),
        "diagonal": lambda: model.covariances[:, :, None] * eye,
        "spherical": lambda: model.covariances[:, None, None] * eye,
    }[model.covariance]()


def brute(model: GaussianMixture, x: np.ndarray) -> np.ndarray:
    """π_k N(x; μ_k, Σ_k), written out."""
    parts = zip(model.weights, model.means, whole(model), strict=True)
    return np.stack([w * multivariate_normal(m, c).pdf(x) for w, m, c in parts], axis=1)


def assert_same_moments(one: Moments, other: Moments) -> None:
    assert one.weight == pytest.approx(other.weight, rel=1e-10)
    assert np.allclose(one.mean, other.mean, rtol=1e-10, atol=1e-12)
    assert np.allclose(one.scatter, other.scatter, rtol=1e-9, atol=1e-9)


@pytest.fixture(params=COVARIANCES)
def covariance(request) -> str:
    return request.param


@settings(max_examples=25)
@given(st.sampled_from(COVARIANCES), st.integers(1, 3), st.integers(1, 3), st.integers(0, 1000))
def test_em_never_lowers_the_likelihood(covariance, components, width, seed):
    x = clusters(150, width, seed, far=2.0)
    # The floor is no part of the likelihood: without it, each step raises that.
    model = GaussianMixture(components, width, covariance=covariance, floor=0.0)
    rng = np.random.default_rng(seed)
    weights = rng.integers(0, 3, 150).astype(float)
    model.begin(Points(x, weights), rng)
    bounds = []
    for _ in range(20):
        # A component that collapses onto one point has no likelihood to speak of.
        if model.reseeded or np.linalg.eigvalsh(whole(model)).min() < 1e-4:
            break
        statistics = model.summarize(Points(x, weights))
        bounds.append(statistics.log_likelihood)
        model.maximize(statistics)
    assume(len(bounds) > 5)
    assert (np.diff(bounds) > -1e-7).all()


def test_the_density_is_its_formula(covariance):
    x = clusters()
    model = GaussianMixture(3, 3, covariance=covariance)
    model.fit(Points(x), np.random.default_rng(0), iterations=5)
    joint = brute(model, x)
    assert np.allclose(model.log_prob(x), np.log(joint.sum(axis=1)))
    assert np.allclose(model.responsibilities(x), joint / joint.sum(axis=1, keepdims=True))
    found = model.summarize(Points(x))
    assert found.log_likelihood == pytest.approx(np.log(joint.sum(axis=1)).sum())


def test_a_step_is_the_weighted_moments(covariance):
    x = clusters()
    weights = np.random.default_rng(1).uniform(0, 2, len(x))
    model = GaussianMixture(3, 3, covariance=covariance, floor=0.0)
    model.begin(Points(x), np.random.default_rng(0))
    shares = model.responsibilities(x) * weights[:, None]
    model.maximize(model.summarize(Points(x, weights)))
    mass = shares.sum(axis=0)
    assert np.allclose(model.weights, mass / mass.sum())
    means = shares.T @ x / mass[:, None]
    assert np.allclose(model.means, means)
    spread = np.stack([(shares[:, k, None] * (x - means[k])).T @ (x - means[k]) / mass[k] for k in range(3)])
    expected = {
        "full": spread,
        "tied": np.einsum("k,kij->ij", mass / mass.sum(), spread),
        "diagonal": np.einsum("kii->ki", spread),
        "spherical": np.einsum("kii->k", spread) / 3,
    }[covariance]
    assert np.allclose(model.covariances, expected)


def test_one_gaussian_is_its_maximum_likelihood():
    x = clusters()
    model = GaussianMixture(1, 3, floor=0.0)
    model.fit(Points(x), np.random.default_rng(0))
    assert np.allclose(model.means[0], x.mean(axis=0))
    assert np.allclose(model.covariances[0], np.cov(x.T, bias=True))


@pytest.mark.parametrize("threads", [1, 3])
def test_blocks_threads_and_workers_merge_to_the_whole(covariance, threads, set_threads, monkeypatch):
    x = clusters(500)
    model = GaussianMixture(3, 3, covariance=covariance)
    model.begin(Points(x), np.random.default_rng(0))
    exact = model.summarize(Points(x))
    set_threads(threads)
    monkeypatch.setattr("foldin.inference.quadratics._BLOCK", 33)
    merged = model.summarize(Points(x[:200])).merge(model.summarize(Points(x[200:])))
    assert_same_moments(merged.sums["moments"], exact.sums["moments"])
    assert merged.log_likelihood == pytest.approx(exact.log_likelihood, rel=1e-10)


def test_a_weight_is_a_repetition(covariance):
    x = clusters(90)
    times = np.random.default_rng(2).integers(0, 4, 90)
    model = GaussianMixture(2, 3, covariance=covariance)
    model.begin(Points(x), np.random.default_rng(0))
    weighted, repeated = (
        model.summarize(Points(x, times.astype(float))),
        model.summarize(Points(np.repeat(x, times, 0))),
    )
    assert_same_moments(weighted.sums["moments"], repeated.sums["moments"])
    assert weighted.log_likelihood == pytest.approx(repeated.log_likelihood)


def test_units_do_not_matter(covariance):
    if covariance == "spherical":
        pytest.skip("a spherical component is one in its own units")
    x, factor = clusters(), np.array([1e-4, 1.0, 1e5])
    models = []
    for data in (x, 1e7 + x * factor):
        model = GaussianMixture(3, 3, covariance=covariance, floor=0.0)
        model.fit(Points(data), np.random.default_rng(0), iterations=30)
        models.append(model)
    assert np.allclose(models[0].weights, models[1].weights, atol=1e-3)
    assert np.allclose((models[1].means - 1e7) / factor, models[0].means, atol=1e-2)


def test_the_order_of_components_changes_nothing(covariance):
    x = clusters()
    model, other = (GaussianMixture(3, 3, covariance=covariance) for _ in range(2))
    for one in (model, other):
        one.begin(Points(x), np.random.default_rng(0))
    order = [2, 0, 1]
    other.weights, other.means = model.weights[order], model.means[order]
    if covariance != "tied":
        other.covariances = model.covariances[order]
    bounds = [em(one, lambda: [Points(x)], iterations=10).lower_bounds for one in (model, other)]
    assert bounds[0] == pytest.approx(bounds[1])


def test_samples_have_the_moments_and_the_fit_finds_them_again(covariance):
    model = GaussianMixture(2, 2, covariance=covariance)
    model.begin(Points(clusters(400, 2)), np.random.default_rng(0))
    model.weights, model.means = np.array([0.3, 0.7]), np.array([[-9.0, 0.0], [9.0, 3.0]])
    x = model.sample(40_000, np.random.default_rng(1))
    again = GaussianMixture(2, 2, covariance=covariance)
    again.fit(Points(x), np.random.default_rng(2), tolerance=1e-9)
    order = np.argsort(again.means[:, 0])
    assert np.allclose(again.weights[order], model.weights, atol=0.02)
    assert np.allclose(again.means[order], model.means, atol=0.2)
    assert np.allclose(whole(again)[order], whole(model), rtol=0.1, atol=0.3)


def test_degenerate_data_has_its_limit_and_an_empty_component_is_reseeded(covariance):
    equal = np.full((50, 2), 3.0)
    model = GaussianMixture(2, 2, covariance=covariance, floor=1e-4)
    model.fit(Points(equal), np.random.default_rng(0), iterations=10)
    assert np.isfinite(model.log_prob(equal)).all()
    assert np.allclose(model.means, 3.0, atol=0.1)
    x = clusters(100, 2)
    model = GaussianMixture(3, 2, covariance=covariance)
    model.begin(Points(x), np.random.default_rng(0))
    model.means[1], before = 1e6, model.reseeded
    model.maximize(model.summarize(Points(x)))
    assert model.reseeded == before + 1
    assert np.abs(model.means).max() < 1e3
    assert model.weights.sum() == pytest.approx(1.0)


def test_restarts_keep_the_best():
    x = clusters(200, 2, seed=3)
    one, many = (
        GaussianMixture(4, 2).fit(Points(x), np.random.default_rng(5), restarts=n).lower_bounds[-1] for n in (1, 6)
    )
    assert many >= one


def test_bad_data_is_refused():
    model, rng = GaussianMixture(2, 2), np.random.default_rng(0)
    with pytest.raises(FitError, match="point 1, coordinate 0 is nan"):
        model.fit(Points(np.array([[0.0, 1.0], [np.nan, 2.0]])), rng)
    with pytest.raises(ShapeError, match="points of width 2 were expected"):
        model.fit(Points(np.zeros((3, 5))), rng)
    with pytest.raises(FitError, match="all weights are zero"):
        model.fit(Points(np.zeros((3, 2)), np.zeros(3)), rng)
    with pytest.raises(ShapeError, match="none below 0"):
        model.fit(Points(np.zeros((3, 2)), np.array([1.0, -1.0, 0.0])), rng)
    with pytest.raises(ConfigError, match="must be one of full, tied"):
        GaussianMixture(2, 2, covariance="round")
    with pytest.raises(ShapeError, match="2 centers for 1 points"):
        model.fit(Points(np.zeros((1, 2))), rng)


def test_k_means_finds_clusters_and_moves_empty_centres():
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(at, 0.1, (50, 2)) for at in (0.0, 5.0, 10.0)])
    centers = k_means(x, 3, rng)
    assert np.allclose(np.sort(centers[:, 0]), [0, 5, 10], atol=0.2)
    own, distances = nearest(x, centers)
    brute_force = ((x[:, None] - centers[None]) ** 2).sum(-1)
    assert (own == brute_force.argmin(1)).all()
    assert np.allclose(distances, brute_force.min(1))
    assert k_means(np.zeros((4, 2)), 3, rng).shape == (3, 2)


def test_a_component_that_collapses_onto_a_point_says_nothing_of_overflow():
    """Found by a search: without a floor its spread is the smallest number there is."""
    x = np.concatenate((np.random.default_rng(0).normal(0.0, 1.0, (40, 1)), [[3.0]]))
    model = GaussianMixture(2, 1, covariance="full", floor=0.0)
    model.weights = np.array([0.98, 0.02])
    model.means, model.covariances = np.array([[0.0], [3.0]]), np.array([[[1.0]], [[1e-12]]])
    assert np.isfinite(model.summarize(Points(x)).log_likelihood)
