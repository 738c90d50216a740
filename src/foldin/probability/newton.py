"""Newton's method for the few estimates that have no closed form."""

from collections.abc import Callable

import numpy as np

from foldin.errors import FitError
from foldin.tensors import Array, Float64

__all__ = ["maximise"]

_HALVINGS = 60


def maximise(
    function: Callable[[Float64[Array, " k"]], float],
    slope: Callable[[Float64[Array, " k"]], tuple[Float64[Array, " k"], Float64[Array, "k k"]]],
    start: Float64[Array, " k"],
    *,
    name: str,
    iterations: int = 200,
    tolerance: float = 1e-12,
    most: float = 1e15,
) -> Float64[Array, " k"]:
    """Where the function is largest: Newton steps on log x, so that x stays positive, halved until the function rises.

    Args:
        function: of x > 0.
        slope: its gradient and Hessian in x.
        start: a first guess.
        name: of what is fitted, for the error.
        most: a parameter beyond it (or below its inverse) has no maximum.

    Raises:
        FitError: no maximum was reached.
    """
    u = np.log(start)
    value = function(np.exp(u))
    for _ in range(iterations):
        x = np.exp(u)
        gradient, hessian = slope(x)
        g = gradient * x
        H = hessian * np.outer(x, x) + np.diag(g)
        # Uphill even where the function is not concave in log x.
        values, vectors = np.linalg.eigh(-H)
        step = vectors @ ((vectors.T @ g) / np.maximum(np.abs(values), 1e-10 * max(1.0, np.abs(values).max())))
        step = np.clip(step, -3.0, 3.0)
        if np.abs(step).max() < tolerance:
            return x
        for _ in range(_HALVINGS):
            found = function(np.exp(u + step))
            if np.isfinite(found) and found >= value - 1e-13 * abs(value):
                break
            step = step / 2.0
        else:
            return x
        u, value = u + step, found
        if np.abs(u).max() > np.log(most):
            raise FitError(f"{name}: the likelihood of these values has no maximum")
    raise FitError(f"{name}: Newton's method did not converge in {iterations} steps")
