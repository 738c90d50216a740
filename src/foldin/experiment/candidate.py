"""One of the models that a choice is made among: its validation figures, its costs and what it can do, all measured."""

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from foldin.data import HeldOut, Histories
from foldin.evaluation import Evaluation, evaluate
from foldin.experiment.trained import Trained
from foldin.models import Experts, ItemFeatures, PosteriorSampler, Recommender, capability
from foldin.ranking import rank

__all__ = ["Candidate", "measure_candidate", "milliseconds_per_list", "reads_order"]

_LENGTH = 10  # of a list whose time is measured
_LISTS, _SECONDS = 30, 1.0  # most lists that are timed, and seconds after which no other is begun
_READERS = 64  # most users by whom it is found out whether a model reads the order


@dataclass(frozen=True, kw_only=True, eq=False)
class Candidate:
    """A trained model with its figures on the validation users and its costs.

    Args:
        name: name of the model.
        validation: its evaluation on the validation users.
        seconds: duration of its training.
        milliseconds: median duration of one list of ten items for one user.
        bytes: size of everything learned.
        density: whether its scores are log-probabilities.
        uncertainty: whether it draws from a posterior.
        new_items: whether it reads features of the items.
        reads_order: whether its scores change if histories are reversed.
    """

    name: str
    validation: Evaluation
    seconds: float
    milliseconds: float
    bytes: int
    density: bool
    uncertainty: bool
    new_items: bool
    reads_order: bool


def measure_candidate(trained: Trained, *, metric: str, name: str | None = None) -> Candidate:
    """A model evaluated on the validation users of its split, with the time of a list measured on this machine.

    Args:
        trained: the model.
        metric: metric of the evaluation; the log-likelihood is measured too, if the model has a density.
        name: name of the candidate; that of the model if None.

    Raises:
        ConfigError: an unknown metric.
        ShapeError: no validation user has a target.
    """
    model, held = trained.model, trained.split.validation
    # A combination takes features for its experts, whether or not one of them reads any.
    featured = capability(model, ItemFeatures) is not None and capability(model, Experts) is None
    return Candidate(
        name=trained.name if name is None else name,
        validation=evaluate(model, held, metrics=(metric,)),
        seconds=trained.result.seconds,
        milliseconds=milliseconds_per_list(model, held),
        bytes=sum(one.numel() * one.element_size() for one in model.tensors().values()),
        density=model.has_likelihood,
        uncertainty=capability(model, PosteriorSampler) is not None,
        new_items=featured,
        reads_order=reads_order(model, held.fold_in),
    )


def milliseconds_per_list(model: Recommender, held: HeldOut) -> float:
    """Median duration of one list of ten items for one user, in milliseconds, after a first list that is not counted."""
    users = np.flatnonzero(held.fold_in.lengths)[:_LISTS]
    users = users if len(users) else np.arange(min(len(held), _LISTS))
    rank(model, held.fold_in.select(users[:1]), _LENGTH)
    found: list[float] = []
    for user in users.tolist():
        one = held.fold_in.rows(user, user + 1)
        began = time.perf_counter()
        rank(model, one, _LENGTH)
        found.append(time.perf_counter() - began)
        if sum(found) > _SECONDS:
            break
    return 1000.0 * float(np.median(found))


@torch.no_grad()
def reads_order(model: Recommender, histories: Histories) -> bool:
    """Whether a model's scores change if the items of histories are reversed, each with its weight; times stay."""
    users = np.flatnonzero(histories.distinct().lengths >= 2)[:_READERS]
    step = model.block()
    for start in range(0, len(users), step):
        part = histories.select(users[start : start + step])
        forward, backward = (
            torch.nan_to_num(model.logits(one), posinf=0.0, neginf=0.0) for one in (part, _reversed(part))
        )
        # Sums in another order differ by rounding; what a model reads changes scores by a part of their spread.
        if bool((forward - backward).abs().max() > 1e-3 * forward.std()):
            return True
    return False


def _reversed(histories: Histories) -> Histories:
    """The same users with their items in reverse order."""
    users = histories.users()
    at = histories.offsets[users] + histories.offsets[users + 1] - 1 - np.arange(histories.n_events)
    beside: dict[str, Any] = {
        name: None if (array := getattr(histories, name)) is None else array[at]
        for name in ("kinds", "values", "weights")
    }
    return replace(histories, items=histories.items[at], **beside)
