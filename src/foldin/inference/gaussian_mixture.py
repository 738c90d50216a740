"""Gaussian mixtures by EM, as mixtures of an exponential family.

    p(x) = Σ_k π_k N(x; μ_k, Σ_k),      log π_k N(x; μ_k, Σ_k) = ⟨η_k, T(x)⟩,   T(x) = (1, x, x xᵀ)

with η_k = (log π_k − ½ μᵀΛμ + ½ log|Λ| − D/2 log 2π,  Λμ,  −½ Λ) and Λ = Σ_k⁻¹. The E-step for all components is one product of
T(X) with the natural parameters, the M-step one product of the responsibilities with T(X): its expected moments are
all that the parameters need. T(X) is made a block of points at a time, so that it stays in the cache.

Points are moved to mean 0 and scaled to variance 1 on the way into T, without which the squares would lose digits.

Source: bishop2006, section 9.2; dempster1977. Degenerate data: `floor` is added to every variance. A component that nothing
belongs to takes over half of the largest one, and is counted in `reseeded`.
"""

import itertools
from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp

from foldin.errors import ConfigError, FitError, ShapeError
from foldin.inference.arguments import check_count, check_number
from foldin.inference.em import EMResult, Maximisable, Statistics, em
from foldin.inference.k_means import k_means, nearest
from foldin.tensors import Array, Float64, Int64
from foldin.threads import on_threads, thread_count

__all__ = ["COVARIANCES", "GaussianMixture", "Points", "moments_of", "quadratic", "sufficient", "summarise"]

COVARIANCES = ("full", "tied", "diagonal", "spherical")
_BLOCK = 2048  # points whose T(x) is in the cache at once
_CLUSTERED = 100_000  # points that k-means looks at, at most
_LOG_2_PI = float(np.log(2.0 * np.pi))


class Points(NamedTuple):
    """Data with weights: a point of weight 2 counts as if it were there twice."""

    x: Float64[Array, "points width"]
    weights: Float64[Array, " points"] | None = None


def sufficient(x: Float64[Array, "points width"], squares: bool) -> Float64[Array, "points features"]:
    """T(x): 1, x, and the products x_i x_j for i ≤ j (or the squares alone)."""
    width = x.shape[1]
    many = width if squares else width * (width + 1) // 2
    made = np.empty((len(x), 1 + width + many))
    made[:, 0], made[:, 1 : 1 + width] = 1.0, x
    at = 1 + width
    if squares:
        np.multiply(x, x, out=made[:, at:])
        return made
    for i in range(width):
        np.multiply(x[:, i:], x[:, i : i + 1], out=made[:, at : at + width - i])
        at += width - i
    return made


def moments_of(
    sums: Float64[Array, "components features"], width: int, squares: bool
) -> tuple[Float64[Array, " components"], Float64[Array, "components width"], Float64[Array, "components ..."]]:
    """(weight, E[x], E[x xᵀ] or E[x²]) of each component, from its summed T(x)."""
    weight = np.maximum(sums[:, 0], np.finfo(float).tiny)
    mean, second = sums[:, 1 : 1 + width] / weight[:, None], sums[:, 1 + width :] / weight[:, None]
    if squares:
        return sums[:, 0], mean, second
    whole = np.empty((len(sums), width, width))
    upper = np.triu_indices(width)
    whole[:, upper[0], upper[1]] = second
    whole[:, upper[1], upper[0]] = second
    return sums[:, 0], mean, whole


def quadratic(
    constant: Float64[Array, " components"],
    linear: Float64[Array, "components width"],
    precision: Float64[Array, "components ..."],
) -> Float64[Array, "features components"]:
    """Natural parameters of constant + ⟨linear, x⟩ − ½ xᵀ precision x, in the order of T(x)."""
    if precision.ndim == 2:
        return np.concatenate((constant[:, None], linear, -0.5 * precision), axis=1).T
    upper = np.triu_indices(linear.shape[1])
    products = -precision[:, upper[0], upper[1]] * np.where(upper[0] == upper[1], 0.5, 1.0)
    return np.concatenate((constant[:, None], linear, products), axis=1).T


