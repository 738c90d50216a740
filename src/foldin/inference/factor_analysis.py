"""Factor analysis and probabilistic PCA by EM.

    z ~ N(0, I),   x = W z + μ + ε,   ε ~ N(0, Ψ),   so that x ~ N(μ, C),  C = W Wᵀ + Ψ

Ψ is diagonal (factor analysis) or σ² I (probabilistic PCA). With V = (I + Wᵀ Ψ⁻¹ W)⁻¹, β = V Wᵀ Ψ⁻¹ = Wᵀ C⁻¹ and S the
covariance of the data,

    E   E[z|x] = β (x − μ),   mean of E[zzᵀ] = V + β S βᵀ
    M   W ← S βᵀ E[zzᵀ]⁻¹,    Ψ ← diag(S − W β S), or the mean of that; at least a floor, a share of the variance of the data

All of this follows from the moments of the data, which can be merged and averaged whatever μ is. The quadratic form is computed
as a sum of squares, which loses no digits: (x−μ)ᵀ C⁻¹ (x−μ) = (x − μ − W ẑ)ᵀ Ψ⁻¹ (x − μ − W ẑ) + ẑᵀ ẑ with ẑ = E[z|x].

Source: rubin1982; ghahramani1996, eqs. 5–6; tipping1999, eqs. 3–8 and 27–28.
"""

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from foldin.display import Display, Displayed, numbers, shortened
from foldin.errors import ConfigError, FitError, ShapeError
from foldin.inference.arguments import check_count, check_number
from foldin.inference.em import EMResult, Maximizable, Statistics, em
from foldin.inference.moments import Moments, scales
from foldin.tensors import Array, Float64

__all__ = ["FactorAnalysis"]

_LOG_2_PI = float(np.log(2.0 * np.pi))


class FactorAnalysis(Maximizable[Array], Displayed):
    """A Gaussian whose covariance is of low rank plus diagonal noise, fitted by EM.

    Args:
        factors: dimension of z, below that of x.
        width: dimension of x.
        isotropic: whether all coordinates share one noise variance (probabilistic PCA).
        floor: smallest noise variance, > 0, as a share of the variance of each coordinate in the data given to `begin` (of the
            mean of these variances if isotropic).

    The parameters are `loadings` (width × factors), `mean` (width) and `noise` (width); `least` (width) holds the floor in the
    units of `noise`.
    """

    def __init__(self, factors: int, width: int, *, isotropic: bool = False, floor: float = 1e-9) -> None:
        if not 1 <= factors < width or floor <= 0:
            raise ConfigError(
                f"factors = {factors}: must be ≥ 1 and < {width}, the width; floor = {floor:g}: must be > 0"
            )
        check_number("floor", floor, above=0.0)
        self.factors, self.width, self.isotropic, self.floor = factors, width, isotropic, floor
        self.loadings = np.zeros((width, factors))
        self.mean, self.noise, self.least = np.zeros(width), np.ones(width), np.full(width, floor)

    def display(self) -> Display:
        rows = [
            (str(at), f"{mean:.4g}", f"{noise:.4g}", numbers(loadings))
            for at, (mean, noise, loadings) in enumerate(
                zip(self.mean.tolist(), self.noise.tolist(), self.loadings.tolist(), strict=True)
            )
        ]
        kind = "Probabilistic PCA" if self.isotropic else "Factor analysis"
        title = f"{kind} of {self.width:,} coordinates by {self.factors:,} factor{'' if self.factors == 1 else 's'}"
        return shortened(title, ("coordinate", "mean", "noise variance", "loadings"), rows)

    def _check(self, x: Float64[Array, "points width"]) -> None:
        if x.ndim != 2 or x.shape[1] != self.width:
            raise ShapeError(f"points of width {self.width} were expected, not an array of shape {x.shape}")
        if not np.isfinite(x).all():
            row, column = np.argwhere(~np.isfinite(x))[0]
            raise FitError(f"point {row}, coordinate {column} is {x[row, column]}")

    def begin(self, x: Float64[Array, "points width"], rng: np.random.Generator) -> None:
        """Initialize with the mean, half of the variance as noise, and random loadings for the rest; sets the floor."""
        self._check(x)
        if len(x) == 0:
            raise FitError("there are no points to begin with")
        self.mean = x.mean(axis=0)
        variance = scales(x, None) ** 2
        typical = np.full(self.width, variance.mean()) if self.isotropic else variance
        self.noise, self.least = typical / 2.0, self.floor * typical
        self.loadings = (
            rng.standard_normal((self.width, self.factors)) * np.sqrt(variance / 2.0 / self.factors)[:, None]
        )

    def _posterior(self) -> tuple[Float64[Array, "factors width"], Float64[Array, "factors factors"], float]:
        """(β, V, log |C|) of the current parameters."""
        scaled = self.loadings / self.noise[:, None]
        chol = cho_factor(np.eye(self.factors) + self.loadings.T @ scaled, lower=True)
        log_det = np.log(self.noise).sum() + 2.0 * np.log(np.diag(chol[0])).sum()
        return cho_solve(chol, scaled.T), cho_solve(chol, np.eye(self.factors)), float(log_det)

    def log_prob(self, x: Float64[Array, "points width"]) -> Float64[Array, " points"]:
        """log p(x) of each point, in nats."""
        self._check(x)
        beta, _, log_det = self._posterior()
        away = x - self.mean
        z = away @ beta.T
        away -= z @ self.loadings.T
        squares = away**2 @ (1.0 / self.noise) + np.einsum("nk,nk->n", z, z)
        return -0.5 * (self.width * _LOG_2_PI + log_det + squares)

    def summarize(self, batch: Float64[Array, "points width"]) -> Statistics:
        """The moments of the batch, from which every expectation follows."""
        self._check(batch)
        return Statistics({"moments": Moments.of(batch)}, float(self.log_prob(batch).sum()), float(len(batch)))

    def maximize(self, statistics: Statistics) -> None:
        moments: Moments = statistics.sums["moments"]
        # The mean is that of the data, whatever the loadings.
        self.mean, S = moments.mean[0], moments.covariance[0]
        beta, V, _ = self._posterior()
        second = V + beta @ S @ beta.T
        self.loadings = np.linalg.solve(second, beta @ S).T
        noise = np.diag(S) - np.einsum("ik,ki->i", self.loadings, beta @ S)
        self.noise = np.maximum(np.full(self.width, noise.mean()) if self.isotropic else noise, self.least)

    def fit(
        self,
        x: Float64[Array, "points width"],
        rng: np.random.Generator,
        *,
        iterations: int = 1000,
        tolerance: float = 1e-8,
        check: bool = False,
    ) -> EMResult:
        """Fit by EM from a random start."""
        self.begin(x, rng)
        return em(self, lambda: [x], iterations=iterations, tolerance=tolerance, check=check)

    def posterior(
        self, x: Float64[Array, "points width"]
    ) -> tuple[Float64[Array, "points factors"], Float64[Array, "factors factors"]]:
        """(E[z|x] of each point, posterior covariance of z, which is the same for all points)."""
        self._check(x)
        beta, V, _ = self._posterior()
        return (x - self.mean) @ beta.T, V

    def sample(self, n: int, rng: np.random.Generator) -> Float64[Array, "n width"]:
        """n draws of x."""
        check_count("n", n, 0)
        z = rng.standard_normal((n, self.factors))
        return self.mean + z @ self.loadings.T + rng.standard_normal((n, self.width)) * np.sqrt(self.noise)
