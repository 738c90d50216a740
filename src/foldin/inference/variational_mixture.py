"""Gaussian mixtures by variational Bayes: a posterior over the parameters instead of a point.

    π ~ Dirichlet(α₀),   Λ_k ~ Wishart(W₀, ν₀),   μ_k | Λ_k ~ N(m₀, (β₀ Λ_k)⁻¹),   x | k ~ N(μ_k, Λ_k⁻¹)

q(π) q(μ, Λ) q(z) is found by coordinate ascent. q(z) looks at the points through E[log π_k N(x; μ_k, Λ_k⁻¹)] alone, which is
linear in T(x) = (1, x, x xᵀ) as the likelihood is: the same product serves, with expected natural parameters, and the same
moments lead to the posterior. The bound is Σ_n log Σ_k exp E[…] − KL(q(parameters) ‖ p(parameters)).

m₀ and W₀⁻¹ are the mean and the covariance of the data. With α₀ well below 1, components that are not needed are left empty.
`diagonal` has a gamma for the precision of each coordinate, `spherical` one for all coordinates of a component, `tied` one
Wishart for all components.

Source: bishop2006, section 10.2, eqs. 10.58–10.66 and 10.71–10.77.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln, multigammaln, psi

from foldin.errors import ConfigError
from foldin.inference.arguments import check_number
from foldin.inference.em import EMResult, Maximisable, Statistics, em
from foldin.inference.gaussian_mixture import GaussianMixture, Points, moments_of, quadratic, summarise
from foldin.tensors import Array, Float64, Int64

__all__ = ["VariationalGaussianMixture"]

_LOG_2_PI = float(np.log(2.0 * np.pi))


@dataclass(frozen=True)
class _Precisions:
    """q of the precisions: gammas (shape a, rate b) or Wisharts (ν, W⁻¹); `rate` holds b, or W⁻¹."""

    wishart: bool
    shape: Float64[Array, "..."]
    rate: Float64[Array, "..."]

    @property
    def width(self) -> int:
        return self.rate.shape[-1]

    @property
    def mean(self) -> Float64[Array, "..."]:
        """E[Λ]."""
        if self.wishart:
            return self.shape[:, None, None] * np.linalg.inv(self.rate)
        return self.shape / self.rate

    def log_det(self) -> Float64[Array, " rows"]:
        """E[log |Λ|] of each row: of a Wishart, or over a row of gammas."""
        if self.wishart:
            steps = 0.5 * (self.shape[:, None] - np.arange(self.width))
            return psi(steps).sum(axis=1) + self.width * np.log(2.0) - np.linalg.slogdet(self.rate)[1]
        return (psi(self.shape) - np.log(self.rate)).sum(axis=1)

    def kl(self, prior: "_Precisions") -> float:
        """KL(q ‖ prior), summed."""
        if not self.wishart:
            a, b, a0, b0 = self.shape, self.rate, prior.shape, prior.rate
            terms = (a - a0) * psi(a) - gammaln(a) + gammaln(a0) + a0 * (np.log(b) - np.log(b0)) + a * (b0 - b) / b
            return float(np.sum(terms))
        total = 0.0
        steps = 0.5 * np.arange(self.width)
        inverse = np.linalg.inv(self.rate)
        log_ratio = np.linalg.slogdet(self.rate)[1] - np.linalg.slogdet(prior.rate)[1]
        for row, nu in enumerate(self.shape):
            nu0 = prior.shape[row]
            total += 0.5 * (nu0 * log_ratio[row] + nu * np.trace(prior.rate[row] @ inverse[row]) - nu * self.width)
            total += multigammaln(0.5 * nu0, self.width) - multigammaln(0.5 * nu, self.width)
            total += 0.5 * (nu - nu0) * psi(0.5 * nu - steps).sum()
        return float(total)


class VariationalGaussianMixture(Maximisable[Points]):
    """The posterior of a mixture of Gaussians, and its coordinate ascent.

    Args:
        components: at most this many are used.
        width: of a point.
        covariance: `full`, `tied`, `diagonal` or `spherical`.
        concentration: α₀; 1 / components when None.
        strength: β₀, how many points the prior mean weighs.
        degrees: ν₀ > width − 1; the width when None.

    Posterior parameters: `alpha` (components), `beta` (components), `means` (components × width, in the units of the data).
    """

    def __init__(
        self,
        components: int,
        width: int,
        *,
        covariance: str = "full",
        concentration: float | None = None,
        strength: float = 1.0,
        degrees: float | None = None,
    ) -> None:
        self._points = GaussianMixture(components, width, covariance=covariance)  # what moves, scales and checks points
        self.components, self.width, self.covariance = components, width, covariance
        self.concentration = 1.0 / components if concentration is None else concentration
        self.strength, self.degrees = strength, float(width) if degrees is None else degrees
        for name, value in (("concentration", self.concentration), ("strength", strength), ("degrees", self.degrees)):
            check_number(name, value)
        if self.concentration <= 0 or strength <= 0 or self.degrees <= width - 1:
            raise ConfigError(
                f"concentration {self.concentration:g} and strength {strength:g} must be above 0, "
                f"degrees {self.degrees:g} above {width - 1}"
            )
        self.alpha = np.full(components, self.concentration)
        self.beta = np.full(components, strength)
        self._centres = np.zeros((components, width))
        self._prior = self._q = self._prior_of(np.eye(width))

    @property
    def _squares(self) -> bool:
        return self.covariance in ("diagonal", "spherical")

    @property
    def means(self) -> Float64[Array, "components width"]:
        """E[μ] of each component."""
        return self._points.shift + self._points.scale * self._centres

    def _prior_of(self, covariance: Float64[Array, "width width"]) -> _Precisions:
        scatter = np.diag(covariance) if self._squares else covariance
        return self._made(np.broadcast_to(scatter, (self.components, *scatter.shape)), np.zeros(self.components), 0.0)

    def _made(self, scatter: Array, counts: Float64[Array, " components"], total: float) -> _Precisions:
        """q of the precisions from each component's scatter matrix (or its diagonal)."""
        if self.covariance == "full":
            return _Precisions(True, self.degrees + counts, scatter)
        if self.covariance == "tied":
            return _Precisions(True, np.array([self.degrees + total]), scatter[:1])
        if self.covariance == "diagonal":
            return _Precisions(
                False, np.broadcast_to(0.5 * (self.degrees + counts)[:, None], scatter.shape), 0.5 * scatter
            )
        shape = 0.5 * self.width * (self.degrees + counts)[:, None]
        return _Precisions(False, shape, 0.5 * scatter.sum(axis=1, keepdims=True))

    def begin(self, points: Points, rng: np.random.Generator, *, labels: Int64[Array, " points"] | None = None) -> None:
        """Set the prior from the data, and start from the clusters of `labels`, or of k-means."""
        statistics = self._points.clustered(points, rng, labels)
        overall = Statistics({"moments": statistics.sums["moments"].sum(axis=0, keepdims=True)}, 0.0, statistics.weight)
        _, mean, second = moments_of(overall.sums["moments"], self.width, self._squares)
        spread = second[0] - (mean[0] ** 2 if self._squares else np.outer(mean[0], mean[0]))
        covariance = np.diag(spread) if self._squares else spread
        self._prior = self._prior_of(covariance + 1e-10 * np.eye(self.width))
        self.maximise(statistics)

    def summarise(self, batch: Points) -> Statistics:
        """Expected T(x) under q(z), with the points' part of the bound."""
        return summarise(self._points, self.natural(), batch)

    def natural(self) -> Float64[Array, "features components"]:
        """E[η] of every component."""
        m, mean = self._centres, self._q.mean
        log_det = self._q.log_det()
        if self.covariance == "spherical":
            log_det, mean = self.width * log_det, np.broadcast_to(mean, m.shape)
        if self.covariance == "tied":
            mean = np.broadcast_to(mean, (self.components, self.width, self.width))
        linear = mean * m if self._squares else np.einsum("kij,kj->ki", mean, m)
        constant = (
            psi(self.alpha) - psi(self.alpha.sum()) + 0.5 * log_det - 0.5 * self.width * (_LOG_2_PI + 1.0 / self.beta)
        )
        return quadratic(constant - 0.5 * np.einsum("ki,ki->k", linear, m), linear, mean)

    def maximise(self, statistics: Statistics) -> None:
        counts, mean, second = moments_of(statistics.sums["moments"], self.width, self._squares)
        self.alpha, self.beta = self.concentration + counts, self.strength + counts
        # The prior mean is that of the data: 0 where the points are moved to.
        self._centres = counts[:, None] * mean / self.beta[:, None]
        n = counts[:, None] if self._squares else counts[:, None, None]
        pull = (self.strength * counts / self.beta)[:, None]
        if self._squares:
            own = n * np.maximum(second - mean**2, 0.0) + pull * mean**2
        else:
            outer = mean[:, :, None] * mean[:, None, :]
            own = n * (second - outer) + pull[:, :, None] * outer
        if self.covariance == "tied":
            own = np.broadcast_to(own.sum(axis=0), own.shape)
        self._q = self._made(self._prior_scatter() + own, counts, float(counts.sum()))

    def _prior_scatter(self) -> Float64[Array, "..."]:
        """W₀⁻¹ (its diagonal, where that is all there is)."""
        rate = self._prior.rate
        if self.covariance == "diagonal":
            return 2.0 * rate
        if self.covariance == "spherical":
            return np.broadcast_to(2.0 * rate / self.width, (self.components, self.width))
        return np.broadcast_to(rate, (self.components, self.width, self.width))

    def log_prior(self) -> float:
        """−KL(q(parameters) ‖ p(parameters)), in nats."""
        a, a0 = self.alpha, np.full(self.components, self.concentration)
        kl = gammaln(a.sum()) - gammaln(a).sum() - gammaln(a0.sum()) + gammaln(a0).sum()
        kl += float(np.sum((a - a0) * (psi(a) - psi(a.sum()))))
        ratio = self.strength / self.beta
        kl += 0.5 * self.width * float(np.sum(ratio - 1.0 - np.log(ratio)))
        m, mean = self._centres, self._q.mean
        if self._squares:
            kl += 0.5 * self.strength * float(np.sum(m * m * mean))
        else:
            whole = np.broadcast_to(mean, (self.components, self.width, self.width))
            kl += 0.5 * self.strength * float(np.einsum("ki,kij,kj->", m, whole, m))
        return -(float(kl) + self._q.kl(self._prior))

    def fit(
        self,
        points: Points,
        rng: np.random.Generator,
        *,
        iterations: int = 200,
        tolerance: float = 1e-3,
        check: bool = False,
    ) -> EMResult:
        """Coordinate ascent from k-means; the bounds are the ELBO before each sweep, and at the end."""
        self.begin(points, rng)
        return em(self, lambda: [points], iterations=iterations, tolerance=tolerance, check=check)

    def shares(self) -> Float64[Array, " components"]:
        """E[π]."""
        return self.alpha / self.alpha.sum()
