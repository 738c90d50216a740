"""Maximum-likelihood estimation for positive definite matrices: the Wishart distribution."""

import math
import warnings

import numpy as np
import torch
from torch.distributions import Wishart

from foldin.errors import FitError, ShapeError
from foldin.probability.fitted import Fitted, Weights, checked, fitted
from foldin.probability.root import crossing
from foldin.probability.special import digamma_gap, excess, stirling, trigamma_gap
from foldin.tensors import Array, Float64

__all__ = ["fit_wishart"]

_LOG_2_PI = math.log(2.0 * math.pi)


def _standardized(x: Float64[Array, "n k k"]) -> tuple[Float64[Array, "n k k"], Array]:
    """(matrices with each coordinate in units of 2^exponent, so that diagonals are at most 1; the exponents)."""
    largest = np.diagonal(x, axis1=1, axis2=2).max(axis=0)
    exponent = (np.frexp(largest)[1] + 1) // 2
    return np.ldexp(x, -(exponent[:, None] + exponent)), exponent


def _refuse_others(x: Float64[Array, "n k k"]) -> None:
    """Check that every matrix is symmetric and positive definite.

    Raises:
        FitError: a matrix is not; the message says which.
    """
    diagonal = np.diagonal(x, axis1=1, axis2=2)
    good = np.asarray((diagonal > 0).all(axis=1))
    roots = np.sqrt(np.where(good[:, None], diagonal, 1.0))
    correlation = x / roots[:, :, None] / roots[:, None, :]
    good &= (np.abs(correlation - np.swapaxes(correlation, 1, 2)) < 1e-5).all(axis=(1, 2))
    good &= torch.linalg.cholesky_ex(torch.from_numpy(correlation))[1].numpy() == 0
    if not good.all():
        raise FitError(f"Wishart: matrix {int(np.argmin(good))} is not symmetric and positive definite")


def fit_wishart(x: Float64[Array, "n k k"] | Array, weights: Weights = None) -> Fitted:
    """Maximum-likelihood estimate of a Wishart distribution, with the standard error of ν.

    The scale matrix is S̄/ν, with S̄ the mean of the matrices; ν solves Σ_j [log(ν/2) − ψ((ν − j)/2)] = log |S̄| − mean log |X|.

    Args:
        x: positive definite matrices.
        weights: weight of each matrix.

    Raises:
        ShapeError: the matrices are not square.
        FitError: a matrix is not symmetric and positive definite, or all matrices are equal: ν → ∞.
    """
    x, p, total = checked(x, weights, name="Wishart", axes=3)
    width = x.shape[1]
    if x.shape[2] != width:
        raise ShapeError(f"Wishart: square matrices were expected, not {width} × {x.shape[2]}")
    _refuse_others(x)
    own, exponent = _standardized(x)
    average = np.einsum("n,nij->ij", p, own)
    lower = np.linalg.cholesky(average)
    # Eigenvalues of L⁻¹ X L⁻ᵀ − 1, whose average is 0, so that each log-determinant is a sum of small terms.
    inner = np.linalg.solve(lower, np.swapaxes(np.linalg.solve(lower, own - average), 1, 2))
    values = np.linalg.eigvalsh(0.5 * (inner + np.swapaxes(inner, 1, 2)))
    near = np.abs(values).max(axis=1) < 0.5
    logs = np.linalg.slogdet(own)[1] - np.linalg.slogdet(average)[1]
    gap = float(p @ np.where(near, excess(np.where(near[:, None], values, 0.0)).sum(axis=1), values.sum(axis=1) - logs))
    if gap <= 1e-28:
        raise FitError(
            "Wishart: all matrices are equal: the likelihood has no maximum, it grows without bound as df goes to ∞"
        )
    steps = np.arange(width)

    def score(k: float) -> float:
        nu = k + width - 1.0
        return float((digamma_gap(0.5 * (nu - steps)) - np.log1p(-steps / nu)).sum()) - gap

    k = crossing(score, 0.5 * width * (width + 1) / gap)
    if k is None:
        raise FitError("Wishart: the matrices differ by so little that df at the maximum is beyond what a float holds")
    nu = k + width - 1.0
    free = k + (width - 1.0 - steps)  # ν − j
    bend = 0.5 * float(((trigamma_gap(0.5 * free) + steps / nu) / free).sum())
    log_det = 2.0 * float(np.log(np.diag(lower)).sum() + exponent.sum() * math.log(2.0))
    value = (
        -0.5 * (width + 1) * log_det - 0.5 * (nu - width - 1.0) * gap - 0.25 * width * (width - 1) * math.log(math.pi)
    )
    terms = 0.5 * np.log(0.5 * free) + 0.5 * steps * math.log(0.5 * nu) - stirling(0.5 * free) - 0.5 * _LOG_2_PI
    value += float((terms - 0.5 * free * excess(steps / free)).sum())
    factor = np.ldexp(lower / math.sqrt(nu), exponent[:, None])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch warns that its draws may be singular where ν < k
        return fitted(
            "Wishart", Wishart, {"df": nu, "scale_tril": factor}, {"df": 1.0 / math.sqrt(total * bend)}, total * value
        )
