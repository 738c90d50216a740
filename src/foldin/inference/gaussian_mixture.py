"""Gaussian mixtures by EM.

    p(x) = Σ_k π_k N(x; μ_k, Σ_k),   r_nk ∝ π_k N(x_n; μ_k, Σ_k),   π_k = Σ_n r_nk / N,   μ_k, Σ_k the moments weighted by r_k

With Σ_k = L Lᵀ, log π_k N(x; μ_k, Σ_k) = c_k − ½ ‖(x − μ_k) L⁻ᵀ‖²: the functions of `quadratics.py`, which give the E-step and
the moments of all components at once.

No variance, in any direction, falls below a floor; without one the likelihood has no maximum, since a component may shrink onto a
point. The M-step maximizes the likelihood among the parameters above the floor, so that no step lowers the bound. The floor is a
share of the variance within the initial clusters, so that data in other units have the same mixture in those units. An empty
component takes over half of the largest one and is counted in `reseeded`; this may lower the bound.

Source: bishop2006, section 9.2; dempster1977.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp

from foldin.display import Display, Displayed, numbers, shortened
from foldin.errors import ConfigError, FitError, ShapeError
from foldin.inference.arguments import check_count, check_number
from foldin.inference.covariances import RESOLVED, inverse_roots, raised
from foldin.inference.em import EMResult, Maximizable, Statistics, em
from foldin.inference.k_means import k_means, nearest
from foldin.inference.moments import Moments, scales
from foldin.inference.quadratics import Frame, Quadratics
from foldin.tensors import Array, Float64, Int64

__all__ = ["COVARIANCES", "GaussianMixture", "Points", "check", "clustered"]

COVARIANCES = ("full", "tied", "diagonal", "spherical")
_CLUSTERED = 100_000  # most points that k-means uses
_LOG_2_PI = float(np.log(2.0 * np.pi))


class Points(NamedTuple):
    """Data with weights: a point of weight 2 counts as if it were there twice."""

    x: Float64[Array, "points width"]
    weights: Float64[Array, " points"] | None = None


def check(points: Points, width: int) -> None:
    """Check that points have the given width and finite coordinates, and that their weights are valid.

    Raises:
        ShapeError: points of another width, or weights of another number, below 0 or not finite.
        FitError: a coordinate that is not finite; the message says which.
    """
    x, weights = points
    if x.ndim != 2 or x.shape[1] != width:
        raise ShapeError(f"points of width {width} were expected, not an array of shape {x.shape}")
    with np.errstate(all="ignore"):
        finite = bool(np.isfinite(x.sum()))  # one sum is faster than a test of each value
    if not finite and not np.isfinite(x).all():
        row, column = np.argwhere(~np.isfinite(x))[0]
        raise FitError(f"point {row}, coordinate {column} is {x[row, column]}")
    if weights is not None and (len(weights) != len(x) or not np.isfinite(weights).all() or (weights < 0).any()):
        raise ShapeError("weights must be as many as the points, and none below 0")


def clustered(
    points: Points,
    components: int,
    rng: np.random.Generator,
    *,
    labels: Int64[Array, " points"] | None = None,
    squares: bool = False,
    round_scale: bool = False,
) -> tuple[Frame, Moments]:
    """(frame fitted to the points, moments of their clusters), with the clusters given by `labels` or found by k-means.

    Args:
        squares: whether to compute only the diagonals of the scatter matrices.
        round_scale: whether all coordinates share one scale.

    Raises:
        ShapeError: labels of another number than the points, or outside [0, components).
        FitError: all weights are zero, or there are no points.
    """
    x, weights = points
    w = np.ones(len(x)) if weights is None else weights
    if w.sum() <= 0:
        raise FitError("all weights are zero")
    some, own_weights = x[w > 0], w[w > 0]
    scale = scales(some, own_weights)
    if round_scale:
        scale[:] = np.sqrt((scale**2).mean())
    # Relative to the median, most points keep their digits, however far away some of them lie.
    frame = Frame(np.median(some, axis=0), scale)
    if labels is None:
        kept = frame(some)
        centers = k_means(kept[rng.permutation(len(kept))[:_CLUSTERED]], components, rng)
        own = nearest(kept, centers)[0]
    else:
        if len(labels) != len(x) or labels.min() < 0 or labels.max() >= components:
            raise ShapeError(f"labels must be {len(x)} numbers in [0, {components})")
        own = labels[w > 0]
    parts = [Moments.of(some[own == k], own_weights[own == k], squares=squares) for k in range(components)]
    return frame, Moments(
        np.concatenate([part.weight for part in parts]),
        np.concatenate([part.mean for part in parts]),
        np.concatenate([part.scatter for part in parts]),
    )


class GaussianMixture(Maximizable[Points], Displayed):
    """A mixture of Gaussians, fitted by EM.

    Args:
        components: number of components.
        width: dimension of a point.
        covariance: `full`, `tied` (one for all components), `diagonal` or `spherical`.
        floor: smallest variance of each coordinate, ≥ 0, as a share of its variance within the initial clusters (of 1 before
            `begin` is called).

    `weights` (components), `means` (components × width) and `covariances` (`full`: components × width × width, `tied`: width ×
    width, `diagonal`: components × width, `spherical`: components) are in the units of the data, as is `least` (width), the floor
    itself. `shift` and `scale` (width) are the translation and scaling of points before they are squared, which affect only
    rounding.
    """

    def __init__(self, components: int, width: int, *, covariance: str = "full", floor: float = 1e-6) -> None:
        if covariance not in COVARIANCES:
            raise ConfigError(f"covariance = {covariance!r}: must be one of {', '.join(COVARIANCES)}")
        if components < 1 or width < 1 or not 0 <= floor < np.inf:
            raise ConfigError(f"a mixture of {components} Gaussians of width {width} with floor {floor:g} cannot be")
        check_number("floor", floor, least=0.0)
        self.components, self.width, self.covariance, self.floor = components, width, covariance, floor
        self.shift, self.scale = np.zeros(width), np.ones(width)
        self.least = np.full(width, floor)
        self.reseeded = 0
        self.weights = np.full(components, 1.0 / components)
        self.means = np.zeros((components, width))
        shapes = {"full": (components, width, width), "tied": (width, width), "diagonal": (components, width)}
        whole = np.eye(width) if covariance in ("full", "tied") else np.ones(())
        self.covariances = np.broadcast_to(whole, shapes.get(covariance, (components,))).copy()

    def display(self) -> Display:
        rows = [
            (str(at), f"{weight:.4f}", numbers(mean))
            for at, (weight, mean) in enumerate(zip(self.weights.tolist(), self.means.tolist(), strict=True))
        ]
        title = f"Mixture of {self.components:,} Gaussians of width {self.width:,}, {self.covariance} covariances"
        return shortened(title, ("component", "weight", "mean"), rows)

    @property
    def _squares(self) -> bool:
        return self.covariance in ("diagonal", "spherical")

    def begin(self, points: Points, rng: np.random.Generator, *, labels: Int64[Array, " points"] | None = None) -> None:
        """Initialize parameters and floor from the moments of clusters, given by `labels` or found by k-means."""
        self._begin(points, rng, labels, None)

    def _begin(
        self,
        points: Points,
        rng: np.random.Generator,
        labels: Int64[Array, " points"] | None,
        least: Float64[Array, " width"] | None,
    ) -> None:
        """`begin`, with the floor `least` if it is already known."""
        check(points, self.width)
        frame, moments = clustered(
            points,
            self.components,
            rng,
            labels=labels,
            squares=self._squares,
            round_scale=self.covariance == "spherical",  # spherical in the units of the data
        )
        self.shift, self.scale = frame.shift, frame.scale
        self.least = self.floor * self._within(moments) if least is None else least
        self.maximize(Statistics({"moments": moments}, 0.0, float(moments.weight.sum())))

    def _within(self, moments: Moments) -> Float64[Array, " width"]:
        """Variance of each coordinate within clusters; its total variance where every cluster is a point."""
        scatter = moments.scatter if self._squares else np.einsum("kii->ki", moments.scatter)
        # The rounding error of equal points does not count as variance.
        rounding = moments.weight[:, None] * (RESOLVED * np.abs(moments.mean)) ** 2
        within = np.where(scatter > rounding, scatter, 0.0).sum(axis=0) / moments.weight.sum()
        if self.covariance == "spherical":
            within[:] = within.mean()
        return np.where(within > 0, within, self.scale**2)

    def _quadratics(self) -> Quadratics:
        """log π_k N(x; μ_k, Σ_k) of every component, as functions of x in nats."""
        constant = np.log(np.maximum(self.weights, np.finfo(float).tiny)) - 0.5 * self.width * _LOG_2_PI
        if self._squares:
            own = self.covariances if self.covariance == "diagonal" else self.covariances[:, None]
            variances = np.broadcast_to(own, self.means.shape)
            if not (variances > 0).all():
                k = int(np.argwhere(~(variances > 0))[0, 0])
                raise FitError(f"component {k}: a variance of it is 0: give a floor above 0, or fewer components")
            roots, log_dets = 1.0 / np.sqrt(variances), np.log(variances).sum(axis=1)
        elif self.covariance == "tied":
            root, log_det = inverse_roots(self.covariances[None])
            roots = np.broadcast_to(root, (self.components, self.width, self.width))
            log_dets = np.broadcast_to(log_det, (self.components,))
        else:
            roots, log_dets = inverse_roots(self.covariances)
        return Quadratics(constant - 0.5 * log_dets, self.means, roots, Frame(self.shift, self.scale))

    def summarize(self, batch: Points) -> Statistics:
        """E-step: the expected moments of every component, and the log-likelihood in nats."""
        check(batch, self.width)
        x, weights = batch
        moments, log_likelihood = self._quadratics().expected(x, weights, self.least)
        return Statistics(
            {"moments": moments}, log_likelihood, float(len(x)) if weights is None else float(weights.sum())
        )

    def maximize(self, statistics: Statistics) -> None:
        moments: Moments = statistics.sums["moments"]
        weight, least = moments.weight, self.least
        if self.covariance == "diagonal":
            self.covariances = np.maximum(moments.covariance, least)
        elif self.covariance == "spherical":
            self.covariances = np.maximum(moments.covariance.mean(axis=1), least.mean())
        elif self.covariance == "tied":
            self.covariances = raised(moments.scatter.sum(axis=0, keepdims=True) / weight.sum(), least)[0]
        else:
            self.covariances = raised(moments.covariance, least)
        self.weights, self.means = weight / weight.sum(), moments.mean.copy()
        for empty in np.flatnonzero(weight < 1e-10 * weight.sum()):
            self._split(int(empty))

    def _split(self, empty: int) -> None:
        """Give an empty component half of the largest, and move both by a standard deviation apart along the longest axis."""
        largest = int(self.weights.argmax())
        self.weights[[empty, largest]] = self.weights[largest] / 2.0
        if self._squares:
            variances = np.broadcast_to(np.atleast_1d(self.covariances[largest]), (self.width,))
            step = np.where(np.arange(self.width) == variances.argmax(), np.sqrt(variances), 0.0)
        else:
            own = self.covariances if self.covariance == "tied" else self.covariances[largest]
            values, vectors = np.linalg.eigh(own)
            step = vectors[:, -1] * np.sqrt(values[-1])
        self.means[empty], self.means[largest] = self.means[largest] + step, self.means[largest] - step
        if self.covariance != "tied":
            self.covariances[empty] = self.covariances[largest]
        self.reseeded += 1

    def fit(
        self,
        points: Points,
        rng: np.random.Generator,
        *,
        restarts: int = 1,
        iterations: int = 100,
        tolerance: float = 1e-3,
        check: bool = False,
    ) -> EMResult:
        """Fit by EM from k-means, keeping the best of several starts.

        Raises:
            ShapeError, FitError: invalid points or weights; the message says which.
            ConfigError: `restarts` is below 1.
        """
        check_count("restarts", restarts, 1)
        best: tuple[EMResult, Array, Array, Array] | None = None
        least: Array | None = None
        for _ in range(restarts):
            self._begin(points, rng, None, least)
            least = self.least  # the same for all starts, so that their bounds are comparable
            found = em(self, lambda: [points], iterations=iterations, tolerance=tolerance, check=check)
            if best is None or found.lower_bounds[-1] > best[0].lower_bounds[-1]:
                best = found, self.weights, self.means, self.covariances
        assert best is not None
        result, self.weights, self.means, self.covariances = best
        return result

    def log_prob(self, x: Float64[Array, "points width"]) -> Float64[Array, " points"]:
        """log p(x) of each point, in nats."""
        check(Points(x), self.width)
        return logsumexp(self._quadratics()(x), axis=1)

    def responsibilities(self, x: Float64[Array, "points width"]) -> Float64[Array, "points components"]:
        """p(component | x) of each point."""
        check(Points(x), self.width)
        scores = self._quadratics()(x)
        return np.exp(scores - logsumexp(scores, axis=1, keepdims=True))

    def sample(self, n: int, rng: np.random.Generator) -> Float64[Array, "n width"]:
        """n draws from the mixture."""
        check_count("n", n, 0)
        own = rng.choice(self.components, size=n, p=self.weights)
        noise = rng.standard_normal((n, self.width))
        if self._squares:
            roots = np.sqrt(self.covariances if self.covariance == "diagonal" else self.covariances[:, None])
            return self.means[own] + np.broadcast_to(roots, self.means.shape)[own] * noise
        chol = np.linalg.cholesky(np.broadcast_to(self.covariances, (self.components, self.width, self.width)))
        return self.means[own] + np.einsum("nij,nj->ni", chol[own], noise)
