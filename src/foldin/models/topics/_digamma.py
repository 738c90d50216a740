"""The digamma function in single precision, by arithmetic that NumPy vectorizes."""

import numpy as np

from foldin.tensors import Array, Float32

__all__ = ["digamma"]


def digamma(x: Float32[Array, "..."]) -> Float32[Array, "..."]:
    """ψ(x) for 10⁻¹⁵ < x < 10⁹, to 10⁻⁶ of the larger of 1 and |ψ(x)|: E[log y] of a Gamma(x, 1).

    ψ(x) = ψ(x + 4) − Σ_{j<4} 1/(x + j), and exp ψ(u + ½) = u + 1/(24 u) − 37/(5760 u³) + O(u⁻⁵).

    Source: abramowitz1964, 6.3.6 and 6.3.18.
    """
    first = x + np.float32(3.0)
    numerator = x + first  # 2x + 3
    outer = (
        x * first
    )  # x(x + 3), of the first and the last of the four; the two between have (x + 1)(x + 2), which is 2 more
    inner = outer + np.float32(2.0)
    numerator *= outer + inner
    inner *= outer
    numerator /= inner
    u = np.add(x, np.float32(3.5), out=first)
    inverse = np.reciprocal(u, out=outer)
    series = np.multiply(inverse, inverse, out=inner)
    series *= np.float32(-37.0 / 5760.0)
    series += np.float32(1.0 / 24.0)
    series *= inverse
    series += u
    np.log(series, out=series)
    series -= numerator
    return series
