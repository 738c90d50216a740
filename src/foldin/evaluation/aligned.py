"""The same users under two runs, paired by their external ids, and pooled over several nights.

Two runs that were trained on different days have their users and items in different order: only external ids are the same. Every
user counts once, with the mean over the nights on which the user was evaluated: the nights of one user are not independent, while
users are.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from foldin.display import Display, Displayed
from foldin.errors import ShapeError
from foldin.evaluation.evaluate import Evaluation
from foldin.tensors import Array, Float64, Int64

__all__ = ["PairedUsers", "pair_users", "pool_nights"]


@dataclass(frozen=True, eq=False, repr=False)
class PairedUsers(Displayed):
    """A metric of the same users under two runs.

    Args:
        metric: name of the metric.
        users: external ids as text, each once.
        old, new: value of each user under the two runs; the mean over the user's nights.
        nights: number of nights of each user.
        left_out: number of values of users whom only one of the two runs was evaluated on.
    """

    metric: str
    users: pl.Series
    old: Float64[Array, " users"]
    new: Float64[Array, " users"]
    nights: Int64[Array, " users"]
    left_out: int = 0

    def __len__(self) -> int:
        return len(self.users)

    @property
    def differences(self) -> Float64[Array, " users"]:
        """new − old of each user: what `decide` takes."""
        return self.new - self.old

    def display(self) -> Display:
        left = f"; {self.left_out:,} values of users of one run alone are left out" if self.left_out else ""
        return Display(
            title=f"PairedUsers: {self.metric} of {len(self):,} users under two runs{left}",
            head=("", "mean"),
            rows=[(name, f"{getattr(self, name).mean():.4f}") for name in ("old", "new", "differences", "nights")],
        )


def pair_users(
    old: Evaluation | pl.DataFrame, new: Evaluation | pl.DataFrame, metric: str, *, common_only: bool = False
) -> PairedUsers:
    """The users of two evaluations, paired by external id, whatever their order and whether ids are numbers or text.

    Args:
        old, new: evaluations of the two runs on the same held-out users, or their tables `per_user` (`per_user.parquet` of a
            run): a column `user`, and one for the metric.
        metric: name of the metric, such as `ndcg@10`.
        common_only: whether users of one evaluation alone are left out and counted. If False, they are refused, since the users
            that a run cannot be evaluated on are not like the others.

    Raises:
        ShapeError: a missing column, a user that occurs twice, users of one evaluation alone, no common user, other numbers of
            targets, or a value that is not finite.
    """
    tables = [_table(name, one, metric) for name, one in (("the old run", old), ("the new run", new))]
    both = tables[0].join(tables[1], on="user", how="inner", suffix=":new").sort("user")
    alone = sum(len(table) - len(both) for table in tables)
    if len(both) == 0 or (alone and not common_only):
        raise ShapeError(
            f"the old run was evaluated on {len(tables[0]):,} users, the new one on {len(tables[1]):,}, with {len(both):,} in "
            "common; evaluate both on the same users, or leave out the others (common_only)"
        )
    if {"targets", "targets:new"} <= set(both.columns):
        other = both.filter(pl.col("targets") != pl.col("targets:new"))
        if len(other):
            raise ShapeError(
                f"{len(other):,} users have other numbers of targets in the two evaluations, such as {other['user'][0]!r}: "
                "compare the runs on one split"
            )
    return PairedUsers(
        metric,
        both["user"],
        both[metric].to_numpy(),
        both[f"{metric}:new"].to_numpy(),
        np.ones(len(both), dtype=np.int64),
        alone,
    )


def pool_nights(nights: Sequence[PairedUsers]) -> PairedUsers:
    """The users of several nights, or of pools of nights: each user once, with the mean over the user's nights.

    Raises:
        ShapeError: no nights, or nights of different metrics.
    """
    names = {one.metric for one in nights}
    if len(names) != 1:
        raise ShapeError(f"nights of one metric were expected, not of {sorted(names) or 'none'}")
    every = pl.concat([one.users.alias("user") for one in nights])
    users = every.unique(maintain_order=True)
    place = {user: at for at, user in enumerate(users)}
    at = np.array([place[user] for user in every], dtype=np.int64)
    times = np.concatenate([one.nights for one in nights])
    total = np.bincount(at, weights=times, minlength=len(users))

    def mean(values: list[Float64[Array, " users"]]) -> Float64[Array, " users"]:
        return np.bincount(at, weights=times * np.concatenate(values), minlength=len(users)) / total

    return PairedUsers(
        nights[0].metric,
        users,
        mean([one.old for one in nights]),
        mean([one.new for one in nights]),
        total.astype(np.int64),
        sum(one.left_out for one in nights),
    )


def _table(name: str, of: Evaluation | pl.DataFrame, metric: str) -> pl.DataFrame:
    """Users as text, the metric, and the numbers of targets where they are known."""
    table = of.per_user if isinstance(of, Evaluation) else of
    missing = {"user", metric} - set(table.columns)
    if missing:
        raise ShapeError(f"{name} has no column {sorted(missing)[0]!r}, but {', '.join(table.columns)}")
    kept = [pl.col("user").cast(pl.String), pl.col(metric).cast(pl.Float64)]
    table = table.select(*kept, *(pl.col(one) for one in ("targets",) if one in table.columns))
    if table["user"].null_count():
        raise ShapeError(f"{name} has a user without an id")
    if table["user"].n_unique() != len(table):
        raise ShapeError(f"{name} has the user {table['user'].filter(table['user'].is_duplicated())[0]!r} twice")
    wrong = table.filter(pl.col(metric).is_null() | ~pl.col(metric).is_finite())
    if len(wrong):
        raise ShapeError(f"{name} has no finite {metric} of the user {wrong['user'][0]!r}")
    return table
