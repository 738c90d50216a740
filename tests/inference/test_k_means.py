"""Nearest centers and k-means where squares would drown differences: far from the origin, in single precision."""

import numpy as np
import pytest

from foldin.inference import k_means, nearest


def squares(x: np.ndarray, centers: np.ndarray) -> np.ndarray:
    return np.square(x[:, None].astype(np.float64) - centers[None]).sum(axis=2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("offset", [0.0, 1e4, 1e6, -3e5])
def test_the_nearest_is_found_wherever_the_points_lie(dtype, offset):
    rng = np.random.default_rng(0)
    x = (offset + rng.standard_normal((800, 6))).astype(dtype)
    centers = (offset + rng.standard_normal((40, 6))).astype(dtype)
    own, distances = nearest(x, centers)
    exact = squares(x, centers)
    assert exact[np.arange(800), own] == pytest.approx(exact.min(axis=1), rel=1e-3)
    assert distances == pytest.approx(exact.min(axis=1), rel=1e-2 if dtype == np.float32 else 1e-9)
    # Ties apart, it is the very center.
    assert (own == exact.argmin(axis=1)).mean() > 0.99


def test_tight_clusters_far_from_each_other_in_single_precision():
    rng = np.random.default_rng(1)
    x = np.concatenate([at + 0.1 * rng.standard_normal((300, 4)) for at in (1e4, -1e4, 3e4)]).astype(np.float32)
    centers = x[::30]
    own, distances = nearest(x, centers)
    exact = squares(x, centers)
    assert (own == exact.argmin(axis=1)).all()
    assert distances == pytest.approx(exact.min(axis=1), rel=1e-5)


def test_a_centre_far_off_does_not_blur_the_others():
    rng = np.random.default_rng(2)
    x = rng.standard_normal((400, 3)).astype(np.float32)
    centers = np.concatenate((x[:20], np.full((1, 3), 1e7, np.float32)))
    own, distances = nearest(x, centers)
    exact = squares(x, centers)
    assert (own == exact.argmin(axis=1)).all()
    assert (distances[:20] == 0).all()


def test_of_equal_centres_the_first():
    x = np.random.default_rng(3).standard_normal((50, 2)).astype(np.float32)
    centers = np.concatenate((x[:3], x[:3], x[:1]))
    assert (nearest(x[:3], centers)[0] == [0, 1, 2]).all()


@pytest.mark.parametrize(("offset", "dtype"), [(1e4, np.float32), (-1e5, np.float32), (1e9, np.float64)])
def test_k_means_finds_clusters_far_from_the_origin(offset, dtype):
    rng = np.random.default_rng(4)
    true = rng.integers(5, size=1000)
    places = np.array([[0.0, 0.0], [6.0, 0.0], [0.0, 6.0], [6.0, 6.0], [12.0, 3.0]])
    x = (offset + places[true] + 0.3 * rng.standard_normal((1000, 2))).astype(dtype)
    found = min((k_means(x, 5, np.random.default_rng(seed)) for seed in range(3)), key=lambda c: nearest(x, c)[1].sum())
    own = nearest(x, found)[0]
    # One cluster, one center.
    assert len({(a, b) for a, b in zip(true.tolist(), own.tolist(), strict=True)}) == 5
    means = np.stack([x[true == k].mean(axis=0, dtype=np.float64) for k in range(5)])
    assert np.sqrt(squares(means, found).min(axis=1)).max() < 0.02
