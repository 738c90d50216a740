"""Weights of repeats against sums over events in plain loops, and their EM against a general optimizer."""

import numpy as np
import polars as pl
import pytest
import scipy.optimize
import torch

from foldin.data import HeldOut, Histories, SimulatedRepeats
from foldin.errors import FitError
from foldin.models import PersonalPopularity, PersonalPopularityConfig, log_shares
from foldin.models.repeats import (
    Choices,
    RepeatWeights,
    choices_of_training,
    groups_of,
    held_out_choices,
    learn_repeats,
)
from foldin.training import fit

ITEMS = 12
HISTORIES = Histories.from_lists(
    [[1, 2, 1, 1, 3, 2, 7], [4] * 9, [], [5], [0, 1, 2, 3], [6, 7, 6, 7, 6, 8, 9, 9, 6, 7, 10, 11, 6]], ITEMS
)


def some_weights(models: int = 2) -> RepeatWeights:
    """Weights of which no two are equal."""
    found = RepeatWeights.even(models)
    rng = np.random.default_rng(0)
    found.by_age.copy_(torch.from_numpy(rng.uniform(0.2, 2.0, len(found.by_age))))
    found.of_models.copy_(torch.from_numpy(rng.uniform(0.5, 3.0, found.of_models.shape)))
    return found


def bin_of(ages: tuple[int, ...], age: int) -> int:
    return max(at for at, start in enumerate(ages) if start <= age)


def by_hand(weights: RepeatWeights, history: list[int], chances: np.ndarray) -> np.ndarray:
    """p(i | h) for chances of models by items."""
    group = int(groups_of(Histories.from_lists([history], ITEMS))[0])
    found = weights.of_models.numpy()[group] @ chances
    total = weights.of_models.numpy()[group].sum()
    for place, item in enumerate(history):
        weight = float(weights.by_age[bin_of(weights.ages, len(history) - 1 - place)])
        found[item] += weight
        total += weight
    return found / total


def test_the_mixture_is_that_of_events_and_models():
    weights, rng = some_weights(), np.random.default_rng(1)
    chances = rng.dirichlet(np.ones(ITEMS), size=(2, len(HISTORIES)))
    found = weights.mixed(HISTORIES, torch.from_numpy(chances.copy())).exp().numpy()
    share = weights.repeat_share(HISTORIES)
    for user in range(len(HISTORIES)):
        expected = by_hand(weights, HISTORIES.of(user).tolist(), chances[:, user])
        np.testing.assert_allclose(found[user], expected, rtol=1e-12)
    never = np.setdiff1d(np.arange(ITEMS), HISTORIES.of(0))
    of_models = weights.of_models.numpy()[groups_of(HISTORIES)[0]]
    own = of_models @ chances[:, 0] / of_models.sum()
    np.testing.assert_allclose(found[0, never], (1 - share[0]) * own[never], rtol=1e-12)
    assert share[2] == 0.0


def test_groups_tell_lengths_and_repeats_apart():
    groups = groups_of(HISTORIES)
    assert groups[2] == groups[3] == 0  # no event, and a single one
    assert len({int(groups[at]) for at in (0, 1, 4)}) == 3


@pytest.mark.parametrize("recency", [True, False])
def test_choices_count_the_earlier_events_with_their_item(recency):
    ages = RepeatWeights.even(1, recency=recency).ages
    found = choices_of_training(HISTORIES, ages)
    at = 0
    for user in range(len(HISTORIES)):
        history = HISTORIES.of(user).tolist()
        for place in range(1, len(history)):
            expected = np.zeros(len(ages))
            for before in range(place):
                expected[bin_of(ages, place - 1 - before)] += history[before] == history[place]
            assert found.matches[at].toarray().ravel().tolist() == expected.tolist()
            assert (found.items[at], found.lengths[at]) == (history[place], place)
            assert found.groups[at] == groups_of(Histories.from_lists([history[:place]], ITEMS))[0]
            at += 1
    assert at == len(found.items)


def test_held_out_choices_are_those_of_the_next_event():
    last = np.zeros(HISTORIES.n_events, dtype=bool)
    last[HISTORIES.offsets[1:][HISTORIES.lengths > 1] - 1] = True
    users = pl.Series([str(one) for one in range(len(HISTORIES))])
    fold_in, targets = HISTORIES.where(~last), HISTORIES.where(last)
    held = HeldOut(fold_in=fold_in, targets=targets, users=users, seen=Histories.empty(len(users), ITEMS))
    ages = RepeatWeights.even(1).ages
    found, every = held_out_choices(held, ages), choices_of_training(HISTORIES, ages)
    ends = np.cumsum(np.maximum(HISTORIES.lengths - 1, 0))[HISTORIES.lengths > 1] - 1
    for name in ("items", "lengths", "groups"):
        assert getattr(found, name).tolist() == getattr(every, name)[ends].tolist()
    assert (found.matches != every.matches[ends]).nnz == 0


