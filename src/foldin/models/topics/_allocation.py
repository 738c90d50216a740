"""The step that PLSA, LDA and Poisson factorization share: every event is divided among the factors.

Event (u, i) belongs to factor k with the share φ_uik = a_uk b_ik / r_ui, where r_ui = Σ_k a_uk b_ik. The models only need the
sums of these shares over a user's events and over an item's,

    Σ_i φ_uik = a_uk Σ_i b_ik / r_ui,      Σ_u φ_uik = b_ik Σ_u a_uk / r_ui

each with the weight of its event, so that φ, events × factors, is never stored: r is a product of two dense matrices, evaluated
at the events only, and the sums are sparse products.
"""

import itertools
import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy.sparse
import torch
from scipy.special import logsumexp
from torch.nn import functional as F

from foldin.data import Histories
from foldin.kernels.threads import on_threads, thread_count
from foldin.tensors import Array, Float, Float32, Int64, Tensor

__all__ = ["Allocated", "allocate", "even_parts", "local_ascent", "log_rates", "weighted_sum"]

_CHUNK_EVENTS = 1 << 19
_LOG_EVENTS = 1 << 15  # events whose sums over the factors are computed at once
_PART_EVENTS = 1 << 15
_LEAST = np.float32(1e-18)  # its square is still a normal number in single precision; smaller ones are slow
_REVIEW = 4  # iterations between checks of which users have converged


class Allocated(NamedTuple):
    """Sums of the shares.

    Args:
        rates: r_ui of each event.
        users: Σ_i φ_uik, for each user and factor.
        items: Σ_u φ_uik, for each item and factor.
    """

    rates: Float[Array, " events"]
    users: Float[Array, "users factors"]
    items: Float[Array, "items factors"]


class _Events:
    """The events in the layout of PyTorch's sparse kernels."""

    def __init__(self, histories: Histories, dtype: torch.dtype, *, weighted: bool) -> None:
        self.items, self.offsets = histories.tensors()
        values = histories.values if weighted else histories.weights
        self.weights = None if values is None else torch.from_numpy(values).to(dtype)
        shape = (len(histories), histories.n_items)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # sparse CSR is "in beta"
            self.pattern = torch.sparse_csr_tensor(
                self.offsets, self.items, torch.zeros(len(self.items), dtype=dtype), shape, check_invariants=False
            )

    def rates(
        self, users: Float[Tensor, "users factors"], items: Float[Tensor, "items factors"]
    ) -> Float[Tensor, " events"]:
        count, n_items = self.pattern.shape
        if len(self.items) == 0:
            return users.new_empty(0)
        if len(self.items) > count * n_items:  # repeats, more than the sparse kernel has room for
            rows = torch.repeat_interleave(torch.arange(count), self.offsets.diff())
            return (users @ items.t())[rows, self.items]
        return torch.sparse.sampled_addmm(self.pattern, users, items.t(), beta=0.0).values()

    def sums(
        self, items: Float[Tensor, "items factors"], rates: Float[Tensor, " events"]
    ) -> Float[Tensor, "users factors"]:
        """Σ_i w_ui b_ik / r_ui."""
        shares = self.over(rates)
        return F.embedding_bag(
            self.items, items, self.offsets, mode="sum", per_sample_weights=shares, include_last_offset=True
        )

    def over(self, rates: Float[Tensor, " events"]) -> Float[Tensor, " events"]:
        """w / r of each event."""
        return rates.reciprocal() if self.weights is None else self.weights / rates


def allocate(
    users: Float[Array, "users factors"],
    items: Float[Array, "items factors"],
    histories: Histories,
    *,
    weighted: bool = False,
) -> Allocated:
    """The rates and the sums of the shares over all users, in the precision of the factors.

    Args:
        users, items: a and b, ≥ 0, with a positive r for every event.
        histories: the events; one user for each row of `users`.
        weighted: whether an event counts as often as its value says, instead of its weight.
    """
    b = torch.from_numpy(items)

    def work(part: slice) -> Allocated:
        rows, own = histories.rows(part.start, part.stop), users[part]
        a, events = torch.from_numpy(own), _Events(rows, b.dtype, weighted=weighted)
        r = events.rates(a, b)
        inverse = scipy.sparse.csr_matrix(
            (events.over(r).numpy(), rows.items, rows.offsets), shape=(len(rows), len(items))
        )
        return Allocated(r.numpy(), events.sums(b, r).mul_(a).numpy(), inverse.T @ own)

    found = on_threads(work, _parts(histories))
    rates, of_users = (np.concatenate([part[i] for part in found]) for i in range(2))
    total = found[0].items
    for part in found[1:]:
        total += part.items
    return Allocated(rates, of_users, total * items)


