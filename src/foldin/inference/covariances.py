"""Covariance matrices of mixture components: square roots of their inverses, and a floor on their eigenvalues."""

import numpy as np

from foldin.errors import FitError
from foldin.tensors import Array, Float64

__all__ = ["RESOLVED", "inverse_roots", "raised"]

# Times the width and the largest eigenvalue of a matrix: a smaller eigenvalue is rounding error.
RESOLVED = 100.0 * float(np.finfo(float).eps)


def inverse_roots(matrices: Float64[Array, "components width width"]) -> tuple[Array, Float64[Array, " components"]]:
    """(R with R Rᵀ = A⁻¹, log |A|) of each positive definite matrix A, by its Cholesky factor.

    Raises:
        FitError: a matrix is not positive definite; the message says which.
    """
    try:
        factors = np.linalg.cholesky(matrices)
    except np.linalg.LinAlgError:
        k = int(np.linalg.eigvalsh(matrices)[:, 0].argmin())
        raise FitError(
            f"component {k}: its covariance is singular, for its points do not spread in every direction: "
            "give a floor above 0, or fewer components"
        ) from None
    return np.linalg.inv(factors).transpose(0, 2, 1), 2.0 * np.log(np.einsum("kii->ki", factors)).sum(axis=1)


def raised(
    matrices: Float64[Array, "components width width"], least: Float64[Array, " width"]
) -> Float64[Array, "components width width"]:
    """The maximum-likelihood covariances above the floor: in units of the floor, eigenvalues below 1 are raised to 1.

    Eigenvalues that are lost to rounding beside the largest are raised too, since the matrix could not represent them.
    """
    floor, own = bool((least > 0).all()), np.einsum("kii->ki", matrices)
    unit = np.sqrt(np.broadcast_to(least, own.shape) if floor else np.where(own > 0, own, 1.0))
    units = unit[:, :, None] * unit[:, None, :]
    resolved = RESOLVED * own.shape[1] * (own / unit**2).sum(axis=1)
    values, vectors = np.linalg.eigh(matrices / units)
    low = np.maximum(1.0 if floor else 0.0, resolved)[:, None]
    raised = (vectors * np.maximum(values, low)[:, None]) @ vectors.transpose(0, 2, 1)
    raised = 0.5 * (raised + raised.transpose(0, 2, 1)) * units
    return np.where((values < low).any(axis=1)[:, None, None], raised, matrices)
