"""Repeats: the next item is one of the user's earlier events, by their age, or is drawn by a model.

    p(i | h) = (Σ_k v_gk p_k(i | h) + Σ_e w_a(e) [i_e = i]) / (Σ_k v_gk + Σ_e w_a(e))

Each earlier event e has a weight w by its age a(e), the number of events since then, and each model k a weight v by the group g
of the history: its length, and the share of its events that were repeats. So that p(i | h) is the mixture

    p(i | h) = p(repeat | h) p_r(i | h) + (1 − p(repeat | h)) p_m(i | h),   p(repeat | h) = Σ_e w_a(e) / (Σ_k v_gk + Σ_e w_a(e))

of the earlier events and the models. EM gives each choice to the events and models that may have made it, and the M-step
maximizes the bound in which log Σ is replaced by its tangent:

    w_a ← (r_a + b) / (Σ_h n_a(h) / S(h) + b / w₀),   v_gk ← (r_gk + b) / (Σ_{h in g} 1 / S(h) + b / v₀)

with r the expected choices, n_a(h) the number of events of age a in a history, S(h) the denominator above, and b = 1 a
pseudo-choice. Each iteration raises the log-likelihood plus the log prior. The weights w₀ and v₀, to which the others are
drawn, are those of a first fit with a single w and a single v of each model.

Source: ren2019, eq. 1 (the two modes); hunter2004 (the tangent); dempster1977 (EM).
Departures: the weights depend on the ages of events, not on a network that reads them.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy.sparse
import torch

from foldin.data import HeldOut, Histories
from foldin.data.order import one_of_each
from foldin.inference import EMResult, Maximizable, Statistics, em
from foldin.models.contract import LEAST_SHARE
from foldin.tensors import Array, Float, Float64, Int64, Tensor

__all__ = ["Choices", "RepeatWeights", "choices_of_training", "held_out_choices", "learn_repeats"]

# Ages, and numbers of events of a history, from which on they are in the next bin.
_AGES = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 512, 1024)
_LENGTHS = (2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
_SHARES = 4  # of the shares of repeats in [0, 1)
_PSEUDO = 1.0
_ITERATIONS = 500
_GAIN = 1e-7  # nats per choice


class Choices(NamedTuple):
    """Items that users took, given their events until then.

    Args:
        items: the item of each choice.
        lengths: number of earlier events.
        groups: group of the earlier events, as of `RepeatWeights.groups`.
        matches: number of earlier events of each age bin that are events with the item.
        weights: weight of each choice in the log-likelihood.
    """

    items: Int64[Array, " choices"]
    lengths: Int64[Array, " choices"]
    groups: Int64[Array, " choices"]
    matches: scipy.sparse.csr_matrix
    weights: Float64[Array, " choices"]


@dataclass(eq=False)
class RepeatWeights:
    """The weights of earlier events by age, and those of models by the group of a history.

    Args:
        by_age: w, for each bin of ages.
        of_models: v.
        ages: ages from which on an event is in the next bin.
    """

    by_age: Float[Tensor, " ages"]
    of_models: Float[Tensor, "groups models"]
    ages: tuple[int, ...] = _AGES

    @classmethod
    def even(cls, n_models: int, *, recency: bool = True) -> "RepeatWeights":
        """Equal weights of all events, and of all models, before anything is learned.

        Args:
            recency: whether weights depend on the age of events; otherwise there is a single bin.
        """
        ages = _AGES if recency else _AGES[:1]
        of_models = torch.full((n_groups(), n_models), 1.0 / n_models, dtype=torch.float64)
        return cls(torch.ones(len(ages), dtype=torch.float64), of_models, ages)

    def mixed(self, histories: Histories, chances: Float[Tensor, "models users items"]) -> Float[Tensor, "users items"]:
        """log p(i | h) of each user, in nats; the first model's chances are overwritten.

        Args:
            chances: p_k(i | h) of each model.
        """
        device = chances.device
        of_models = self.of_models[torch.from_numpy(groups_of(histories))].to(device, chances.dtype)
        found = chances[0].mul_(of_models[:, :1])
        for at in range(1, len(chances)):
            found.addcmul_(chances[at], of_models[:, at : at + 1])
        ages = np.repeat(histories.offsets[1:], histories.lengths) - 1 - np.arange(histories.n_events)
        weights = self.by_age.numpy()[np.searchsorted(self.ages, ages, side="right") - 1]
        total = np.bincount(histories.users(), weights=weights, minlength=len(histories))
        places = torch.from_numpy(histories.pair_keys()).to(device)
        found.view(-1).index_add_(0, places, torch.from_numpy(weights).to(device, found.dtype))
        found.div_(of_models.sum(dim=1, keepdim=True) + torch.from_numpy(total).to(found).unsqueeze(1))
        return found.clamp_(min=LEAST_SHARE).log_()

    def repeat_share(self, histories: Histories) -> Float64[Array, " users"]:
        """p(repeat | h), the probability that the next event is drawn from the earlier ones."""
        table = _in_bins(self.ages, int(histories.lengths.max(initial=0)))
        again = table[histories.lengths] @ self.by_age.numpy()
        found: Float64[Array, " users"] = again / (again + self.of_models.sum(dim=1).numpy()[groups_of(histories)])
        return found


def n_groups() -> int:
    """Number of groups of histories."""
    return (len(_LENGTHS) + 1) * _SHARES


def _group(lengths: Int64[Array, " n"], repeats: Int64[Array, " n"]) -> Int64[Array, " n"]:
    """The group of histories by their number of events, and of events with an item that was taken before."""
    share = np.minimum(_SHARES * repeats // np.maximum(lengths, 1), _SHARES - 1)
    found: Int64[Array, " n"] = np.searchsorted(_LENGTHS, lengths, side="right") * _SHARES + share
    return found


def groups_of(histories: Histories) -> Int64[Array, " users"]:
    """The group of each user's history."""
    again = ~one_of_each(histories.pair_keys())
    return _group(histories.lengths, np.bincount(histories.users()[again], minlength=len(histories)))


