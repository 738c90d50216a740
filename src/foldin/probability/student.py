"""Maximum likelihood of Student's t and of the Wishart distribution."""

import numpy as np
from scipy.special import digamma, gammaln, multigammaln, polygamma
from torch.distributions import StudentT, Wishart

from foldin.errors import FitError
from foldin.probability.fitted import Fitted, checked, fitted, number, refuse_equal
from foldin.probability.newton import maximise
from foldin.tensors import Array, Float64

__all__ = ["fit_student_t", "fit_wishart"]

_NORMAL = 1e5  # degrees of freedom beyond which a t distribution is a normal one


def fit_student_t(x: Array, weights: Float64[Array, " n"] | None = None) -> Fitted:
    """Location and scale by EM, the degrees of freedom by Newton on the likelihood in between (ECME).

    Source: liu1995, section 2; standard errors from the expected information of lange1989, appendix B.

    Raises:
        FitError: values that are equal, or with lighter tails than a normal's, for which ν has no maximum.
    """
    x, w, total = checked(x, weights, name="Student t")
    refuse_equal(x, w, "Student t")
    mean = float(w @ x / total)
    scale = float(np.sqrt(w @ (x - mean) ** 2 / total / 2.0))
    nu, value = 4.0, -np.inf
    for _ in range(2000):
        squares = ((x - mean) / scale) ** 2

        def function(k: Array, squares: Array = squares) -> float:
            v = k[0]
            own = gammaln((v + 1) / 2) - gammaln(v / 2) - 0.5 * np.log(v * np.pi)
            return float(own - 0.5 * (v + 1) * (w @ np.log1p(squares / v)) / total)

        def slope(k: Array, squares: Array = squares) -> tuple[Array, Array]:
            v = k[0]
            first = 0.5 * (digamma((v + 1) / 2) - digamma(v / 2) - 1.0 / v)
            first -= 0.5 * (w @ np.log1p(squares / v)) / total
            first += 0.5 * (v + 1) * (w @ (squares / (v * v + v * squares))) / total
            second = 0.25 * (polygamma(1, (v + 1) / 2) - polygamma(1, v / 2)) + 0.5 / v**2
            second += (w @ (squares / (v * v + v * squares))) / total
            second -= 0.5 * (v + 1) * (w @ (squares * (2 * v + squares) / (v * v + v * squares) ** 2)) / total
            return np.array([first]), np.array([[float(second)]])

        nu = float(maximise(function, slope, np.array([nu]), name="Student t, degrees of freedom", most=_NORMAL)[0])
        found = function(np.array([nu])) - np.log(scale)
        pull = w * (nu + 1.0) / (nu + squares)
        mean = float(pull @ x / pull.sum())
        scale = float(np.sqrt(pull @ (x - mean) ** 2 / total))
        if found - value < 1e-13 * abs(found):
            break
        value = found
    of_nu = 0.25 * (polygamma(1, nu / 2) - polygamma(1, (nu + 1) / 2)) - (nu + 5) / (2 * nu * (nu + 1) * (nu + 3))
    of_scale, both = 2 * nu / ((nu + 3) * scale**2), -2.0 / (scale * (nu + 1) * (nu + 3))
    covariance = np.linalg.inv(np.array([[of_scale, both], [both, float(of_nu)]])) / total
    errors = {
        "loc": scale * np.sqrt((nu + 3) / ((nu + 1) * total)),
        "scale": np.sqrt(covariance[0, 0]),
        "df": np.sqrt(covariance[1, 1]),
    }
    return fitted(StudentT(number(nu), number(mean), number(scale)), errors, x, w)


def fit_wishart(x: Array, weights: Float64[Array, " n"] | None = None) -> Fitted:
    """Degrees of freedom by Newton on the profile likelihood, scale matrix S̄/ν. The standard error is that of ν.

    Args:
        x: positive definite matrices.
        weights: of each.

    Raises:
        FitError: a matrix that is not symmetric and positive definite, or matrices that are all equal.
    """
    x, w, total = checked(x, weights, name="Wishart", axes=3)
    width = x.shape[1]
    log_dets = np.linalg.slogdet(x)[1]
    good = np.isclose(x, np.swapaxes(x, 1, 2)).all(axis=(1, 2)) & (np.linalg.eigvalsh(x).min(axis=1) > 0)
    if not good.all():
        raise FitError(f"Wishart: matrix {int((~good).argmax())} is not symmetric and positive definite")
    average = np.einsum("n,nij->ij", w, x) / total
    gap = float(np.linalg.slogdet(average)[1] - w @ log_dets / total)
    if gap <= 1e-14:
        raise FitError("Wishart: all matrices are equal: the likelihood has no maximum")
    least, steps = width - 1.0, np.arange(width) / 2.0

    def function(k: Array) -> float:
        nu = k[0] + least
        return float(0.5 * nu * (width * np.log(nu / 2.0) - gap - width) - multigammaln(nu / 2.0, width))

    def slope(k: Array) -> tuple[Array, Array]:
        nu = k[0] + least
        first = 0.5 * (width * np.log(nu / 2.0) - gap - digamma(nu / 2.0 - steps).sum())
        return np.array([first]), np.array([[0.5 * width / nu - 0.25 * polygamma(1, nu / 2.0 - steps).sum()]])

    k = maximise(function, slope, np.array([width / gap * (width + 1) / 2 + 1.0]), name="Wishart")
    nu = float(k[0]) + least
    error = np.sqrt(-1.0 / (total * slope(k)[1][0, 0]))
    found = Wishart(number(nu), covariance_matrix=number(average / nu))
    return fitted(found, {"df": error}, x, w)