def drawn(users: int, events: int, n_items: int = 20) -> tuple[SimulatedRepeats, Histories]:
    """Users of one type, who like all items alike."""
    kernel = SimulatedRepeats.random(n_items).kernel
    simulated = SimulatedRepeats(
        tastes=np.full((1, n_items), 1.0 / n_items), shares=np.ones(1), new=np.array([6.0]), kernel=kernel
    )
    return simulated, simulated.histories(users, events, seed=4)


def log_posterior(logs: np.ndarray, choices: Choices, chances: np.ndarray, center: tuple[float, float]) -> float:
    """The sum of log p of the choices, and the log prior, as functions of the logarithms of the weights."""
    weights = RepeatWeights.even(1)
    n_ages = len(weights.ages)
    w, v = np.exp(logs[:n_ages]), np.exp(logs[n_ages:])
    bins = [bin_of(weights.ages, age) for age in range(int(choices.lengths.max()))]
    table = np.stack([np.bincount(bins[:length], minlength=n_ages) for length in choices.lengths])
    own = v[choices.groups]
    total = (np.log(own * chances[:, 0] + choices.matches @ w) - np.log(own + table @ w)).sum()
    return float(total + (np.log(w) - w / center[0]).sum() + (np.log(v) - v / center[1]).sum())


def test_em_never_falls_and_ends_where_a_general_optimizer_does():
    _, histories = drawn(30, 12)
    weights = RepeatWeights.even(1)
    choices = choices_of_training(histories, weights.ages)
    chances = np.full((len(choices.items), 1), 1.0 / 20)
    first, second = learn_repeats(weights, choices, chances)
    assert first.converged
    assert second.converged
    assert not first.falls
    assert not second.falls
    assert second.lower_bounds[-1] > second.lower_bounds[0]
    single = RepeatWeights.even(1, recency=False)
    learn_repeats(single, choices_of_training(histories, single.ages), chances)
    # The prior's modes are the weights of the first fit: those of ages and groups without any choice.
    center = float(weights.by_age[-1]), float(weights.of_models[-1, 0])
    found = np.log(np.concatenate((weights.by_age.numpy(), weights.of_models[:, 0].numpy())))
    here = log_posterior(found, choices, chances, center)
    best = scipy.optimize.minimize(
        lambda logs: -log_posterior(logs, choices, chances, center), found, method="L-BFGS-B", options={"maxiter": 4}
    )
    assert -best.fun - here < 1e-3


def test_the_weights_of_ages_are_those_of_the_simulation():
    simulated, histories = drawn(1500, 40, n_items=60)
    model = PersonalPopularity(60)
    fit(model, histories)
    w, v = model.repeats.by_age.numpy(), model.repeats.of_models.numpy()
    starts = model.repeats.ages[:10]
    true = [simulated.kernel[a:b].mean() for a, b in zip(starts, model.repeats.ages[1:11], strict=True)]
    often = np.bincount(groups_of(histories), minlength=len(v)).argmax()
    np.testing.assert_allclose(w[:10] * simulated.new[0] / v[often, 0], true, rtol=0.15, atol=0.05)
    true_p = simulated.probabilities(histories.rows(0, 100))
    found = model.logits(histories.rows(0, 100)).double().numpy()
    divergence = (true_p * (np.log(true_p) - found)).sum(axis=1).mean()
    assert 0 <= divergence < 0.02


def test_without_ages_the_order_is_that_of_the_own_counts_and_then_of_popularity():
    _, histories = drawn(200, 30)
    model = PersonalPopularity(20, PersonalPopularityConfig(recency=False))
    fit(model, histories)
    some = histories.rows(0, 20)
    found = model.logits(some).numpy()
    own = np.zeros((20, 20))
    np.add.at(own, (some.users(), some.items), 1.0)
    popular = log_shares(histories.counts()).numpy()
    for user in range(20):
        order = np.lexsort((-popular, -own[user]))
        assert (np.diff(found[user, order]) <= 1e-5).all()


def test_users_with_one_event_teach_nothing_of_repeats():
    with pytest.raises(FitError, match="no training user has two events"):
        fit(PersonalPopularity(3), Histories.from_lists([[0], [1]], 3))
