"""What a protocol gives: training users, validation and test, kept apart by type.

Models are given `Split.train`, which is `Histories`; targets live in `HeldOut`, which nothing below `evaluation` accepts.
"""

import hashlib
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from foldin.data.catalog import Catalog
from foldin.data.histories import Histories
from foldin.data.log.report import ReadReport
from foldin.errors import SplitError

__all__ = ["HeldOut", "Split", "catalog_of"]


@dataclass(frozen=True, eq=False, kw_only=True)
class HeldOut:
    """Users to be judged: what a model may see of them, and what it should have found.

    Args:
        fold_in: what the model sees.
        targets: what is relevant, each item of a user once; disjoint from `seen`.
        users: external ids.
        seen: items that are not recommended again; `fold_in` unless the protocol knows more of a user.

    Raises:
        SplitError: a target is among the items seen.
    """

    fold_in: Histories
    targets: Histories
    users: pl.Series
    # None only until __post_init__ puts `fold_in` there.
    seen: Histories = field(default=None)  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.seen is None:
            object.__setattr__(self, "seen", self.fold_in)
        sizes = {len(self.fold_in), len(self.targets), len(self.seen), self.users.len()}
        if len(sizes) != 1:
            raise SplitError(f"fold-in, targets, seen items and users differ in number: {sorted(sizes)}")
        both = np.isin(self.targets.pair_keys(), self.seen.pair_keys())
        if both.any():
            user = int(self.targets.users()[np.argmax(both)])
            raise SplitError(
                f"{int(both.sum()):,} targets are among the items the model has seen; "
                f"the first is of user {self.users[user]!r}"
            )

    def __len__(self) -> int:
        return len(self.fold_in)


@dataclass(frozen=True, eq=False, kw_only=True)
class Split:
    """A log, split by a protocol.

    Args:
        train: the users, or the parts of their histories, that a model learns from.
        train_users: their external ids.
        validation: for early stopping and choosing settings.
        test: looked at once.
        catalog: the items that are ranked, with training counts.
        protocol: one of `PROTOCOLS`.
        seed: of the random choices; None where there are none.
        report: how the log was read, and what the protocol left out.
        kinds: names of the kinds of events, by the codes in the histories.
    """

    train: Histories
    train_users: pl.Series
    validation: HeldOut
    test: HeldOut
    catalog: Catalog
    protocol: str
    seed: int | None
    report: ReadReport
    kinds: tuple[str, ...] = ()

    def fingerprint(self) -> str:
        """SHA-256 of the training part, the held-out users, the item ids and the names of kinds."""
        parts = [self.train, *(h for held in (self.validation, self.test) for h in (held.fold_in, held.targets))]
        digest = hashlib.sha256("".join(part.fingerprint() for part in parts).encode())
        digest.update("\0".join(self.catalog.ids).encode())
        digest.update("\0".join(self.kinds).encode())
        return digest.hexdigest()


def catalog_of(items: pl.DataFrame, train: Histories) -> Catalog:
    """The catalog of a split: the items with their counts in training."""
    attributes = [name for name in items.columns if name not in ("item", "count")]
    return Catalog(items.select("item", *attributes).with_columns(pl.Series("count", train.counts())))
