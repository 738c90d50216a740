"""Comparison of models on the same users: differences with intervals, and paired tests adjusted for their number."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from foldin.errors import ShapeError
from foldin.evaluation.evaluate import Evaluation
from foldin.evaluation.intervals import studentized_interval
from foldin.evaluation.significance import holm, paired_test
from foldin.tensors import Array, Float64

__all__ = ["compare_models"]


def compare_models(
    evaluations: Mapping[str, Evaluation], metrics: Sequence[str], *, seed: int = 0
) -> list[dict[str, Any]]:
    """Paired tests of every two models on every metric that both have, Holm-adjusted within a metric.

    Users are paired by their ids, whatever their order in the evaluations. `low` and `high` are None where there is no interval
    (`intervals.py`), `p` and `p_adjusted` where a difference is not finite.

    Raises:
        ShapeError: two models were not evaluated on the same users and targets, or a user occurs twice in an
            evaluation.
    """
    rows: list[dict[str, Any]] = []
    names = list(evaluations)
    tables = {name: _in_one_order(name, names[0], evaluations) for name in names}
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    for metric in metrics:
        able = [(a, b) for a, b in pairs if metric in tables[a].columns and metric in tables[b].columns]
        tests = [
            _test(metric, a, b, *(tables[model][metric].to_numpy() for model in (a, b)), seed=seed) for a, b in able
        ]
        sure = [row for row in tests if row["p"] is not None]
        for row, adjusted in zip(sure, holm([row["p"] for row in sure]), strict=True):
            row["p_adjusted"] = adjusted
        rows += tests
    return rows


def _test(
    metric: str, a: str, b: str, of_a: Float64[Array, " users"], of_b: Float64[Array, " users"], *, seed: int
) -> dict[str, Any]:
    with np.errstate(invalid="ignore"):
        difference = of_a - of_b
    ends = studentized_interval(difference, seed=seed)
    values = (float(difference.mean()), *ends, paired_test(of_a, of_b, seed=seed))
    mean, low, high, p = (value if np.isfinite(value) else None for value in values)
    return {
        "metric": metric,
        "a": a,
        "b": b,
        "difference": mean,
        "low": low,
        "high": high,
        "p": p,
        "p_adjusted": None,
    }


def _in_one_order(name: str, first: str, evaluations: Mapping[str, Evaluation]) -> pl.DataFrame:
    """The table of a model with a row for each user, in the order of the first model's users."""
    table, wanted = evaluations[name].per_user, evaluations[first].per_user
    for model, one in ((first, wanted), (name, table)):
        if one["user"].n_unique() != len(one):
            twice = one["user"].filter(one["user"].is_duplicated())[0]
            raise ShapeError(f"{model}: user {twice!r} occurs twice, so that rows of two models cannot be paired")
    order = {user: at for at, user in enumerate(table["user"].to_list())}
    users = wanted["user"].to_list()
    missing = [user for user in users if user not in order]
    if missing or len(order) != len(users):
        known = set(users)
        of, user = (first, missing[0]) if missing else (name, next(one for one in order if one not in known))
        raise ShapeError(
            f"{first} was evaluated on {len(users):,} users, {name} on {len(order):,}, and user {user!r} is only among those of "
            f"{of}; compare models on the same users"
        )
    table = table[np.array([order[user] for user in users], dtype=np.int64)]
    if {"targets"} <= set(table.columns) & set(wanted.columns) and not table["targets"].equals(wanted["targets"]):
        raise ShapeError(
            f"{first} and {name} were evaluated on different targets of the same users; compare them on one split"
        )
    return table