class GaussianMixture(Maximisable[Points]):
    """A mixture of Gaussians, and its EM.

    Args:
        components: how many.
        width: of a point.
        covariance: `full`, `tied` (one for all), `diagonal` or `spherical`.
        floor: added to every variance, ≥ 0.

    `weights` (components), `means` (components × width) and `covariances` (`full`: components × width × width, `tied`: width ×
    width, `diagonal`: components × width, `spherical`: components) are in the units of the data.
    """

    def __init__(self, components: int, width: int, *, covariance: str = "full", floor: float = 1e-6) -> None:
        if covariance not in COVARIANCES:
            raise ConfigError(f"covariance = {covariance!r}: must be one of {', '.join(COVARIANCES)}")
        if components < 1 or width < 1 or floor < 0:
            raise ConfigError(f"a mixture of {components} Gaussians of width {width} with floor {floor:g} cannot be")
        check_number("floor", floor, least=0.0)
        self.components, self.width, self.covariance, self.floor = components, width, covariance, floor
        self.shift, self.scale = np.zeros(width), np.ones(width)
        self.reseeded = 0
        self.weights = np.full(components, 1.0 / components)
        self.means = np.zeros((components, width))
        shapes = {"full": (components, width, width), "tied": (width, width), "diagonal": (components, width)}
        whole = np.eye(width) if covariance in ("full", "tied") else np.ones(())
        self.covariances = np.broadcast_to(whole, shapes.get(covariance, (components,))).copy()

    @property
    def _squares(self) -> bool:
        return self.covariance in ("diagonal", "spherical")

    def _check(self, points: Points) -> None:
        x, weights = points
        if x.ndim != 2 or x.shape[1] != self.width:
            raise ShapeError(f"points of width {self.width} were expected, not an array of shape {x.shape}")
        if not np.isfinite(x).all():
            row, column = np.argwhere(~np.isfinite(x))[0]
            raise FitError(f"point {row}, coordinate {column} is {x[row, column]}")
        if weights is not None and (len(weights) != len(x) or (weights < 0).any()):
            raise ShapeError("weights must be as many as the points, and none below 0")

    def begin(self, points: Points, rng: np.random.Generator, *, labels: Int64[Array, " points"] | None = None) -> None:
        """Start from the moments of clusters: those of `labels`, or of k-means."""
        self.maximise(self.clustered(points, rng, labels))

    def clustered(
        self, points: Points, rng: np.random.Generator, labels: Int64[Array, " points"] | None = None
    ) -> Statistics:
        """Move and scale the points from here on, and give the statistics of their clusters."""
        self._check(points)
        x, weights = points
        w = np.ones(len(x)) if weights is None else weights
        if w.sum() <= 0:
            raise FitError("all weights are zero")
        self.shift = np.average(x, axis=0, weights=w)
        spread = np.sqrt(np.average((x - self.shift) ** 2, axis=0, weights=w))
        if self.covariance == "spherical":  # which it is in the units of the data
            spread[:] = np.sqrt((spread**2).mean())
        self.scale = np.where(spread > 0, spread, 1.0)
        kept, own_weights = ((x - self.shift) / self.scale)[w > 0], w[w > 0]
        if labels is None:
            centres = k_means(kept[rng.permutation(len(kept))[:_CLUSTERED]], self.components, rng)
            own = nearest(kept, centres)[0]
        else:
            if len(labels) != len(x) or labels.min() < 0 or labels.max() >= self.components:
                raise ShapeError(f"labels must be {len(x)} numbers in [0, {self.components})")
            own = labels[w > 0]
        shares = np.zeros((len(kept), self.components))
        shares[np.arange(len(kept)), own] = own_weights
        moments = shares.T @ sufficient(kept, self._squares)
        return Statistics({"moments": moments}, 0.0, float(w.sum()))

    def natural(self) -> Float64[Array, "features components"]:
        """η of every component, for points that are moved and scaled."""
        means = (self.means - self.shift) / self.scale
        constant = np.log(np.maximum(self.weights, np.finfo(float).tiny)) - 0.5 * self.width * _LOG_2_PI
        if self._squares:
            own = self.covariances if self.covariance == "diagonal" else self.covariances[:, None]
            precision = 1.0 / (np.broadcast_to(own, means.shape) / self.scale**2)
            linear = precision * means
            log_det = np.log(precision).sum(axis=1)
        else:
            own = self.covariances / np.outer(self.scale, self.scale)
            precision = np.linalg.inv(np.broadcast_to(own, (self.components, self.width, self.width)))
            linear = np.einsum("kij,kj->ki", precision, means)
            log_det = np.linalg.slogdet(precision)[1]
        constant = constant + 0.5 * log_det - 0.5 * np.einsum("ki,ki->k", linear, means)
        return quadratic(constant, linear, precision)

    def _scores(self, x: Float64[Array, "points width"], natural: Array) -> tuple[Array, Array]:
        """(T(x), log π_k N(x)) of a block, up to the scaling of the points."""
        made = sufficient((x - self.shift) / self.scale, self._squares)
        return made, made @ natural

    def summarise(self, batch: Points) -> Statistics:
        """Expected T(x) of every component."""
        return summarise(self, self.natural(), batch)

    def maximise(self, statistics: Statistics) -> None:
        weight, mean, second = moments_of(statistics.sums["moments"], self.width, self._squares)
        floor = self.floor / self.scale**2
        if self._squares:
            variance = np.maximum(second - mean**2, 0.0) + floor
            own = variance * self.scale**2
            self.covariances = own if self.covariance == "diagonal" else own.mean(axis=1)
        else:
            spread = second - mean[:, :, None] * mean[:, None, :]
            if self.covariance == "tied":
                spread = np.average(spread, axis=0, weights=np.maximum(weight, np.finfo(float).tiny))
            self.covariances = (spread + np.diag(floor)) * np.outer(self.scale, self.scale)
        self.weights, self.means = weight / weight.sum(), self.shift + self.scale * mean
        for empty in np.flatnonzero(weight < 1e-10 * weight.sum()):
            self._split(int(empty))

    def _split(self, empty: int) -> None:
        """Give an empty component half of the largest, a standard deviation off along its longest axis."""
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
        """EM from k-means, the best of several starts.

        Raises:
            ShapeError, FitError: points that cannot be used; says which.
        """
        check_count("restarts", restarts, 1)
        self._check(points)
        best: tuple[EMResult, Array, Array, Array] | None = None
        for _ in range(restarts):
            self.begin(points, rng)
            found = em(self, lambda: [points], iterations=iterations, tolerance=tolerance, check=check)
            if best is None or found.lower_bounds[-1] > best[0].lower_bounds[-1]:
                best = found, self.weights, self.means, self.covariances
        assert best is not None
        result, self.weights, self.means, self.covariances = best
        return result

    def log_prob(self, x: Float64[Array, "points width"]) -> Float64[Array, " points"]:
        """log p(x) of each point, in nats."""
        self._check(Points(x))
        return logsumexp(self._scores(x, self.natural())[1], axis=1) - np.log(self.scale).sum()

    def responsibilities(self, x: Float64[Array, "points width"]) -> Float64[Array, "points components"]:
        """p(component | x)."""
        scores = self._scores(x, self.natural())[1]
        return np.exp(scores - logsumexp(scores, axis=1, keepdims=True))

    def sample(self, n: int, rng: np.random.Generator) -> Float64[Array, "n width"]:
        """Draws from the mixture."""
        check_count("n", n, 0)
        own = rng.choice(self.components, size=n, p=self.weights)
        noise = rng.standard_normal((n, self.width))
        if self._squares:
            roots = np.sqrt(self.covariances if self.covariance == "diagonal" else self.covariances[:, None])
            return self.means[own] + np.broadcast_to(roots, self.means.shape)[own] * noise
        chol = np.linalg.cholesky(np.broadcast_to(self.covariances, (self.components, self.width, self.width)))
        return self.means[own] + np.einsum("nij,nj->ni", chol[own], noise)


