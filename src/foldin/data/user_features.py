"""Features of users in what models read of a split: fitted on the training users, a row for each user."""

from collections.abc import Sequence
from dataclasses import replace

import polars as pl

from foldin.data.features.columns import FeatureColumn
from foldin.data.features.features import Features
from foldin.data.features.kinds import columns_of
from foldin.data.histories import Histories
from foldin.data.log.events import EventLog
from foldin.data.splits.base import HeldOut, Split
from foldin.errors import DataError

__all__ = ["log_with_user_features", "with_user_features"]


def with_user_features(split: Split, table: pl.DataFrame | None, columns: Sequence[FeatureColumn | str] = ()) -> Split:
    """The split with features of its users in `user_features` of all that models read, and in `Split.user_features`.

    Vocabularies, means and scales are fitted on the training users. A user whom the table lacks has missing values.

    Args:
        split: a split of a log.
        table: a row for each user with the column `user`, such as `EventLog.user_features`.
        columns: how columns are read, or names of columns that are read by their types; all when empty.

    Raises:
        DataError: there is no table, or it has no such column, or no column besides the ids.
    """
    if table is None:
        raise DataError(
            f"{split.report.source}: the log has no features of users; read it with a table of users "
            "(users=…, on the command line --users)"
        )
    ids = table["user"]

    def described(users: pl.Series) -> pl.DataFrame:
        asked = pl.DataFrame({"user": users.cast(ids.dtype)})
        return asked.join(table, on="user", how="left", maintain_order="left").drop("user")

    known = described(split.train_users)
    features = _fitted(known, columns)

    def held(one: HeldOut) -> HeldOut:
        own = features.transform(described(one.users))
        seen = replace(one.seen, user_features=own)
        fold_in = seen if one.seen is one.fold_in else replace(one.fold_in, user_features=own)
        return HeldOut(fold_in=fold_in, targets=one.targets, users=one.users, seen=seen)

    train: Histories = replace(split.train, user_features=features.transform(known))
    return replace(split, train=train, validation=held(split.validation), test=held(split.test), user_features=features)


def log_with_user_features(log: EventLog) -> EventLog:
    """The log with the features of its users in its histories, fitted on all users; unchanged if it has none."""
    if log.user_features is None:
        return log
    table = log.user_features.drop("user")
    rows = _fitted(table, ()).transform(table)
    return replace(log, histories=replace(log.histories, user_features=rows))


def _fitted(table: pl.DataFrame, columns: Sequence[FeatureColumn | str]) -> Features:
    wanted: list[FeatureColumn | str] = list(columns) or list(table.columns)
    if not wanted:
        raise DataError("features: the table of users has only ids")
    read = [columns_of(table, (one,))[0] if isinstance(one, str) else one for one in wanted]
    return Features.fit(table, read)
