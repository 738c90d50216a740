"""Factor analysis and probabilistic PCA by EM.

    z ~ N(0, I),   x = W z + μ + ε,   ε ~ N(0, Ψ),   so that x ~ N(μ, C),  C = W Wᵀ + Ψ

Ψ is diagonal (factor analysis) or σ² I (probabilistic PCA). With β = Wᵀ C⁻¹ and S the covariance of the data,

    E   E[z|x] = β (x − μ),   mean of E[zzᵀ] = I − βW + β S βᵀ
    M   W ← S βᵀ E[zzᵀ]⁻¹,    Ψ ← diag(S − W β S), or the mean of that

all of it from Σx and Σxxᵀ, which merge.

Source: rubin1982; ghahramani1996, eqs. 5–6; tipping1999, eqs. 3–8 and 27–28.
"""

import numpy as np

from foldin.errors import ConfigError, FitError, ShapeError
from foldin.inference.arguments import check_count, check_number
from foldin.inference.em import EMResult, Maximisable, Statistics, em
from foldin.tensors import Array, Float64

__all__ = ["FactorAnalysis"]

_LOG_2_PI = float(np.log(2.0 * np.pi))


class FactorAnalysis(Maximisable[Array]):
    """A Gaussian with a covariance of low rank plus noise, and its EM.

    Args:
        factors: width of z, below that of x.
        width: of x.
        isotropic: one noise variance for all coordinates: probabilistic PCA.
        floor: least noise variance, > 0.

    `loadings` (width × factors), `mean` (width), `noise` (width).
    """

    def __init__(self, factors: int, width: int, *, isotropic: bool = False, floor: float = 1e-9) -> None:
        if not 1 <= factors < width or floor <= 0:
            raise ConfigError(
                f"factors = {factors}: must be ≥ 1 and < {width}, the width; floor = {floor:g}: must be > 0"
            )
        check_number("floor", floor, above=0.0)
        self.factors, self.width, self.isotropic, self.floor = factors, width, isotropic, floor
        self.loadings = np.zeros((width, factors))
        self.mean, self.noise = np.zeros(width), np.ones(width)

    def _check(self, x: Float64[Array, "points width"]) -> None:
        if x.ndim != 2 or x.shape[1] != self.width:
            raise ShapeError(f"points of width {self.width} were expected, not an array of shape {x.shape}")
        if not np.isfinite(x).all():
            row, column = np.argwhere(~np.isfinite(x))[0]
            raise FitError(f"point {row}, coordinate {column} is {x[row, column]}")

    def begin(self, x: Float64[Array, "points width"], rng: np.random.Generator) -> None:
        """Start from the mean, half of the variance as noise, and random loadings for the rest."""
        self._check(x)
        self.mean = x.mean(axis=0)
        variance = np.maximum(x.var(axis=0), self.floor)
        self.noise = np.full(self.width, variance.mean() / 2.0) if self.isotropic else variance / 2.0
        self.loadings = (
            rng.standard_normal((self.width, self.factors)) * np.sqrt(variance / 2.0 / self.factors)[:, None]
        )

    def _precision(self) -> tuple[Float64[Array, "width width"], float]:
        """(C⁻¹, log |C|), by the identity of Woodbury."""
        scaled = self.loadings / self.noise[:, None]
        inner = np.eye(self.factors) + self.loadings.T @ scaled
        inverse = np.diag(1.0 / self.noise) - scaled @ np.linalg.solve(inner, scaled.T)
        return inverse, float(np.log(self.noise).sum() + np.linalg.slogdet(inner)[1])

    def log_prob(self, x: Float64[Array, "points width"]) -> Float64[Array, " points"]:
        """log p(x) of each point, in nats."""
        self._check(x)
        inverse, log_det = self._precision()
        away = x - self.mean
        return -0.5 * (self.width * _LOG_2_PI + log_det + np.einsum("ni,ij,nj->n", away, inverse, away))

    def summarise(self, batch: Float64[Array, "points width"]) -> Statistics:
        """Σ(x − μ) and Σ(x − μ)(x − μ)ᵀ, from which every expectation follows."""
        self._check(batch)
        away = batch - self.mean
        return Statistics(
            {"x": away.sum(axis=0), "xx": away.T @ away}, float(self.log_prob(batch).sum()), float(len(batch))
        )

    def maximise(self, statistics: Statistics) -> None:
        moved = statistics.sums["x"] / statistics.weight
        # The mean is that of the data, whatever the loadings: from the first step on it does not move.
        self.mean = self.mean + moved
        S = statistics.sums["xx"] / statistics.weight - np.outer(moved, moved)
        inverse, _ = self._precision()
        beta = self.loadings.T @ inverse
        second = np.eye(self.factors) - beta @ self.loadings + beta @ S @ beta.T
        self.loadings = np.linalg.solve(second, beta @ S).T
        noise = np.maximum(np.diag(S) - np.einsum("ik,ki->i", self.loadings, beta @ S), self.floor)
        self.noise = np.full(self.width, noise.mean()) if self.isotropic else noise

    def fit(
        self,
        x: Float64[Array, "points width"],
        rng: np.random.Generator,
        *,
        iterations: int = 1000,
        tolerance: float = 1e-8,
        check: bool = False,
    ) -> EMResult:
        """EM from a random start."""
        self.begin(x, rng)
        return em(self, lambda: [x], iterations=iterations, tolerance=tolerance, check=check)

    def posterior(
        self, x: Float64[Array, "points width"]
    ) -> tuple[Float64[Array, "points factors"], Float64[Array, "factors factors"]]:
        """(E[z|x] of each point, its covariance, the same for all)."""
        self._check(x)
        beta = self.loadings.T @ self._precision()[0]
        return (x - self.mean) @ beta.T, np.eye(self.factors) - beta @ self.loadings

    def sample(self, n: int, rng: np.random.Generator) -> Float64[Array, "n width"]:
        """Draws of x."""
        check_count("n", n, 0)
        z = rng.standard_normal((n, self.factors))
        return self.mean + z @ self.loadings.T + rng.standard_normal((n, self.width)) * np.sqrt(self.noise)
