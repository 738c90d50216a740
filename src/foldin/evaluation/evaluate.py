"""Evaluation on held-out users: metrics of each user, and a report."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import torch

from foldin.data import HeldOut, Histories, Indices
from foldin.display import Display, Displayed, estimate
from foldin.errors import ConfigError, ShapeError
from foldin.evaluation.beyond import coverage, gini, novelty
from foldin.evaluation.intervals import share_interval, studentized_interval
from foldin.evaluation.metrics import METRICS
from foldin.models import Recommender, user_key
from foldin.ranking import Eligibility, Exact, Ranker, masked_logits, rank
from foldin.tensors import Array, Bool, Float64, Int64

__all__ = [
    "DEFAULT_METRICS",
    "LOG_LIKELIHOOD",
    "LOG_LIKELIHOOD_PER_EVENT",
    "Evaluation",
    "ValidationMetric",
    "evaluate",
    "finite",
    "parse_metric",
]

DEFAULT_METRICS = (
    *("ndcg@100", "ndcg@10", "recall@20", "recall@50", "recall_all@20", "hit_rate@10", "mrr@10", "map@10"),
)
LOG_LIKELIHOOD = "log_likelihood_per_item"  # mean over users of the mean over their targets
LOG_LIKELIHOOD_PER_EVENT = "log_likelihood_per_event"  # mean over all targets
_DIGITS = 18
_SHALLOW = 10  # length of the lists for coverage, Gini coefficient and novelty


def parse_metric(name: str) -> tuple[str, int]:
    """The name and the list length of a metric: ("ndcg", 100) for "ndcg@100".

    Raises:
        ConfigError: an unknown metric, or no number after the @.
    """
    kind, _, places = name.partition("@")
    # A number of more digits is capped, since no catalog has that many items.
    if kind not in METRICS or not (places.isascii() and places.isdigit()) or int(places[:_DIGITS]) < 1:
        raise ConfigError(
            f"metric {name!r}: one of {', '.join(METRICS)} and a number of items were expected, as in ndcg@100"
        )
    return kind, int(places) if len(places) <= _DIGITS else 10**_DIGITS


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation(Displayed):
    """Results of one model on one group of held-out users.

    Args:
        per_user: table with a row for each user with targets: `user`, `fold_in` and `targets` (numbers of items), and a column
            for each metric.
        overall: metrics of all lists together: coverage, Gini, …
        without_targets: number of users that are left out because they have no target.
    """

    per_user: pl.DataFrame
    overall: dict[str, float]
    without_targets: int

    def display(self) -> Display:
        rows = [(name, *estimate(entry, 0 if "perplexity" in name else 4)) for name, entry in self.summary().items()]
        left = f"; {self.without_targets:,} users without a target are left out" if self.without_targets else ""
        return Display(
            title=f"Evaluation of {self.per_user.height:,} users{left}", head=("", "mean", "95 % interval"), rows=rows
        )

    @property
    def metrics(self) -> list[str]:
        return [name for name in self.per_user.columns if name not in ("user", "fold_in", "targets")]

    def values(self, metric: str) -> Float64[Array, " users"]:
        """Values of a metric, one for each user."""
        return self.per_user[metric].to_numpy()

    def summary(self, *, seed: int = 0) -> dict[str, Any]:
        """Metric → mean over users with its 95 % interval, `low` and `high`; None if there are too few users for one.

        `log_likelihood_per_item` is the mean over users of the mean over a user's targets, in nats, and
        `log_likelihood_per_event` the mean over all targets; `perplexity` and `perplexity_per_event` are exp(−) of the two. An
        infinite value, such as the perplexity of a model that gives a target probability 0, is None, and named under "infinite".
        """
        table: dict[str, Any] = {}
        for name in self.metrics:
            method = share_interval if name.partition("@")[0] in METRICS else studentized_interval
            table[name] = _estimate(self.values(name), method(self.values(name), seed=seed))
        if LOG_LIKELIHOOD in table:
            each = _per_event(self.values(LOG_LIKELIHOOD), self.per_user["targets"].to_numpy())
            table[LOG_LIKELIHOOD_PER_EVENT] = _estimate(each, studentized_interval(each, seed=seed))
            table["perplexity"] = _perplexity(table[LOG_LIKELIHOOD])
            table["perplexity_per_event"] = _perplexity(table[LOG_LIKELIHOOD_PER_EVENT])
        table |= {name: {"mean": value} for name, value in self.overall.items()}
        return {name: finite(entry) for name, entry in table.items()}


def finite(entry: Mapping[str, float | None]) -> dict[str, Any]:
    """An entry of a report for JSON: numbers that are not finite are None, and their names are listed under "infinite"."""
    infinite = [name for name, value in entry.items() if value is not None and not math.isfinite(value)]
    kept: dict[str, Any] = {name: None if name in infinite else value for name, value in entry.items()}
    return {**kept, "infinite": infinite} if infinite else kept


def _estimate(values: Float64[Array, " users"], interval: tuple[float, float]) -> dict[str, float | None]:
    low, high = (None if np.isnan(end) else end for end in interval)
    return {"mean": float(values.mean()), "low": low, "high": high}


def _perplexity(of: Mapping[str, float | None]) -> dict[str, float | None]:
    """exp(−) of a log-likelihood in nats and of the ends of its interval; ∞ where that overflows."""
    with np.errstate(over="ignore"):
        mean, low, high = (
            None if nats is None else float(np.exp(-nats)) for nats in (of["mean"], of["high"], of["low"])
        )
    return {"mean": mean, "low": low, "high": high}


def _per_event(means: Float64[Array, " users"], targets: Int64[Array, " users"]) -> Float64[Array, " users"]:
    """A value for each user, R + n_u (m_u − R) / n̄, with mean R = Σ_u n_u m_u / Σ_u n_u and the standard error of R.

    Source: the linearization of a ratio estimator, cochran1977, section 2.11.
    """
    overall = (targets * means).sum() / targets.sum()
    if not np.isfinite(overall):
        return np.full(len(means), overall)
    return overall + targets * (means - overall) / targets.mean()


def _relevant(targets: Histories, start: int, lists: Int64[Array, "users k"]) -> Bool[Array, "users k"]:
    """Whether each listed item is a target of its user, for a block of users of `targets` that begins at `start`."""
    part = targets.rows(start, start + len(lists))
    marks = np.zeros((len(lists), targets.n_items + 1), dtype=bool)  # the last column stands for the empty place, −1
    marks[part.users(), part.items] = True
    hits: Bool[Array, "users k"] = np.take_along_axis(marks, lists, axis=1)
    return hits


@torch.no_grad()
def evaluate(
    model: Recommender,
    held: HeldOut,
    *,
    metrics: Sequence[str] = DEFAULT_METRICS,
    train_counts: Int64[Array, " items"] | None = None,
    train_users: int = 0,
    likelihood: bool = True,
    ranker: Ranker | None = None,
    among: Indices | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Rank the whole catalog for every held-out user, items already seen excluded, and measure.

    The log-likelihood is the mean over a user's targets of log p(target | fold-in), renormalized over the items the
    user has not taken, in nats per item; only for models with a density.

    Args:
        metrics: names such as `ndcg@100`; lists are never longer than the catalog.
        train_counts: training events of each item, for the novelty of lists.
        train_users: number of training users, for the novelty of lists.
        likelihood: whether to measure the log-likelihood too.
        ranker: ranker whose lists are evaluated; `Exact` if None. The log-likelihood does not depend on it.
        among: only these items are ranked, their indices or a mask, such as `catalog.cold`; a target elsewhere counts as missed.
        progress: called with (users done, total users).

    Raises:
        ConfigError: an unknown metric, or a model that lacks what the ranker needs.
        ShapeError: no user has a target, or `train_counts` has another length than the catalog.
    """
    ranker = Exact() if ranker is None else ranker
    ranker.check(model)
    if train_counts is not None and train_counts.shape != (model.n_items,):
        raise ShapeError(f"{len(train_counts):,} training counts for {model.n_items:,} items")
    if isinstance(metrics, str) or not metrics:
        raise ConfigError(f"metrics: a list of names was expected, not {metrics!r}")
    parsed = {name: parse_metric(name) for name in metrics}
    with_targets = np.flatnonzero(held.targets.lengths)
    if len(with_targets) == 0:
        raise ShapeError("no held-out user has a target")
    fold_in, targets, seen = (part.select(with_targets) for part in (held.fold_in, held.targets, held.seen))
    depth = min(model.n_items, max(k for _, k in parsed.values()))
    users, step = len(with_targets), model.block()
    columns = {name: np.empty(users) for name in parsed}
    shallow = np.empty((users, min(_SHALLOW, depth)), dtype=np.int64)
    log_likelihood = np.empty(users)
    with_density = model.has_likelihood and likelihood
    for start in range(0, users, step):
        stop = min(start + step, users)
        part = fold_in.rows(start, stop)
        eligible = Eligibility.of(part, seen=seen.rows(start, stop), allow=among)
        if isinstance(ranker, Exact):
            scored = masked_logits(model, part, eligible)
            found, total = ranker.order_and_total(model, scored, depth)
            logits: torch.Tensor | None = scored
        else:
            keys = [user_key(one) for one in held.users.gather(with_targets[start:stop])]
            found, total = rank(model, part, depth, ranker=ranker, eligible=eligible, keys=keys), None
            logits = masked_logits(model, part, eligible) if with_density else None
        lists = found.items
        shallow[start:stop] = lists[:, :_SHALLOW]
        hits = _relevant(targets, start, lists)
        for name, (kind, k) in parsed.items():
            columns[name][start:stop] = METRICS[kind](hits[:, :k], targets.lengths[start:stop])
        if with_density and logits is not None:
            total = torch.logsumexp(logits, dim=1, keepdim=True) if total is None else total
            log_likelihood[start:stop] = _per_item(logits, total, targets.rows(start, stop))
        if progress is not None:
            progress(stop, users)
    if with_density:
        columns[LOG_LIKELIHOOD] = log_likelihood
    at = shallow.shape[1]
    if train_counts is not None:
        columns[f"novelty@{at}"] = novelty(shallow, train_counts, train_users)
    overall = {f"coverage@{at}": coverage(shallow, model.n_items), f"gini@{at}": gini(shallow, model.n_items)}
    table = pl.DataFrame(
        {
            "user": held.users.gather(with_targets),
            "fold_in": fold_in.lengths,
            "targets": targets.lengths,
            **columns,
        }
    )
    return Evaluation(table, overall, len(held) - users)


