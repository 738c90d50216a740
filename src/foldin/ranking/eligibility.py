"""Eligible items: all but the items that a user has taken, those that a request denies, and those that a filter excludes."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from foldin.data import Histories, Indices, check_indices
from foldin.errors import ShapeError
from foldin.tensors import Array, Bool, Float, Int64, Tensor

__all__ = ["Eligibility", "barred_items"]


@dataclass(frozen=True, eq=False)
class Eligibility:
    """Which items may be listed for each user of a block: built once for a request or a batch, and used by every ranker.

    Args:
        users: number of users, U.
        n_items: size of the catalog.
        seen: items that are not listed again or at all, for each user; None for none.
        barred: items that may not be listed for any user.
        own: items that may not be listed for single users, by their position in the block.
    """

    users: int
    n_items: int
    seen: Histories | None = None
    barred: Bool[Array, " items"] | None = None
    own: Mapping[int, Bool[Array, " items"]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        histories: Histories,
        *,
        exclude_seen: bool = True,
        seen: Histories | None = None,
        allow: Indices | None = None,
        deny: Indices | None = None,
        where: Bool[Array, " items"] | None = None,
    ) -> "Eligibility":
        """The eligible items for the users of some histories; items that a user dislikes are never eligible.

        Args:
            histories: the users' histories.
            exclude_seen: whether to exclude the items in `histories`.
            seen: histories whose items to exclude instead.
            allow: only these items may be listed: their indices, or a mask of booleans with an entry for each item.
            deny: items that may not be listed, in the same form.
            where: only items for which this is true; see `data.Filters.passing`.

        Raises:
            ShapeError: `allow`, `deny` or `where` that are neither indices of items nor a mask of them, or `seen` of another
                number of users or another catalog.
        """
        users, n_items = len(histories), histories.n_items
        if seen is not None and (len(seen) != users or seen.n_items != n_items):
            raise ShapeError(
                f"the items seen are those of {len(seen):,} users over {seen.n_items:,} items, the histories of {users:,} "
                f"users over {n_items:,}"
            )
        barred = barred_items(n_items, allow=allow, deny=deny, where=where)
        hidden = (histories if seen is None else seen) if exclude_seen else None
        hidden = _with_disliked(hidden, histories)
        return cls(users, n_items, hidden, barred if barred.any() else None)

    def __len__(self) -> int:
        return self.users

    def rows(self, start: int, stop: int) -> "Eligibility":
        """The eligibility of the users from `start` to `stop`."""
        stop = min(stop, self.users)
        seen = None if self.seen is None else self.seen.rows(start, stop)
        own = {at - start: mask for at, mask in self.own.items() if start <= at < stop}
        return Eligibility(stop - start, self.n_items, seen, self.barred, own)

    def select(self, chosen: Int64[Array, " chosen"]) -> "Eligibility":
        """The eligibility of the users at the given positions, in that order."""
        seen = None if self.seen is None else self.seen.select(chosen)
        own = {place: self.own[int(at)] for place, at in enumerate(chosen) if int(at) in self.own}
        return Eligibility(len(chosen), self.n_items, seen, self.barred, own)

    def admitting(self, items: Int64[Array, " admitted"]) -> "Eligibility":
        """The eligibility by which these items may be listed for every user."""
        if not len(items):
            return self
        seen, barred = self.seen, self.barred
        if seen is not None:
            kept = ~np.isin(seen.items, items)
            offsets = np.concatenate(([0], np.cumsum(kept)))[seen.offsets]
            seen = Histories(items=seen.items[kept], offsets=offsets.astype(np.int64), n_items=seen.n_items)

        def opened(mask: Bool[Array, " items"]) -> Bool[Array, " items"]:
            found = mask.copy()
            found[items] = False
            return found

        own = {at: opened(mask) for at, mask in self.own.items()}
        return Eligibility(self.users, self.n_items, seen, None if barred is None else opened(barred), own)

    def hide(self, logits: Float[Tensor, "users items"]) -> None:
        """Write −∞ in place for every item that may not be listed."""
        if self.seen is not None:
            items, offsets = self.seen.tensors(logits.device)
            users = torch.repeat_interleave(torch.arange(self.users, device=logits.device), offsets.diff())
            logits.view(-1).index_fill_(0, users * self.n_items + items, -torch.inf)
        if self.barred is not None:
            logits.index_fill_(1, torch.from_numpy(np.flatnonzero(self.barred)).to(logits.device), -torch.inf)
        for user, mask in self.own.items():
            logits[user, torch.from_numpy(np.flatnonzero(mask)).to(logits.device)] = -torch.inf

    def mask(self, device: torch.device | str = "cpu") -> Bool[Tensor, "users items"]:
        """Whether an item may not be listed, for each user."""
        found = torch.zeros(self.users, self.n_items, dtype=torch.bool, device=device)
        if self.seen is not None:
            found[torch.from_numpy(self.seen.users()), self.seen.tensors(device)[0]] = True
        if self.barred is not None:
            found[:, torch.from_numpy(self.barred).to(device)] = True
        for user, mask in self.own.items():
            found[user, torch.from_numpy(mask).to(device)] = True
        return found

    def pairs(self) -> tuple[Int64[Array, " pairs"], Int64[Array, " pairs"]]:
        """(users, items) of the pairs that may not be listed in addition to `barred`, each pair once."""
        keys = [] if self.seen is None else [self.seen.users() * self.n_items + self.seen.items]
        keys += [user * self.n_items + np.flatnonzero(mask) for user, mask in self.own.items()]
        found = np.unique(np.concatenate(keys)) if keys else np.empty(0, np.int64)
        return found // self.n_items, found % self.n_items

    def hidden(self) -> Int64[Array, " users"]:
        """Upper bound on the number of items that may not be listed for each user: an item excluded twice counts twice."""
        total = np.zeros(self.users, np.int64) if self.seen is None else self.seen.lengths.astype(np.int64)
        total = total + (0 if self.barred is None else int(self.barred.sum()))
        for user, mask in self.own.items():
            total[user] += int(mask.sum())
        return total


def _with_disliked(hidden: Histories | None, histories: Histories) -> Histories | None:
    """The items that are not listed, and those that the users of some histories dislike."""
    if histories.dislikes is None:
        return hidden
    return histories.dislikes if hidden is None else replace(hidden, dislikes=None).followed_by(histories.dislikes)


def barred_items(
    n_items: int,
    *,
    allow: Indices | None = None,
    deny: Indices | None = None,
    where: Bool[Array, " items"] | None = None,
) -> Bool[Array, " items"]:
    """Whether `allow`, `deny` or `where` excludes each item from all lists.

    Raises:
        ShapeError: they are neither indices of items nor masks of them.
    """
    barred = np.zeros(n_items, dtype=bool)
    if allow is not None:
        barred[:] = True
        barred[check_indices(allow, n_items, "allow")] = False
    if deny is not None:
        barred[check_indices(deny, n_items, "deny")] = True
    if where is not None:
        open_ = np.zeros(n_items, dtype=bool)
        open_[check_indices(where, n_items, "where")] = True
        barred |= ~open_
    return barred
