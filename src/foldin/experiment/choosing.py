"""Which of several trained models to take, by their figures on the validation users, and why.

A model is as good as the best one if the paired 95 % interval of their difference, over the validation users, holds 0. Of the
models that are as good, those are cheap whose cost is at most twice the smallest one, and the best of the cheap ones is taken:

    cost = max(training, 1 s) · max(list, 1 ms) · memory

A product needs no rate of exchange between seconds and megabytes: another unit multiplies all costs alike. Times below a second
and a millisecond count as that much, and a factor of two does not matter, since times vary that much between measurements. The
test users are not looked at.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from foldin.data import Split
from foldin.display import Display, Displayed
from foldin.errors import ConfigError
from foldin.evaluation import LOG_LIKELIHOOD, compare_models
from foldin.experiment.candidate import Candidate, measure_candidate
from foldin.experiment.facts import LogFacts, measure_log
from foldin.experiment.trained import Trained
from foldin.reports import CHOICE_HEAD, choice_rows, choice_sentences, choice_title

__all__ = ["Alternative", "Choice", "choose_among", "choose_model"]

_COSTS = ("seconds", "milliseconds", "bytes")
_ALIKE = 2.0  # factor by which costs may differ that count alike
_ABLE = ("density", "uncertainty", "new_items", "reads_order")


@dataclass(frozen=True, kw_only=True)
class Alternative:
    """The model to take for a need that the chosen one does not meet.

    Args:
        need: one of `density`, `uncertainty`, `new_items`, `reads_order`, or a cost: `seconds`, `milliseconds`, `bytes`.
        limit: the cost that the model stays under; None for another need.
        name: the model; None if no compared model meets the need.
    """

    need: str
    limit: float | None
    name: str | None

    def as_dict(self) -> dict[str, Any]:
        """The alternative as data."""
        return {"need": self.need, "limit": self.limit, "model": self.name}


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Choice(Displayed):
    """The model to take on a log, the reasons with their figures, and alternatives.

    Args:
        name: the model to take.
        best: the model with the highest mean of the metric on the validation users.
        metric: metric of the choice.
        facts: facts of the log.
        candidates: the compared models.
        cheap: the models that are as good as the best one and cost little, the chosen one included.
        behind: how far each model is behind the best one: `difference`, `low` and `high`, each None where there is none.
        order: how far the best model that reads the order of events is ahead of the best one that does not; None without both.
        alternatives: models for other needs.
    """

    name: str
    best: str
    metric: str
    facts: LogFacts
    candidates: Mapping[str, Candidate]
    cheap: tuple[str, ...]
    behind: Mapping[str, Mapping[str, float | None]]
    order: Mapping[str, Any] | None
    alternatives: tuple[Alternative, ...]

    @property
    def as_good(self) -> tuple[str, ...]:
        """The models that are as good as the best one, the best one included."""
        return _as_good(self.behind)

    def as_dict(self) -> dict[str, Any]:
        """The choice as data, with its sentences."""
        content: dict[str, Any] = {
            "model": self.name,
            "best": self.best,
            "metric": self.metric,
            "as_good": list(self.as_good),
            "cheap": list(self.cheap),
            "facts": self.facts.as_dict(),
            "models": {name: self._about(one) for name, one in self.candidates.items()},
            "order": None if self.order is None else dict(self.order),
            "alternatives": [one.as_dict() for one in self.alternatives],
        }
        return {**content, "sentences": choice_sentences(content)}

    def _about(self, one: Candidate) -> dict[str, Any]:
        summary = one.validation.summary()
        costs = {name: getattr(one, name) for name in (*_COSTS, *_ABLE)}
        likelihood = {LOG_LIKELIHOOD: summary[LOG_LIKELIHOOD]} if LOG_LIKELIHOOD in summary else {}
        return {"validation": summary[self.metric], **likelihood, "behind": dict(self.behind[one.name]), **costs}

    def display(self) -> Display:
        content = self.as_dict()
        return Display(
            title=choice_title(content), head=CHOICE_HEAD, rows=choice_rows(content), notes=content["sentences"]
        )


def choose_model(
    split: Split, trained: Mapping[str, Trained], *, metric: str = "ndcg@100", data: str | None = None, seed: int = 0
) -> Choice:
    """The model to take of several that were trained on a split, by the validation users.

    Args:
        trained: the models, by name: what `train` returned, or `Tuned.trained`.
        metric: metric of the choice.
        data: name of the log; None for the source of the split.
        seed: seed of the intervals.

    Raises:
        ConfigError: no model, or an unknown metric.
        ShapeError: no validation user has a target, or a model was trained on another split.
    """
    candidates = [measure_candidate(one, metric=metric, name=name) for name, one in trained.items()]
    return choose_among(measure_log(split, data=data, seed=seed), candidates, metric=metric, seed=seed)


def choose_among(facts: LogFacts, candidates: Sequence[Candidate], *, metric: str, seed: int = 0) -> Choice:
    """The candidate to take, with the alternatives for other needs.

    Raises:
        ConfigError: no candidate.
        ShapeError: candidates that were evaluated on different users.
    """
    if not candidates:
        raise ConfigError("there is no model to choose among")
    models = {one.name: one for one in candidates}
    behind = _behind(models, metric, seed)
    cheap = _cheap({one: models[one] for one in _as_good(behind)})
    name = _best(cheap, metric)
    return Choice(
        name=name,
        best=_best(models, metric),
        metric=metric,
        facts=facts,
        candidates=models,
        cheap=tuple(cheap),
        behind=behind,
        order=_order(models, metric, seed),
        alternatives=tuple(_alternatives(models, models[name], facts, metric, seed)),
    )


_Models = Mapping[str, Candidate]
_Behind = Mapping[str, Mapping[str, float | None]]


def _best(models: _Models, metric: str) -> str:
    """The name of the model with the highest mean; of equal ones the first."""
    return max(models, key=lambda name: float(models[name].validation.values(metric).mean()))


def _difference(a: Candidate, b: Candidate, metric: str, seed: int) -> dict[str, float | None]:
    """Mean over users of a's metric minus b's, with its paired interval."""
    (found,) = compare_models({"a": a.validation, "b": b.validation}, [metric], seed=seed)
    return {name: found[name] for name in ("difference", "low", "high")}


def _behind(models: _Models, metric: str, seed: int) -> dict[str, dict[str, float | None]]:
    """How far each model is behind the best one."""
    best = _best(models, metric)
    none: dict[str, float | None] = {"difference": 0.0, "low": None, "high": None}
    return {
        name: none if name == best else _difference(models[best], one, metric, seed) for name, one in models.items()
    }


def _as_good(behind: _Behind) -> tuple[str, ...]:
    """The models that are not shown to be behind: those whose interval holds 0, or that have no interval."""
    return tuple(name for name, one in behind.items() if one["low"] is None or one["low"] <= 0.0)


def _cheap(models: _Models) -> dict[str, Candidate]:
    """The models whose cost is at most twice the smallest one."""
    costs = {name: max(one.seconds, 1.0) * max(one.milliseconds, 1.0) * one.bytes for name, one in models.items()}
    limit = _ALIKE * min(costs.values())
    return {name: one for name, one in models.items() if costs[name] <= limit}


def _among(models: _Models, able: Callable[[Candidate], bool], metric: str, seed: int) -> str | None:
    """The model to take among some; None if there is none."""
    some = {name: one for name, one in models.items() if able(one)}
    return _best(_cheap({name: some[name] for name in _as_good(_behind(some, metric, seed))}), metric) if some else None


def _alternatives(models: _Models, chosen: Candidate, facts: LogFacts, metric: str, seed: int) -> list[Alternative]:
    """For each need that the chosen model does not meet, the model to take.

    Among models with a density the log-likelihood decides. A limit of a cost is the highest power of ten below the chosen
    model's cost that another model stays under.
    """
    found = []
    for need in _ABLE:
        if getattr(chosen, need) or (need == "new_items" and not facts.features):
            continue
        by = LOG_LIKELIHOOD if need == "density" else metric
        name = _among(models, lambda one, need=need: getattr(one, need), by, seed)  # type: ignore[misc]
        found.append(Alternative(need=need, limit=None, name=name))
    for need in _COSTS:
        limit = _limit(
            getattr(chosen, need), [getattr(one, need) for one in models.values()], 1e6 if need == "bytes" else 1.0
        )
        if limit is not None:
            name = _among(models, lambda one, need=need, limit=limit: getattr(one, need) < limit, metric, seed)  # type: ignore[misc]
            found.append(Alternative(need=need, limit=limit, name=name))
    return found


def _limit(cost: float, costs: Sequence[float], least: float) -> float | None:
    """The highest power of ten, not below `least`, that does not exceed a cost and that another one stays under; None without."""
    limit = 10.0 ** math.floor(math.log10(max(cost, least)))
    while limit >= least:
        if min(costs) < limit <= cost:
            return limit
        limit /= 10.0
    return None


def _order(models: _Models, metric: str, seed: int) -> dict[str, Any] | None:
    """How far the best model that reads the order is ahead of the best one that does not; None without both."""
    readers = {name: one for name, one in models.items() if one.reads_order}
    others = {name: one for name, one in models.items() if not one.reads_order}
    if not readers or not others:
        return None
    a, b = _best(readers, metric), _best(others, metric)
    return {"reads": a, "ignores": b, **_difference(models[a], models[b], metric, seed)}
