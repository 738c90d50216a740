"""Log-densities that are quadratic in the point, several at once, and the expected moments under their softmax.

    q_k(x) = c_k − ½ ‖(x − μ_k) R_k‖²,   r_k(x) ∝ exp q_k(x),   Σ_n r_k(x_n) (1, x_n, x_n x_nᵀ)

Where precision allows, all q_k are one product, ⟨η_k, T(y)⟩ with T(y) = (1, y, y yᵀ) for shifted and scaled points y, and all
moments are another. T is computed for a block of points at a time, so that it stays in the cache. A component that is far away
relative to its width would lose its digits there, since each of the products is larger than their sum. Therefore

* q_k is computed from the differences x − μ_k in every block in which the products exceed `_REACH`;
* moments whose scatter is lost beside the square of the mean are recomputed about that mean.

Source: bishop2006, section 9.2; chan1983 (the second pass).
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np

from foldin.inference.moments import Moments
from foldin.kernels.threads import on_threads, thread_count
from foldin.tensors import Array, Bool, Float64, Int64

__all__ = ["Frame", "Quadratics"]

_BLOCK = 2048  # points whose T(y) is in the cache at once
_ROW = 64
_REACH = 1e6  # largest products in nats, whose rounding error is below 1e-9
_SHARE = 1e-5  # largest rounding error of a scatter, relative to its smallest variance
_EPS = float(np.finfo(float).eps)
_TINY = float(np.finfo(float).tiny)

A = TypeVar("A")


@dataclass(frozen=True, eq=False)
class Frame:
    """Shift and scale of points before they are squared: y = (x − shift) / scale."""

    shift: Float64[Array, " width"]
    scale: Float64[Array, " width"]

    def __call__(self, x: Float64[Array, "points width"]) -> Float64[Array, "points width"]:
        return (x - self.shift) / self.scale


def _statistics(y: Float64[Array, "points width"], squares: bool) -> Float64[Array, "points features"]:
    """T(y): 1, y, and the products y_i y_j for i ≤ j (or only the squares)."""
    width = y.shape[1]
    many = width if squares else width * (width + 1) // 2
    made = np.empty((len(y), 1 + width + many))
    made[:, 0], made[:, 1 : 1 + width] = 1.0, y
    at = 1 + width
    if squares:
        np.multiply(y, y, out=made[:, at:])
        return made
    for i in range(width):
        np.multiply(y[:, i:], y[:, i : i + 1], out=made[:, at : at + width - i])
        at += width - i
    return made


@dataclass(frozen=True, eq=False)
class Quadratics:
    """The functions q_k(x) = c_k − ½ ‖(x − μ_k) R_k‖², in nats.

    Args:
        constant: c_k of each component.
        means: μ_k of each component.
        roots: R_k of each component, as a matrix or its diagonal.
        frame: shift and scale of points for the products.
    """

    constant: Float64[Array, " components"]
    means: Float64[Array, "components width"]
    roots: Float64[Array, "components ..."]
    frame: Frame

    @property
    def _squares(self) -> bool:
        return self.roots.ndim == 2

    @cached_property
    def _framed(self) -> tuple[Array, Array]:
        """(μ, diagonal of R Rᵀ), both in the frame."""
        root = self.roots * (self.frame.scale if self._squares else self.frame.scale[:, None])
        return self.frame(self.means), root**2 if self._squares else np.square(root).sum(axis=2)

    @cached_property
    def _natural(self) -> Float64[Array, "features components"]:
        """η_k of each component, in the order of T(y)."""
        means, diagonal = self._framed
        if self._squares:
            linear = diagonal * means
            products = -0.5 * diagonal
        else:
            root = self.roots * self.frame.scale[:, None]
            precision = root @ root.transpose(0, 2, 1)
            linear = np.einsum("kij,kj->ki", precision, means)
            upper = np.triu_indices(means.shape[1])
            products = -precision[:, upper[0], upper[1]] * np.where(upper[0] == upper[1], 0.5, 1.0)
        constant = self.constant - 0.5 * np.einsum("ki,ki->k", linear, means)
        return np.concatenate((constant[:, None], linear, products), axis=1).T

    def _far(self, y: Float64[Array, "points width"]) -> Bool[Array, " components"]:
        """Whether the products of each component with any of the points exceed `_REACH`."""
        means, diagonal = self._framed
        extent = np.abs(_corners(y)).max(axis=0)
        return (diagonal * (np.abs(means) + extent) ** 2).sum(axis=1) > _REACH

    def _exact(self, x: Float64[Array, "points width"], k: int) -> Float64[Array, " points"]:
        """q_k of each point in nats, from the differences x − μ_k."""
        away = x - self.means[k]
        away = away * self.roots[k] if self._squares else away @ self.roots[k]
        return self.constant[k] - 0.5 * np.einsum("ni,ni->n", away, away)

    def _scores(self, x: Float64[Array, "points width"], careful: bool) -> tuple[Array, Array]:
        """(T(y), q in nats) of a block of points; `careful` is for blocks from which some component may be far."""
        y = self.frame(x)
        made = _statistics(y, self._squares)
        scores = made @ self._natural
        if careful:
            for k in np.flatnonzero(self._far(y)):
                scores[:, k] = self._exact(x, int(k))
        return made, scores

    def __call__(self, x: Float64[Array, "points width"]) -> Float64[Array, "points components"]:
        """q of every point and component, in nats."""
        found = np.empty((len(x), len(self.constant)))
        for at in range(0, len(x), _BLOCK):
            found[at : at + _BLOCK] = self._scores(x[at : at + _BLOCK], True)[1]
        return found

    def expected(
        self,
        x: Float64[Array, "points width"],
        weights: Float64[Array, " points"] | None,
        least: Float64[Array, " width"],
    ) -> tuple[Moments, float]:
        """(expected moments of each component, Σ w log Σ_k exp q_k(x) in nats).

        Args:
            least: variance of each coordinate that is negligible: no precision below it is needed.
        """
        careful = bool(self._far(self.frame(_corners(x))).any())

        def first(part: slice) -> tuple[Array, float]:
            sums, log_likelihood = np.zeros(self._natural.T.shape), 0.0
            for at in range(part.start, part.stop, _BLOCK):
                made, shares, own = self._block(x, weights, slice(at, min(at + _BLOCK, part.stop)), careful)
                log_likelihood += own
                sums += shares.T @ made
            return sums, log_likelihood

        self._natural  # noqa: B018  computed once, before the threads use it
        found = _on_parts(first, len(x))
        moments, blurred = self._moments(np.sum([one[0] for one in found], axis=0), least)
        if len(blurred):
            moments = self._again(x, weights, careful, moments, blurred)
        return moments, float(sum(one[1] for one in found))

    def _block(
        self, x: Array, weights: Float64[Array, " points"] | None, rows: slice, careful: bool
    ) -> tuple[Array, Array, float]:
        """(T(y), weighted responsibilities, weighted sum of log Σ_k exp q_k in nats) of a slice of points."""
        made, scores = self._scores(x[rows], careful)
        top = scores.max(axis=1, keepdims=True)
        np.exp(scores - top, out=scores)
        total = scores.sum(axis=1, keepdims=True)
        own = (np.log(total) + top)[:, 0]
        factor = 1.0 / total
        if weights is not None:
            factor *= weights[rows, None]
            own = own * weights[rows]
        scores *= factor
        return made, scores, float(own.sum())

    def _moments(
        self, sums: Float64[Array, "components features"], least: Float64[Array, " width"]
    ) -> tuple[Moments, Int64[Array, " blurred"]]:
        """(moments from sums of T(y), indices of the components whose scatter lost too many digits in the sums)."""
        scale, width = self.frame.scale, len(self.frame.scale)
        weight = np.maximum(sums[:, 0], _TINY)
        mean, second = sums[:, 1 : 1 + width] / weight[:, None], sums[:, 1 + width :] / weight[:, None]
        least = least / scale**2
        if self._squares:
            own = second - mean**2
            lost = 8.0 * _EPS * mean**2 > _SHARE * np.maximum(own, least)
            blurred = lost.any(axis=1)
            units = scale**2
        else:
            whole = np.empty((len(sums), width, width))
            upper = np.triu_indices(width)
            whole[:, upper[0], upper[1]] = second
            whole[:, upper[1], upper[0]] = second
            own = whole - mean[:, :, None] * mean[:, None, :]
            units = np.outer(scale, scale)
            # In units of each coordinate's spread, in which the smallest eigenvalue shows how many digits are left.
            spread = np.sqrt(np.maximum(np.maximum(np.einsum("kii->ki", own), least), _TINY))
            smallest = np.linalg.eigvalsh(own / (spread[:, :, None] * spread[:, None, :]))[:, 0]
            smallest = np.maximum(smallest, (least / spread**2).min(axis=1))
            with np.errstate(over="ignore"):  # a component on a single point has no spread
                blurred = 8.0 * _EPS * np.square(mean / spread).sum(axis=1) > _SHARE * smallest
        own = own * units
        scatter = own * sums[:, 0].reshape(-1, *(1 for _ in own.shape[1:]))
        return Moments(sums[:, 0], self.frame.shift + scale * mean, scatter), np.flatnonzero(blurred & (sums[:, 0] > 0))

    def _again(
        self,
        x: Float64[Array, "points width"],
        weights: Float64[Array, " points"] | None,
        careful: bool,
        moments: Moments,
        chosen: Int64[Array, " blurred"],
    ) -> Moments:
        """The moments, those of the chosen components recomputed about their means."""

        def work(part: slice) -> Moments:
            weight, mean = np.zeros(len(chosen)), moments.mean[chosen]
            offset, scatter = np.zeros_like(mean), np.zeros_like(moments.scatter[chosen])
            for at in range(part.start, part.stop, _BLOCK):
                rows = slice(at, min(at + _BLOCK, part.stop))
                shares = self._block(x, weights, rows, careful)[1]
                for place, k in enumerate(chosen):
                    away, share = x[rows] - mean[place], shares[:, k]
                    weight[place] += share.sum()
                    offset[place] += share @ away
                    scatter[place] += share @ away**2 if self._squares else (away * share[:, None]).T @ away
            # Converts the scatter about the previous mean to the scatter about the mean of this part.
            off = offset / np.maximum(weight, _TINY)[:, None]
            outer = off**2 if self._squares else off[:, :, None] * off[:, None, :]
            scatter -= weight.reshape(-1, *(1 for _ in outer.shape[1:])) * outer
            return Moments(weight, mean + off, scatter)

        found = _on_parts(work, len(x))
        exact = found[0]
        for one in found[1:]:
            exact = exact + one
        mean, scatter = moments.mean.copy(), moments.scatter.copy()
        mean[chosen], scatter[chosen] = exact.mean, exact.scatter
        return Moments(moments.weight, mean, scatter)


def _corners(x: Float64[Array, "points width"]) -> Float64[Array, "2 width"]:
    """(smallest, largest) value of each coordinate; zeros without points."""
    if len(x) == 0:
        return np.zeros((2, x.shape[1]))
    # NumPy reduces only long rows fast, so several points are joined into one row.
    even = len(x) - len(x) % _ROW
    rows, rest = x[:even].reshape(-1, _ROW * x.shape[1]), x[even:]
    found = [rest] if len(rest) else []
    if len(rows):
        found += [take(rows, axis=0).reshape(_ROW, -1) for take in (np.min, np.max)]
    both = np.concatenate(found)
    return np.stack((both.min(axis=0), both.max(axis=0)))


def _on_parts(work: Callable[[slice], A], points: int) -> list[A]:
    """The result of `work` for each thread's part of the points."""
    edges = np.linspace(0, points, thread_count() + 1).astype(int)
    return on_threads(work, [slice(int(a), int(b)) for a, b in itertools.pairwise(edges)])
