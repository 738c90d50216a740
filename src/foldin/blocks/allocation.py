"""The step that PLSA, LDA and Poisson factorisation share: every event is divided among the factors.

Event (u, i) goes to factor k in the share φ_uik = a_uk b_ik / r_ui with r_ui = Σ_k a_uk b_ik. What the models need of it are the
sums of those shares over a person's events and over an item's,

    Σ_i φ_uik = a_uk Σ_i b_ik / r_ui,      Σ_u φ_uik = b_ik Σ_u a_uk / r_ui

so that φ, events × factors, is never kept: r is a product of two dense matrices at the places of the events only, and the
sums are sparse products.
"""

import itertools
import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy.sparse
import torch
from torch.nn import functional as F

from foldin.data import Histories
from foldin.tensors import Array, Float, Int, Int64, Tensor
from foldin.threads import on_threads

__all__ = ["Allocated", "allocate", "even_parts", "local_ascent"]

_CHUNK_EVENTS = 1 << 14
_LEAST_SHARE = 1e-18
_REVIEW = 4  # iterations between looks at who has converged


class Allocated(NamedTuple):
    """Sums of the shares.

    Args:
        rates: r of each event.
        people: Σ_i φ_uik.
        items: Σ_u φ_uik.
    """

    rates: Float[Array, " events"]
    people: Float[Array, "users factors"]
    items: Float[Array, "items factors"]


class _Events:
    """Who took what, as PyTorch's sparse kernels want it."""

    def __init__(self, histories: Histories, dtype: torch.dtype) -> None:
        self.items, self.offsets = histories.tensors()
        shape = (len(histories), histories.n_items)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # sparse CSR is "in beta"
            self.pattern = torch.sparse_csr_tensor(
                self.offsets, self.items, torch.zeros(len(self.items), dtype=dtype), shape, check_invariants=False
            )

    def rates(
        self, people: Float[Tensor, "users factors"], items: Float[Tensor, "items factors"]
    ) -> Float[Tensor, " events"]:
        if len(self.items) == 0:
            return people.new_empty(0)
        return torch.sparse.sampled_addmm(self.pattern, people, items.t(), beta=0.0).values()

    def sums(
        self, items: Float[Tensor, "items factors"], rates: Float[Tensor, " events"]
    ) -> Float[Tensor, "users factors"]:
        """Σ_i b_ik / r_ui."""
        weights = rates.reciprocal()
        return F.embedding_bag(
            self.items, items, self.offsets, mode="sum", per_sample_weights=weights, include_last_offset=True
        )


def allocate(
    people: Float[Array, "users factors"], items: Float[Array, "items factors"], histories: Histories
) -> Allocated:
    """The sums over all people, in the precision of the factors.

    Args:
        people, items: a and b, ≥ 0, with a positive r for every event.
        histories: the events, a row of `people` each.
    """
    a, b = torch.from_numpy(people), torch.from_numpy(items)
    events = _Events(histories, a.dtype)
    r = events.rates(a, b)
    of_people = events.sums(b, r).mul_(a)
    weights = (1.0 / r).numpy()

    def of_items(part: slice) -> Float[Array, "items factors"]:
        rows = histories.rows(part.start, part.stop)
        first = histories.offsets[part.start]
        inverse = weights[first : first + rows.n_events]
        shape = (len(rows), len(items))
        return scipy.sparse.csr_matrix((inverse, rows.items, rows.offsets), shape=shape).T @ people[part]

    total, *rest = on_threads(of_items, even_parts(histories, torch.get_num_threads()))
    for more in rest:
        total += more
    return Allocated(r.numpy(), of_people.numpy(), total * items)


def even_parts(histories: Histories, parts: int) -> list[slice]:
    """Runs of people with about the same number of events, one for each thread."""
    wanted = np.linspace(0, histories.n_events, parts + 1)[1:-1]
    edges = [0, *np.searchsorted(histories.offsets, wanted).tolist(), len(histories)]
    return [slice(a, b) for a, b in itertools.pairwise(edges)]


def local_ascent(
    items: Float[Array, "items factors"],
    histories: Histories,
    start: Float[Array, "users factors"],
    update: Callable[[Float[Array, "chunk factors"], Int64[Array, " chunk"]], Float[Array, "chunk factors"]],
    *,
    iterations: int,
    tolerance: float,
) -> None:
    """Every person's own variables to convergence, the items' held fixed.

    In single precision, which is quicker: shares do not depend on the scale of a row of a or b, so that each is divided by
    its largest entry, and what is below 10⁻¹⁸ of that counts as that much, so that every r is positive.

    Args:
        items: b above.
        histories: the events, a row of `start` each.
        start: a to begin with.
        update: given Σ_i φ_uik of some people, and who they are, sets their variables and returns their new a.
        iterations: at most.
        tolerance: Σ_k |change of a_uk| ÷ Σ_k a_uk at which a person is done.
    """
    b = _single(items)
    edges = np.unique(np.append(np.searchsorted(histories.offsets, np.arange(0, histories.n_events, _CHUNK_EVENTS)), 0))
    for first, last in zip(edges, [*edges[1:], len(histories)], strict=True):
        people: Int[Array, " chunk"] = np.arange(first, last)
        own = start[people]
        for begun in range(0, iterations, _REVIEW):
            events = _Events(histories.select(people), b.dtype)
            change = np.zeros(len(people))
            for _ in range(begun, min(begun + _REVIEW, iterations)):
                a = _single(own)
                new = update(events.sums(b, events.rates(a, b)).mul_(a).numpy(), people)
                change = np.abs(new - own).sum(axis=1) / own.sum(axis=1)
                own = new
            going_on = change > tolerance
            people, own = people[going_on], own[going_on]
            if len(people) == 0:
                break


def _single(rows: Float[Array, "rows factors"]) -> Float[Tensor, "rows factors"]:
    scaled = rows / rows.max(axis=1, keepdims=True, initial=np.finfo(np.float64).tiny)
    return torch.from_numpy(np.maximum(scaled, _LEAST_SHARE).astype(np.float32))
