"""Values in other units: the estimate of c x is that of x in units of c, for c from 1e-200 to 1e200."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foldin import probability as pr
from foldin.errors import ConfigError, FitError, ShapeError
from tests.probability.test_fits import CASES

POSITIVE = np.random.default_rng(0).gamma(2.0, 1.0, 40)
REAL = np.random.default_rng(3).standard_t(3, 40) + 0.5
# Family → (fit, values, power of c that each parameter grows by).
SCALED: dict[str, tuple[Callable, np.ndarray, dict[str, int]]] = {
    "normal": (pr.fit_normal, REAL, {"loc": 1, "scale": 1}),
    "laplace": (pr.fit_laplace, REAL, {"loc": 1, "scale": 1}),
    "student t": (pr.fit_student_t, REAL, {"df": 0, "loc": 1, "scale": 1}),
    "exponential": (pr.fit_exponential, POSITIVE, {"rate": -1}),
    "gamma": (pr.fit_gamma, POSITIVE, {"concentration": 0, "rate": -1}),
    "inverse gamma": (pr.fit_inverse_gamma, POSITIVE, {"concentration": 0, "rate": 1}),
    "log-normal": (pr.fit_log_normal, POSITIVE, {"scale": 0}),
    "multivariate normal": (
        pr.fit_multivariate_normal,
        np.random.default_rng(0).normal(size=(20, 3)),
        {"loc": 1, "scale_tril": 1},
    ),
}


@pytest.mark.parametrize("family", SCALED)
@settings(max_examples=15)
@given(power=st.floats(-200.0, 200.0))
def test_values_in_other_units(family, power):
    fit, x, powers = SCALED[family]
    c = 10.0**power
    one, other = fit(x), fit(c * x)
    for name, degree in powers.items():
        unit = c**degree
        found = getattr(other.distribution, name).numpy() / unit
        # Rounding of c x moves every value by one part in 10¹⁶.
        assert found == pytest.approx(getattr(one.distribution, name).numpy(), rel=1e-9, abs=1e-12)
        if name in one.standard_errors:
            error = other.standard_errors[name].numpy() / unit
            assert error == pytest.approx(one.standard_errors[name].numpy(), rel=1e-8)
    moved = len(x) * (x.shape[1] if x.ndim > 1 else 1) * math.log(c)
    assert other.log_likelihood == pytest.approx(one.log_likelihood - moved, rel=1e-10, abs=1e-8)


@pytest.mark.parametrize("family", ["normal", "laplace", "student t"])
@settings(max_examples=15)
@given(shift=st.integers(-(2**40), 2**40))
def test_values_far_from_the_origin(family, shift):
    fit, x, powers = SCALED[family]
    x = np.round(x * 1024.0) / 1024.0  # so that the sum is exact
    one, other = fit(x), fit(x + shift)
    assert float(other.distribution.loc) == pytest.approx(float(one.distribution.loc) + shift, rel=1e-15, abs=1e-12)
    for name in powers.keys() - {"loc"}:
        assert float(getattr(other.distribution, name)) == pytest.approx(
            float(getattr(one.distribution, name)), rel=1e-9
        )
    assert other.log_likelihood == pytest.approx(one.log_likelihood, rel=1e-12)


@settings(max_examples=40)
@given(st.floats(0.5, 1e10), st.integers(0, 1000))
def test_a_gamma_of_any_shape_is_found(shape, seed):
    x = np.random.default_rng(seed).gamma(shape, 1.0, 400)
    found = pr.fit_gamma(x)
    away = abs(float(found.distribution.concentration) - shape)
    assert away < 6.0 * float(found.standard_errors["concentration"]) + 0.05 * shape
    upside = pr.fit_inverse_gamma(1.0 / x).distribution.concentration
    assert float(upside) == pytest.approx(float(found.distribution.concentration), rel=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_weights_of_any_size(name):
    fit, truth = CASES[name]
    x = pr.sample(truth, 60, np.random.default_rng(1)).numpy()
    w = np.random.default_rng(2).random(60)
    one = fit(x, weights=w)
    for c in (1e-250, 1e250):
        other = fit(x, weights=w * c)
        assert other.log_likelihood / c == pytest.approx(one.log_likelihood, rel=1e-9)
        for parameter, error in one.standard_errors.items():
            own = getattr(other.distribution, parameter).numpy()
            assert own == pytest.approx(getattr(one.distribution, parameter).numpy(), rel=1e-9)
            assert other.standard_errors[parameter].numpy() * math.sqrt(c) == pytest.approx(error.numpy(), rel=1e-9)
    with pytest.raises(FitError, match="more than a float holds"):
        fit(x, weights=np.full(60, 1e308))
    with pytest.raises(FitError, match="not negative; the first that is not: -1 at 1"):
        fit(x, weights=np.r_[1.0, -1.0, np.ones(58)])
    with pytest.raises(FitError, match="the first that is not: nan at 0"):
        fit(x, weights=np.r_[np.nan, np.ones(59)])


@pytest.mark.parametrize("name", CASES)
def test_values_of_other_types_and_no_values(name):
    fit, truth = CASES[name]
    x = pr.sample(truth, 60, np.random.default_rng(1)).numpy()
    single = fit(x.astype(np.float32), weights=np.ones(60, dtype=np.int64))
    wide = fit(x.astype(np.float32).astype(np.float64))
    assert single.log_likelihood == pytest.approx(wide.log_likelihood, rel=1e-12)
    with pytest.raises(ShapeError, match="at least one value"):
        fit(x[:0])
    with pytest.raises(FitError, match="real numbers"):
        fit(np.full(x.shape, "a"))
    with pytest.raises(FitError, match="real numbers"):
        fit(x + 1j)
    for bad in (np.nan, np.inf, -np.inf):
        broken = x.copy()
        broken.flat[x.size // 2] = bad
        with pytest.raises(FitError, match=f"{bad:g}"):
            fit(broken)
    if name in ("gamma", "normal", "student t", "beta"):
        assert fit(x, weights=np.r_[np.zeros(30), np.ones(30)]).log_likelihood == pytest.approx(
            fit(x[30:]).log_likelihood
        )


@pytest.mark.parametrize("number", [0, -1, 10**30])
def test_a_number_of_trials_or_categories_that_is_none(number):
    with pytest.raises(ConfigError, match=f"trials = {number}: must be a whole number from 1 to"):
        pr.fit_binomial(np.zeros(3), number)
    with pytest.raises(ConfigError, match=f"k = {number}: must be a whole number from 1 to"):
        pr.fit_categorical(np.zeros(3), number)
