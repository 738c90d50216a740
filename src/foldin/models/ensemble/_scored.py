"""The experts' scores of the items of held-out users, in blocks of users, and what depends on the weights of the experts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from foldin.data import HeldOut
from foldin.errors import FitError
from foldin.kernels import top_k
from foldin.models.contract import Recommender
from foldin.tensors import Array, Bool, Float, Float64, Int, Tensor

__all__ = ["HeldOutScores", "ScoredUsers", "at_mean", "centered", "floored"]

_KEPT_BYTES = 1 << 29  # of scores that are kept; more are computed anew for each pass


def floored(scores: Float[Tensor, "users items"]) -> Float[Tensor, "users items"]:
    """The scores, with the lowest finite one of the user in place of those that are not finite (0 if none is)."""
    finite = torch.isfinite(scores)
    low = torch.where(finite, scores, torch.inf).amin(dim=1, keepdim=True)
    return torch.where(finite, scores, torch.where(torch.isfinite(low), low, 0.0))


def at_mean(
    scores: Float[Tensor, "users items"], silent: Bool[Tensor, " items"] | None
) -> Float[Tensor, "users items"]:
    """The scores, with the mean of a user's other scores in place of those of some items; a copy if there are any.

    Args:
        silent: the items of which the expert says nothing, but not all of them; None for none.
    """
    if silent is None:
        return scores
    scores = floored(scores)
    return torch.where(silent, scores[:, ~silent].mean(dim=1, keepdim=True), scores)


def centered(scores: Float[Tensor, "users items"]) -> Float[Tensor, "users items"]:
    """As `floored`, minus the largest score of each user, which costs no precision; the memory may be that of the scores."""
    low, high = torch.aminmax(scores, dim=1, keepdim=True)
    if bool(torch.isfinite(low).all()) and bool(torch.isfinite(high).all()):
        return scores.sub_(high)
    scores = floored(scores)
    return scores.sub_(scores.amax(dim=1, keepdim=True))


@dataclass(frozen=True, eq=False, kw_only=True)
class ScoredUsers:
    """A block of held-out users.

    Args:
        scores: each expert's scores, 0 for the best item of a user.
        hidden: positions of the items that a user has seen, in a flattened matrix of users and items.
        users, items: the held-out items, user by user.
        group: group of each user's history by its length.
    """

    scores: Float[Tensor, "experts users items"]
    hidden: Int[Tensor, " pairs"]
    users: Int[Tensor, " targets"]
    items: Int[Tensor, " targets"]
    group: Int[Tensor, " users"]

    def combined(self, weights: Float64[Array, " experts"]) -> Float[Tensor, "users items"]:
        """The weighted sum of the scores in double precision; −∞ for items that a user has seen."""
        found = torch.zeros(self.scores.shape[1:], dtype=torch.float64, device=self.scores.device)
        for weight, one in zip(weights.tolist(), self.scores, strict=True):
            found.add_(one, alpha=weight)
        found.view(-1).index_fill_(0, self.hidden, -torch.inf)
        return found

    def counts(self) -> Int[Tensor, " users"]:
        """Number of held-out items of each user."""
        return torch.bincount(self.users, minlength=self.scores.shape[1])

    def of_targets(self) -> Float[Tensor, "users experts"]:
        """Mean of each expert's scores of a user's held-out items, in double precision."""
        picked = self.scores[:, self.users, self.items].double().t()
        sums = torch.zeros(self.scores.shape[1], len(self.scores), dtype=torch.float64, device=self.scores.device)
        return sums.index_add_(0, self.users, picked) / self.counts().unsqueeze(1)

    def ndcg(self, weights: Float64[Array, " experts"], k: int) -> Float[Tensor, " users"]:
        """NDCG@k of the held-out items of each user, as `evaluation.ndcg` has it, in the order of single-precision scores."""
        users, n_items = self.scores.shape[1:]
        k = min(k, n_items)
        listed = top_k(self.combined(weights).float(), k)[1]
        relevant = torch.zeros(
            users, n_items + 1, dtype=torch.bool, device=listed.device
        )  # the last column: an empty place
        relevant[self.users, self.items] = True
        hits = relevant.gather(1, listed.masked_fill(listed < 0, n_items)).double()
        gains = 1.0 / torch.arange(2, k + 2, dtype=torch.float64, device=listed.device).log2()
        return (hits @ gains) / gains.cumsum(0)[self.counts().clamp(max=k) - 1]


class HeldOutScores:
    """Scores of the experts for the held-out users with a history and a target, by blocks of users.

    Args:
        experts: models over one catalog.
        held: held-out users.
        groups: numbers of events from which on a history is in the next group.
        block: number of users that the experts score at once.
        silent: items of which each expert says nothing, and which have the mean of its other scores; None for no items.

    Raises:
        FitError: no user has both a history and a target.
    """

    def __init__(
        self,
        experts: Sequence[Recommender[Any]],
        held: HeldOut,
        *,
        groups: Sequence[int] = (),
        block: int,
        silent: Sequence[Bool[Tensor, " items"] | None] | None = None,
    ) -> None:
        chosen = np.flatnonzero((held.targets.lengths > 0) & (held.fold_in.lengths > 0))
        if len(chosen) == 0:
            raise FitError(
                "no held-out user has both a history and a target: there is nothing to learn weights of experts on"
            )
        self.experts = experts
        self.silent = [None] * len(experts) if silent is None else silent
        self.fold_in, self.targets, self.seen = (one.select(chosen) for one in (held.fold_in, held.targets, held.seen))
        self.group = np.searchsorted(np.asarray(groups, dtype=np.int64), self.fold_in.lengths, side="right")
        self.n_groups = len(groups) + 1
        # Half as many users, since some matrices of a block are in double precision.
        self._step = max(1, block // (2 * len(experts)))
        self._blocks: list[ScoredUsers] | None = None
        self._keeps = 4 * len(experts) * len(chosen) * self.fold_in.n_items <= _KEPT_BYTES

    def __iter__(self) -> Iterator[ScoredUsers]:
        if self._blocks is None and self._keeps:
            self._blocks = [self._scored(start) for start in range(0, len(self.fold_in), self._step)]
        if self._blocks is not None:
            yield from self._blocks
            return
        for start in range(0, len(self.fold_in), self._step):
            yield self._scored(start)

    def _scored(self, start: int) -> ScoredUsers:
        stop = min(start + self._step, len(self.fold_in))
        part, seen, targets = (one.rows(start, stop) for one in (self.fold_in, self.seen, self.targets))
        scores = torch.stack(
            [
                centered(at_mean(one.logits(part), silent)).float()
                for one, silent in zip(self.experts, self.silent, strict=True)
            ]
        )
        seen = seen if part.dislikes is None else replace(seen, dislikes=None).followed_by(part.dislikes)
        return ScoredUsers(
            scores=scores,
            hidden=torch.from_numpy(seen.pair_keys()).to(scores.device),
            users=torch.from_numpy(targets.users()).to(scores.device),
            items=targets.tensors(scores.device)[0],
            group=torch.from_numpy(self.group[start:stop]).to(scores.device),
        )

    def users_of(self, group: int | None) -> int:
        """Number of users of a group of history lengths, or of all."""
        return len(self.fold_in) if group is None else int((self.group == group).sum())

    def ndcg(self, weights: Float64[Array, " experts"], k: int, group: int | None = None) -> float:
        """Mean NDCG@k of the users of a group, or of all, under these weights."""
        found = torch.cat([block.ndcg(weights, k).cpu() for block in self]).numpy()
        return float(found.mean() if group is None else found[self.group == group].mean())