def _per_item(logits: torch.Tensor, total: torch.Tensor, targets: Histories) -> Float64[Array, " users"]:
    """Mean over a user's targets of log softmax(logits), in nats; `total` is the logarithm of each row's Σ exp."""
    items, offsets = targets.tensors(logits.device)
    users = torch.repeat_interleave(torch.arange(len(targets), device=logits.device), offsets.diff())
    picked = logits[users, items].double()
    summed = torch.zeros(len(targets), dtype=torch.float64, device=logits.device).index_add_(0, users, picked)
    mean: Float64[Array, " users"] = (summed / offsets.diff() - total.squeeze(1).double()).cpu().numpy()
    return mean


class ValidationMetric:
    """The metric that chooses the best epoch in `fit`, on the validation users.

    Args:
        held: the validation users; a product of experts also learns its weights on them.
        metric: name such as `ndcg@100`.

    Raises:
        ConfigError: an unknown metric.
        ShapeError: no user has a target.
    """

    def __init__(self, held: HeldOut, metric: str = "ndcg@100") -> None:
        parse_metric(metric)
        if held.targets.n_events == 0:
            raise ShapeError("no held-out user has a target")
        self.metric = metric
        self.held = held

    def __call__(self, model: Recommender) -> float:
        found = evaluate(model, self.held, metrics=(self.metric,), likelihood=False)
        return float(found.values(self.metric).mean())