def _in_bins(ages: tuple[int, ...], longest: int) -> Float64[Array, "lengths ages"]:
    """Number of events of each age bin in a history of each length, from 0 to the longest."""
    starts = np.array(ages)
    ends = np.append(starts[1:], np.iinfo(np.int64).max)
    lengths = np.arange(longest + 1)[:, None]
    found: Float64[Array, "lengths ages"] = (np.clip(lengths, starts, ends) - starts).astype(np.float64)
    return found


def _matches(
    events: Histories,
    users: Int64[Array, " choices"],
    items: Int64[Array, " choices"],
    before: Int64[Array, " choices"],
    ages: tuple[int, ...],
) -> scipy.sparse.csr_matrix:
    """Events of each age bin with an item, among the first `before` events of a user."""
    places = np.arange(events.n_events) - np.repeat(events.offsets[:-1], events.lengths)
    width = int(events.lengths.max(initial=0)) + 1
    known = np.sort(events.pair_keys() * width + places)
    base = (users * events.n_items + items) * width
    # Events at places below `before` − age are of this age or older.
    at_least = [np.searchsorted(known, base + np.maximum(before - age, 0)) for age in ages]
    counts = np.stack(at_least, axis=1) - np.searchsorted(known, base)[:, None]
    counts[:, :-1] -= counts[:, 1:]
    return scipy.sparse.csr_matrix(counts.astype(np.float64))


def choices_of_training(train: Histories, ages: tuple[int, ...]) -> Choices:
    """Every event of training but the first one of each user, given the earlier ones."""
    places = np.arange(train.n_events) - np.repeat(train.offsets[:-1], train.lengths)
    users, chosen = train.users(), places > 0
    again = np.concatenate(([0], np.cumsum(~one_of_each(train.pair_keys()))))
    repeats = again[:-1] - np.repeat(again[train.offsets[:-1]], train.lengths)  # among the events before each one
    items = train.items[chosen].astype(np.int64)
    return Choices(
        items=items,
        lengths=places[chosen],
        groups=_group(places, repeats)[chosen],
        matches=_matches(train, users[chosen], items, places[chosen], ages),
        weights=np.ones(len(items)),
    )


