"""Gaussian mixtures by variational Bayes: a posterior over the parameters instead of a point estimate.

    π ~ Dirichlet(α₀),   Λ_k ~ Wishart(W₀, ν₀),   μ_k | Λ_k ~ N(m₀, (β₀ Λ_k)⁻¹),   x | k ~ N(μ_k, Λ_k⁻¹)

q(π) q(μ, Λ) q(z) is found by coordinate ascent. q(z) depends on the points only through E[log π_k N(x; μ_k, Λ_k⁻¹)], which is
quadratic in x like the log-likelihood, so that the same `Quadratics` apply, with expected parameters, and the same moments
determine the posterior. The bound is Σ_n log Σ_k exp E[…] − KL(q(parameters) ‖ p(parameters)).

m₀ and W₀⁻¹ are the mean and the covariance of the data. With α₀ well below 1, components that are not needed stay empty.
`diagonal` has a gamma distribution for the precision of each coordinate, `spherical` one for all coordinates of a component, and
`tied` one Wishart distribution for all components.

Source: bishop2006, section 10.2, eqs. 10.58–10.66 and 10.71–10.77.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import gammaln, multigammaln, psi

from foldin.display import Display, Displayed, numbers, shortened
from foldin.errors import ConfigError
from foldin.inference.arguments import check_number
from foldin.inference.covariances import inverse_roots
from foldin.inference.em import EMResult, Maximizable, Statistics, em
from foldin.inference.gaussian_mixture import COVARIANCES, Points, check, clustered
from foldin.inference.moments import Moments
from foldin.inference.quadratics import Frame, Quadratics
from foldin.tensors import Array, Float64, Int64

__all__ = ["VariationalGaussianMixture"]

_LOG_2_PI = float(np.log(2.0 * np.pi))


@dataclass(frozen=True)
class _Precisions:
    """q of the precisions: gamma (shape a, rate b) or Wishart (ν, W⁻¹); `shape` holds a or ν, and `rate` b or W⁻¹."""

    wishart: bool
    shape: Float64[Array, "..."]
    rate: Float64[Array, "..."]

    @property
    def width(self) -> int:
        return self.rate.shape[-1]

    @cached_property
    def _inverse(self) -> tuple[Float64[Array, "rows width width"], Float64[Array, " rows"]]:
        """(R with R Rᵀ = W, log |W⁻¹|) of each Wishart."""
        return inverse_roots(self.rate)

    @cached_property
    def roots(self) -> Float64[Array, "..."]:
        """R with R Rᵀ = E[Λ], or the square root of E[λ]."""
        if self.wishart:
            return np.sqrt(self.shape)[:, None, None] * self._inverse[0]
        return np.sqrt(self.shape / self.rate)

    def log_det(self) -> Float64[Array, " rows"]:
        """E[log |Λ|] of each Wishart distribution, or of each row of gamma distributions."""
        if self.wishart:
            steps = 0.5 * (self.shape[:, None] - np.arange(self.width))
            return psi(steps).sum(axis=1) + self.width * np.log(2.0) - self._inverse[1]
        return (psi(self.shape) - np.log(self.rate)).sum(axis=1)

    def kl(self, prior: "_Precisions") -> float:
        """KL(q ‖ prior) in nats, summed over all precisions."""
        if not self.wishart:
            a, b, a0, b0 = self.shape, self.rate, prior.shape, prior.rate
            terms = (a - a0) * psi(a) - gammaln(a) + gammaln(a0) + a0 * (np.log(b) - np.log(b0)) + a * (b0 - b) / b
            return float(np.sum(terms))
        total = 0.0
        steps = 0.5 * np.arange(self.width)
        log_ratio = self._inverse[1] - prior._inverse[1]
        # Computed from factors, whose condition number is the square root of that of the matrices.
        traces = np.square(self._inverse[0].transpose(0, 2, 1) @ np.linalg.cholesky(prior.rate)).sum(axis=(1, 2))
        for row, nu in enumerate(self.shape):
            nu0 = prior.shape[row]
            total += 0.5 * (nu0 * log_ratio[row] + nu * traces[row] - nu * self.width)
            total += multigammaln(0.5 * nu0, self.width) - multigammaln(0.5 * nu, self.width)
            total += 0.5 * (nu - nu0) * psi(0.5 * nu - steps).sum()
        return float(total)


class VariationalGaussianMixture(Maximizable[Points], Displayed):
    """The variational posterior of a mixture of Gaussians, fitted by coordinate ascent.

    Args:
        components: maximum number of components.
        width: dimension of a point.
        covariance: `full`, `tied`, `diagonal` or `spherical`.
        concentration: α₀; 1 / components if None.
        strength: β₀, the weight of the prior mean in points.
        degrees: ν₀ > width − 1; the width if None.

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
        if covariance not in COVARIANCES:
            raise ConfigError(f"covariance = {covariance!r}: must be one of {', '.join(COVARIANCES)}")
        if components < 1 or width < 1:
            raise ConfigError(f"a mixture of {components} Gaussians of width {width} cannot be")
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
        self._frame = Frame(np.zeros(width), np.ones(width))
        self._origin = np.zeros(width)  # m₀
        self._centres = np.zeros((components, width))  # relative to m₀, in units of the frame's scale
        self._prior = self._q = self._prior_of(np.eye(width))

    def display(self) -> Display:
        weights = self.alpha / self.alpha.sum()
        rows = [
            (str(at), f"{weight:.4f}", numbers(mean))
            for at, (weight, mean) in enumerate(zip(weights.tolist(), self.means.tolist(), strict=True))
        ]
        title = (
            f"Posterior of a mixture of at most {self.components:,} Gaussians of width {self.width:,}, "
            f"{self.covariance} covariances"
        )
        return shortened(title, ("component", "expected weight", "expected mean"), rows)

    @property
    def _squares(self) -> bool:
        return self.covariance in ("diagonal", "spherical")

    @property
    def means(self) -> Float64[Array, "components width"]:
        """E[μ] of each component, in the units of the data."""
        return self._origin + self._frame.scale * self._centres

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
        """Set the prior from the data, and initialize with clusters, given by `labels` or found by k-means."""
        check(points, self.width)
        self._frame, moments = clustered(
            points,
            self.components,
            rng,
            labels=labels,
            squares=self._squares,
            round_scale=self.covariance == "spherical",
        )
        overall = moments.together()
        self._origin = overall.mean[0]
        covariance = self._framed(overall.covariance)[0]
        covariance = np.diag(covariance) if self._squares else covariance
        self._prior = self._prior_of(covariance + 1e-10 * np.eye(self.width))
        self.maximize(Statistics({"moments": moments}, 0.0, float(moments.weight.sum())))

    def _framed(self, matrices: Float64[Array, "rows ..."]) -> Float64[Array, "rows ..."]:
        """Covariances or scatters (or their diagonals) in units of the frame's scale."""
        scale = self._frame.scale
        return matrices / (scale**2 if self._squares else np.outer(scale, scale))

    def summarize(self, batch: Points) -> Statistics:
        """Expected moments under q(z), and the part of the bound that depends on the points, in nats."""
        check(batch, self.width)
        x, weights = batch
        weight = float(len(x)) if weights is None else float(weights.sum())
        # A scatter is added to that of the prior, so digits far below the latter are lost in any case.
        prior = self._prior_scatter()[0]
        least = (prior if self._squares else np.diag(prior)) * self._frame.scale**2 / max(weight, 1.0)
        moments, log_likelihood = self._quadratics().expected(x, weights, least)
        return Statistics({"moments": moments}, log_likelihood, weight)

    def _quadratics(self) -> Quadratics:
        """E[log π_k N(x; μ_k, Λ_k⁻¹)] of every component under q of the parameters, as functions of x in nats."""
        scale, log_det = self._frame.scale, self._q.log_det()
        if self._q.wishart:
            roots = np.broadcast_to(self._q.roots, (self.components, self.width, self.width)) / scale[:, None]
        else:
            roots = np.broadcast_to(self._q.roots, self._centres.shape) / scale
        if self.covariance == "spherical":
            log_det = self.width * log_det
        constant = psi(self.alpha) - psi(self.alpha.sum()) + 0.5 * log_det - np.log(scale).sum()
        constant = constant - 0.5 * self.width * (_LOG_2_PI + 1.0 / self.beta)
        return Quadratics(constant, self.means, roots, self._frame)

    def maximize(self, statistics: Statistics) -> None:
        moments: Moments = statistics.sums["moments"]
        counts, mean = moments.weight, (moments.mean - self._origin) / self._frame.scale
        self.alpha, self.beta = self.concentration + counts, self.strength + counts
        self._centres = counts[:, None] * mean / self.beta[:, None]
        pull = (self.strength * counts / self.beta)[:, None]
        if self._squares:
            own = self._framed(moments.scatter) + pull * mean**2
        else:
            own = self._framed(moments.scatter) + pull[:, :, None] * mean[:, :, None] * mean[:, None, :]
        if self.covariance == "tied":
            own = np.broadcast_to(own.sum(axis=0), own.shape)
        self._q = self._made(self._prior_scatter() + own, counts, float(counts.sum()))

    def _prior_scatter(self) -> Float64[Array, "..."]:
        """W₀⁻¹ of each component, or its diagonal for diagonal and spherical covariances."""
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
        m, roots = self._centres, self._q.roots
        away = m * roots if self._squares else (m[:, None, :] @ roots)[:, 0]
        kl += 0.5 * self.strength * float(np.square(away).sum())
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
        """Fit by coordinate ascent from k-means; the result has the ELBO before each iteration and at the end, in nats."""
        self.begin(points, rng)
        return em(self, lambda: [points], iterations=iterations, tolerance=tolerance, check=check)

    def shares(self) -> Float64[Array, " components"]:
        """Expected weights E[π] of the components."""
        return self.alpha / self.alpha.sum()