def weighted_sum(logs: Float[Array, " events"], histories: Histories) -> float:
    """Sum of a number of each event, by the weights of the events."""
    return float(logs.sum()) if histories.weights is None else float(logs @ histories.weights)


def log_rates(
    users: Float[Array, "users factors"], items: Float[Array, "items factors"], histories: Histories
) -> Float[Array, " users"]:
    """Σ log Σ_k exp(users_uk + items_ik) over each user's events: exact however small the terms are, which `allocate` is not.

    Args:
        users, items: log a and log b.
    """
    rows, found = histories.users(), np.zeros(len(histories))
    for at in range(0, histories.n_events, _LOG_EVENTS):
        part = slice(at, at + _LOG_EVENTS)
        values = logsumexp(users[rows[part]] + items[histories.items[part]], axis=1)
        found += np.bincount(rows[part], weights=values, minlength=len(histories))
    return found


def _parts(histories: Histories) -> list[slice]:
    """One part for each thread; fewer for a small log, where threads would spend more time taking turns in Python."""
    return even_parts(histories, max(1, min(thread_count(), histories.n_events // _PART_EVENTS)))


def even_parts(histories: Histories, parts: int) -> list[slice]:
    """Runs of users with about the same number of events, one for each thread."""
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
    weighted: bool = False,
) -> None:
    """Update the variables of every user to convergence, with those of the items held fixed.

    In single precision, which is faster. Shares do not depend on the scale of a row of a or of b, so that each row is divided by
    its largest entry; entries below 10⁻¹⁸ are then raised to it, so that every r is positive.

    Args:
        items: b, as above.
        histories: the events; one user for each row of `start`.
        start: initial log a.
        update: given Σ_i φ_uik of some users and their indices, sets their variables and returns their new log a, up to a
            constant for each user. Called from several threads, for different users.
        iterations: maximum number of iterations.
        tolerance: Σ_k a_uk |change of log a_uk| ÷ Σ_k a_uk at which a user has converged.
        weighted: whether an event counts as often as its value says, instead of its weight.
    """
    with np.errstate(divide="ignore"):
        b = torch.from_numpy(_scaled(np.log(items)))

    def work(part: slice) -> None:
        """Update a part of the users, as many at a time as fit into a core's cache."""
        offsets = histories.offsets[part.start : part.stop + 1]
        edges = np.searchsorted(offsets, np.arange(offsets[0], offsets[-1], _CHUNK_EVENTS))
        for first, last in itertools.pairwise(np.unique([0, *edges, len(offsets) - 1]) + part.start):
            users = np.arange(first, last)
            _ascend(b, histories, users, start[first:last], update, iterations, tolerance, weighted=weighted)

    on_threads(work, _parts(histories))


def _ascend(
    b: Float[Tensor, "items factors"],
    histories: Histories,
    users: Int64[Array, " chunk"],
    logs: Float[Array, "chunk factors"],
    update: Callable[[Float[Array, "chunk factors"], Int64[Array, " chunk"]], Float[Array, "chunk factors"]],
    iterations: int,
    tolerance: float,
    *,
    weighted: bool,
) -> None:
    """`local_ascent` of some users, from `logs`; users who have converged are left out of further iterations."""
    for begun in range(0, iterations, _REVIEW):
        events = _Events(histories.select(users), b.dtype, weighted=weighted)
        for _ in range(begun, min(begun + _REVIEW, iterations)):
            own, before = _scaled(logs), logs
            a = torch.from_numpy(own)
            logs = update(events.sums(b, events.rates(a, b)).mul_(a).numpy(), users)
        going_on = (own * np.abs(logs - before)).sum(axis=1) > tolerance * own.sum(axis=1)
        users, logs = users[going_on], logs[going_on]
        if len(users) == 0:
            break


def _scaled(logs: Float[Array, "rows factors"]) -> Float32[Array, "rows factors"]:
    """exp of each row, scaled so that its largest entry is 1."""
    below = (logs - logs.max(axis=1, keepdims=True, initial=np.finfo(np.float32).min)).astype(np.float32, copy=False)
    return np.maximum(np.exp(below, out=below), _LEAST, out=below)