def held_out_choices(held: HeldOut, ages: tuple[int, ...]) -> Choices:
    """The targets of held-out users, given the events that are seen; the targets of a user have the weight 1 together."""
    users, items = held.targets.users(), held.targets.items.astype(np.int64)
    lengths = held.fold_in.lengths[users]
    return Choices(
        items=items,
        lengths=lengths,
        groups=groups_of(held.fold_in)[users],
        matches=_matches(held.fold_in, users, items, lengths, ages),
        weights=1.0 / held.targets.lengths[users],
    )


class _Urn(Maximizable[Choices]):
    """EM for some choices, with the chance of each under the models.

    Args:
        weights: the weights, changed in place.
        chances: p_k(item of the choice).
        one_group: whether all groups have the same weights of models.
    """

    def __init__(self, weights: RepeatWeights, chances: Float64[Array, "choices models"], *, one_group: bool) -> None:
        self.weights, self.chances, self.one_group = weights, chances, one_group
        self.center = weights.by_age.numpy().copy(), weights.of_models.numpy().copy()

    def summarize(self, batch: Choices) -> Statistics:
        by_age, of_models = self.weights.by_age.numpy(), self.weights.of_models.numpy()
        own = self.chances * of_models[batch.groups]
        likely = own.sum(axis=1) + batch.matches @ by_age
        kinds, inverse = np.unique(batch.lengths * n_groups() + batch.groups, return_inverse=True)
        lengths, groups = kinds // n_groups(), kinds % n_groups()
        counts = np.bincount(inverse, weights=batch.weights)
        table = _in_bins(self.weights.ages, int(lengths.max(initial=0)))[lengths]
        total = table @ by_age + of_models[groups].sum(axis=1)
        exposed = np.bincount(groups, weights=counts / total, minlength=n_groups())
        share = batch.weights / likely
        taken = np.stack(
            [np.bincount(batch.groups, weights=share * one, minlength=n_groups()) for one in own.T], axis=1
        )
        sums = {
            "age choices": by_age * (batch.matches.T @ share),
            "age exposure": table.T @ (counts / total),
            "model choices": taken,
            "model exposure": np.repeat(exposed[:, None], own.shape[1], axis=1),
        }
        log_likelihood = float(batch.weights @ np.log(likely) - counts @ np.log(total))
        return Statistics(sums, log_likelihood, float(batch.weights.sum()))

    def maximize(self, statistics: Statistics) -> None:
        found, (age_center, model_center) = statistics.sums, self.center
        by_age = (found["age choices"] + _PSEUDO) / (found["age exposure"] + _PSEUDO / age_center)
        choices, exposure = found["model choices"], found["model exposure"]
        if self.one_group:
            choices, exposure = choices.sum(axis=0, keepdims=True), exposure.sum(axis=0, keepdims=True)
        of_models = (choices + _PSEUDO) / (exposure + _PSEUDO / model_center)
        self.weights.by_age.copy_(torch.from_numpy(by_age))
        self.weights.of_models.copy_(torch.from_numpy(of_models))

    def log_prior(self) -> float:
        ages, models = self.weights.by_age.numpy(), self.weights.of_models.numpy()
        if self.one_group:
            models, center = models[:1], self.center[1][:1]
        else:
            center = self.center[1]
        each = np.log(ages / self.center[0]) - ages / self.center[0]
        return float(_PSEUDO * (each.sum() + (np.log(models / center) - models / center).sum()))


def learn_repeats(
    weights: RepeatWeights, choices: Choices, chances: Float64[Array, "choices models"]
) -> tuple[EMResult, EMResult]:
    """Learn the weights from choices, in place; returns the course of both fits: of a single age and group, and of all.

    Args:
        weights: `RepeatWeights.even`.
        chances: the probability of the item of each choice under each model.

    Raises:
        FitError: there is no choice.
    """
    chances = np.maximum(chances, LEAST_SHARE)  # as in the mixture
    single = RepeatWeights.even(chances.shape[1], recency=False)
    alike = choices._replace(matches=scipy.sparse.csr_matrix(choices.matches.sum(axis=1)))
    first = em(_Urn(single, chances, one_group=True), lambda: [alike], iterations=_ITERATIONS, tolerance=_GAIN)
    weights.by_age.fill_(float(single.by_age[0]))
    weights.of_models.copy_(single.of_models)
    second = em(_Urn(weights, chances, one_group=False), lambda: [choices], iterations=_ITERATIONS, tolerance=_GAIN)
    return first, second
