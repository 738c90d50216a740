"""Which two of several trained models to multiply: every pair is measured on validation users that did not learn its weights."""

import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from foldin.data import HeldOut, Split
from foldin.errors import ConfigError, FitError
from foldin.evaluation import DEFAULT_METRICS, ValidationMetric, evaluate
from foldin.experiment.trained import Trained
from foldin.models import ProductOfExperts, Recommender
from foldin.tensors import Array, Int64
from foldin.training import FitResult, Stopped

__all__ = ["Pair", "best_pairs", "multiplied"]

_MOST = 4  # models of which all pairs are measured
_USERS = 2_000  # most validation users by whom they are measured


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two models and the metric of their product.

    Args:
        names: names of the two models.
        value: mean metric over the validation users, each measured with weights that were learned on the other half of them.
    """

    names: tuple[str, str]
    value: float


def best_pairs(
    split: Split,
    models: Mapping[str, Recommender],
    *,
    metric: str = "ndcg@100",
    most: int = _MOST,
    users: int | None = _USERS,
    seed: int = 0,
) -> list[Pair]:
    """Every two of the best models, best product first, by the validation users. The models are not trained.

    The weights of a product are learned on one half of the validation users and measured on the other, and the other way round,
    so that a product has no advantage over its experts by the users that it learned from. A pair whose weights cannot be learned
    is left out.

    Args:
        models: trained models of the split's catalog, by name.
        metric: metric of the choice.
        most: number of the models, the best ones by the metric, of which all pairs are measured.
        users: most validation users that are measured, drawn at random; None for all.
        seed: seed of the halves.

    Raises:
        ConfigError: fewer than two models, or an unknown metric.
        FitError: no pair has weights, or fewer than two validation users have a target.
    """
    if len(models) < 2 or most < 2:
        raise ConfigError(f"a pair needs two models; there are {min(len(models), most)}")
    held = split.validation
    order = np.random.default_rng(seed).permutation(np.flatnonzero(held.targets.lengths > 0))[:users]
    if len(order) < 2:
        raise FitError(
            f"{len(order)} validation users with a target are too few to measure products of models on halves"
        )
    halves = [_some(held, np.sort(order[side::2])) for side in (0, 1)]
    whole = ValidationMetric(_some(held, np.sort(order)), metric)
    values = {name: whole(model) for name, model in models.items()}
    chosen = sorted(models, key=lambda name: -values[name])[:most]
    found, reasons = [], []
    for a, b in itertools.combinations(chosen, 2):
        try:
            product = ProductOfExperts.of((models[a], models[b]), split.train)
            found.append(Pair(names=(a, b), value=_measured(product, halves, metric)))
        except FitError as error:
            reasons.append(str(error))
    if not found:
        raise FitError(f"no product of two models could be measured: {reasons[0]}")
    return sorted(found, key=lambda one: -one.value)


def multiplied(
    split: Split, trained: Sequence[Trained], *, metrics: Sequence[str] = DEFAULT_METRICS, seed: int = 0
) -> Trained:
    """The product of trained models, with weights learned on the validation users, evaluated on the test users.

    Its duration of training is that of all its experts and of the weights. The experts are shared with the given models.

    Raises:
        ConfigError: no models.
        FitError: no validation user has both a history and a target.
    """
    began = time.perf_counter()
    product = ProductOfExperts.of([one.model for one in trained], split.train)
    product.learn_weights(split.validation)
    seconds = time.perf_counter() - began + sum(one.result.seconds for one in trained)
    result = FitResult(
        records=(), best_epoch=None, best_metric=None, stopped=Stopped.FINISHED, seconds=seconds, epochs=1
    )
    evaluation = evaluate(
        product, split.test, metrics=metrics, train_counts=split.train.counts(), train_users=len(split.train)
    )
    return Trained("product", product, result, evaluation, split, seed)


def _some(held: HeldOut, users: Int64[Array, " users"]) -> HeldOut:
    """Some of the held-out users."""
    return HeldOut(
        fold_in=held.fold_in.select(users),
        targets=held.targets.select(users),
        users=held.users.gather(users),
        seen=held.seen.select(users),
    )


def _measured(product: ProductOfExperts, halves: Sequence[HeldOut], metric: str) -> float:
    """Mean metric of both halves, each with the weights of the other."""
    total = 0.0
    for learned_on, measured_on in (halves, halves[::-1]):
        product.learn_weights(learned_on)
        total += ValidationMetric(measured_on, metric)(product) * len(measured_on)
    return total / sum(map(len, halves))
