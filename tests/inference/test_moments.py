"""Sums of 1, x and x xᵀ kept about their mean: they add up exactly, wherever the points lie."""

import numpy as np
import pytest

from foldin.errors import FitError
from foldin.inference.moments import Moments, scales


@pytest.mark.parametrize("offset", [0.0, 1e4, 1e9])
def test_parts_add_up_to_the_whole(offset):
    rng = np.random.default_rng(0)
    x, weights = offset + rng.normal(size=(90, 3)), rng.integers(0, 3, 90).astype(float)
    parts = [Moments.of(x[at : at + 20], weights[at : at + 20]) for at in range(0, 90, 20)]
    total = parts[0] + parts[1] + parts[2] + parts[3] + parts[4]
    repeated = np.repeat(x, weights.astype(int), axis=0)
    assert total.weight[0] == len(repeated)
    assert total.mean[0] == pytest.approx(repeated.mean(axis=0), rel=1e-15)
    assert total.covariance[0] == pytest.approx(np.cov(repeated.T, bias=True), abs=1e-6 if offset else 1e-12)


def test_a_scaled_sum_is_that_of_so_many_data():
    x, y = np.random.default_rng(1).normal(size=(2, 30, 2))
    some = 3.0 * Moments.of(x) + np.float64(2.0) * Moments.of(y)
    whole = Moments.of(np.concatenate((x, x, x, y, y)))
    assert some.weight == pytest.approx(whole.weight)
    assert some.mean == pytest.approx(whole.mean)
    assert some.scatter == pytest.approx(whole.scatter)


def test_nothing_adds_nothing_whatever_its_mean():
    x = np.random.default_rng(2).normal(size=(20, 2))
    nothing = Moments(np.zeros(1), np.full((1, 2), 1e30), np.zeros((1, 2, 2)))
    for total in (nothing + Moments.of(x), Moments.of(x) + nothing):
        assert (total.mean == Moments.of(x).mean).all()
        assert (total.scatter == Moments.of(x).scatter).all()


def test_components_together_are_all_of_the_data():
    x, y = np.random.default_rng(3).normal(size=(2, 25, 2)) + np.array([0.0, 5.0])[:, None, None]
    parts = [Moments.of(x), Moments.of(y)]
    each = Moments(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("weight", "mean", "scatter")))
    assert each.together().covariance[0] == pytest.approx(np.cov(np.concatenate((x, y)).T, bias=True))


def test_scales_are_standard_deviations_and_a_constant_takes_that_of_the_others():
    x = np.random.default_rng(4).normal(size=(50, 3))
    x[:, 1] = 0.1
    found = scales(x, None)
    assert found[[0, 2]] == pytest.approx(x[:, [0, 2]].std(axis=0))
    assert found[1] == pytest.approx(np.sqrt((found[[0, 2]] ** 2).mean()))
    assert (scales(np.full((4, 2), 7.0), None) == 1.0).all()
    with pytest.raises(FitError, match="coordinate 1 strays 1e\\+200 from its mean"):
        scales(np.array([[0.0, 1e200], [1.0, -1e200]]), None)