def summarise(mixture: GaussianMixture, natural: Float64[Array, "features components"], batch: Points) -> Statistics:
    """Expected T(x) of every component under the scores ⟨natural, T(x)⟩, with the sum of their log-sum-exp."""
    mixture._check(batch)
    x, weights = batch

    def work(part: slice) -> tuple[Array, float]:
        sums, log_likelihood = np.zeros(natural.T.shape), 0.0
        for at in range(part.start, part.stop, _BLOCK):
            rows = slice(at, min(at + _BLOCK, part.stop))
            made, scores = mixture._scores(x[rows], natural)
            top = scores.max(axis=1, keepdims=True)
            np.exp(scores - top, out=scores)
            total = scores.sum(axis=1, keepdims=True)
            own = (np.log(total) + top)[:, 0]
            factor = 1.0 / total
            if weights is not None:
                factor *= weights[rows, None]
                own = own * weights[rows]
            log_likelihood += float(own.sum())
            scores *= factor
            sums += scores.T @ made
        return sums, log_likelihood

    threads = thread_count()
    edges = np.linspace(0, len(x), threads + 1).astype(int)
    found = on_threads(work, [slice(int(a), int(b)) for a, b in itertools.pairwise(edges)])
    weight = float(len(x)) if weights is None else float(weights.sum())
    log_likelihood = sum(one[1] for one in found) - weight * float(np.log(mixture.scale).sum())
    return Statistics({"moments": np.sum([one[0] for one in found], axis=0)}, log_likelihood, weight)
