"""The result of a protocol: training, validation and test users.

Models are given `Split.train`, which is `Histories`; targets are in `HeldOut`, which `evaluation` accepts, and of models only the
product of experts, which learns the weights of its experts on the validation users.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl

from foldin.data.catalog import Catalog
from foldin.data.features.features import Features
from foldin.data.frame_style import FrameStyle
from foldin.data.histories import Histories
from foldin.data.log.options import ReadOptions
from foldin.data.log.report import ReadReport
from foldin.data.parts import user_ranges
from foldin.data.weighting import EventWeights
from foldin.display import Display, Displayed
from foldin.errors import SplitError

__all__ = ["HeldOut", "Split", "catalog_of"]


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class HeldOut:
    """Held-out users: the events that a model may see, and the targets that it should rank high.

    Args:
        fold_in: events that the model sees.
        targets: relevant items, each item of a user once; disjoint from `seen`.
        users: external ids of the users.
        seen: events whose items are not recommended again; by default `fold_in`, and none for a log that keeps repeats.

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
            raise SplitError(f"fold-in, targets, seen items and users have different lengths: {sorted(sizes)}")
        count, user = 0, 0
        for first, last in user_ranges(self.seen.offsets) if self.seen.on_disk else [(0, len(self.seen))]:
            targets = self.targets.rows(first, last)
            both = np.isin(targets.pair_keys(), self.seen.rows(first, last).pair_keys())
            if both.any() and not count:
                user = first + int(targets.users()[np.argmax(both)])
            count += int(both.sum())
        if count:
            raise SplitError(
                f"{count:,} targets are among the items the model has seen; the first is of user {self.users[user]!r}"
            )

    @classmethod
    def under(cls, reading: ReadOptions, *, fold_in: Histories, targets: Histories, users: pl.Series) -> "HeldOut":
        """Held-out users of a log, to whom no item of `fold_in` is recommended again, unless the log keeps repeats.

        Args:
            reading: how the log was read.
        """
        seen = Histories.empty(len(fold_in), fold_in.n_items) if reading.keeps_repeats else fold_in
        return cls(fold_in=fold_in, targets=targets, users=users, seen=seen)

    def __len__(self) -> int:
        return len(self.fold_in)

    def of_targets(self, *, repeated: bool) -> "HeldOut":
        """The same users with only the targets that are items of their history, or with only those that are not.

        Lists stay the same, so that an evaluation of either part is what repeats, or new items, contribute.

        Args:
            repeated: whether to keep the items of the history; otherwise the new ones.
        """
        again = np.isin(self.targets.pair_keys(), self.fold_in.pair_keys())
        return replace(self, targets=self.targets.where(again if repeated else ~again))

    def __repr__(self) -> str:
        seen, targets = self.fold_in.n_events, self.targets.n_events
        return f"HeldOut of {len(self):,} users: {seen:,} events that are seen, {targets:,} targets"


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Split(Displayed):
    """A log, split by a protocol.

    Args:
        train: histories that a model is trained on.
        train_users: external ids of the training users.
        validation: held-out users for early stopping and for choosing settings.
        test: held-out users for the final evaluation.
        catalog: the items that are ranked, with training counts.
        protocol: one of `PROTOCOLS`.
        seed: seed of the random choices; None for a protocol without any.
        report: how the log was read, and which events the protocol dropped.
        kinds: names of the kinds of events, by the codes in the histories.
        style: library and types of ids of the table that the log came from.
        reading: how the log was read.
        weighting: the rule by which events are weighted, with the time from which age is counted; None if all count alike.
        user_features: how the columns of `user_features` of the histories were fitted, if they have any.
        source: what `Source.as_dict` gives, if the log can be read again from there.
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
    style: FrameStyle = field(default_factory=FrameStyle)
    reading: ReadOptions = field(default_factory=ReadOptions)
    weighting: EventWeights | None = None
    user_features: Features | None = None
    source: Mapping[str, Any] = field(default_factory=dict)

    def display(self) -> Display:
        rows = [("training", f"{len(self.train):,}", f"{self.train.n_events:,}", "")]
        for name, held in (("validation", self.validation), ("test", self.test)):
            rows.append((name, f"{len(held):,}", f"{held.fold_in.n_events:,}", f"{held.targets.n_events:,}"))
        how = self.protocol if self.seed is None else f"{self.protocol}, seed {self.seed}"
        return Display(
            title=f"Split ({how}) of {self.report.source}: {len(self.catalog):,} items",
            head=("", "users", "events that are seen", "targets"),
            rows=rows,
            notes=[f"{note.count:,} {note.text}" for note in self.report.notes if note.dropped],
        )

    def fingerprint(self) -> str:
        """SHA-256 of the training histories, the held-out users and the item ids, in hexadecimal."""
        parts = [self.train, *(h for held in (self.validation, self.test) for h in (held.fold_in, held.targets))]
        digest = hashlib.sha256("".join(part.fingerprint() for part in parts).encode())
        digest.update("\0".join(self.catalog.ids).encode())
        return digest.hexdigest()


def catalog_of(items: pl.DataFrame, train: Histories) -> Catalog:
    """The catalog of a split: the items with their counts in training."""
    attributes = [name for name in items.columns if name not in ("item", "count")]
    return Catalog(items.select("item", *attributes).with_columns(pl.Series("count", train.counts())))
