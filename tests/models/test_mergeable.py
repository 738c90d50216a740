"""Statistics of EM and of variational inference: what a pass keeps, and what is counted of a part of the events."""

import numpy as np
import pytest
import torch

from foldin.data import Histories
from foldin.inference import Statistics
from foldin.models import (
    MODELS,
    LDAConfig,
    MergeableStatistics,
    Online,
    PoissonFactorizationConfig,
    StochasticAscent,
    has_capability,
    statistics_of_catalog,
)
from foldin.testing import two_tastes
from foldin.training import fit
from tests.small import ITEMS, SETTINGS

MERGING = [name for name in MODELS if has_capability(MODELS[name].model_class, MergeableStatistics)]


def small(name: str, **more):
    config = MODELS[name]().with_settings({**SETTINGS[name], **more})
    return config.model_class(ITEMS, config, seed=3)


def trained(name: str, epochs: int = 4):
    model = small(name)
    fit(model, two_tastes(60, ITEMS), seed=3, epochs=epochs)
    return model


def assert_close(found: Statistics, expected: Statistics) -> None:
    assert found.sums.keys() == expected.sums.keys()
    for name, one in expected.sums.items():
        assert np.abs(found.sums[name] - one).max() <= 1e-6 * np.abs(one).max(), name
    assert found.weight == pytest.approx(expected.weight)


def test_the_models_with_statistics_are_those_of_the_guide():
    assert MERGING == ["mixture", "plsa", "lda", "poisson"]


@pytest.mark.parametrize("name", MERGING)
def test_statistics_of_disjoint_users_add_up_to_those_of_their_union(name):
    model, users = trained(name), two_tastes(60, ITEMS, seed=7)
    parts = [model.summarize(users.rows(first, last)) for first, last in ((0, 11), (11, 11), (11, 40), (40, 60))]
    merged = parts[0]
    for part in parts[1:]:
        merged = merged.merge(part)
    assert_close(merged, model.summarize(users))


@pytest.mark.parametrize("name", MERGING)
def test_statistics_of_a_division_of_the_events_add_up_to_those_of_all(name):
    model, users = trained(name), two_tastes(40, ITEMS, seed=7)
    new = np.random.default_rng(0).random(users.n_events) < 0.4
    whole, early, late = (model.summarize_new(users, mask) for mask in (np.ones_like(new), ~new, new))
    for of in whole.sums.keys() - {"classes"}:
        assert np.allclose(early.sums[of] + late.sums[of], whole.sums[of], rtol=1e-5, atol=1e-5)
    assert late.sums["items"].sum() == pytest.approx(new.sum(), rel=1e-5)
    if name == "mixture":  # a user is of one class, which is counted with the first event
        newcomers = np.array([new[a:b].all() for a, b in zip(users.offsets[:-1], users.offsets[1:], strict=True)])
        assert late.sums["classes"].sum() == pytest.approx(newcomers.sum())


@pytest.mark.parametrize("name", MERGING)
def test_a_training_keeps_the_statistics_of_its_last_pass(name):
    """They are those of the parameters before that pass, and the M-step gives the parameters after it."""
    users, before, after = two_tastes(60, ITEMS), trained(name, epochs=3), trained(name, epochs=4)
    assert_close(after.statistics, before.summarize(users))
    before.maximize(after.statistics)
    assert all(torch.equal(before.state()[of], one) for of, one in after.state().items())


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("lda", {"online": Online(batch_size=10)}),
        ("poisson", {"ascent": StochasticAscent(batch_size=10, delay=0.0)}),
    ],
)
def test_after_steps_over_batches_the_natural_parameters_are_the_prior_plus_the_statistics(name, how):
    config = {"lda": LDAConfig, "poisson": PoissonFactorizationConfig}[name](n_components=4, epochs=20, **how)
    model, users = config.model_class(ITEMS, config, seed=3), two_tastes(60, ITEMS)
    fit(model, users, seed=3)
    parameters = model.topics if name == "lda" else model.item_shape
    prior = model.eta if name == "lda" else model.config.shape
    assert np.allclose(prior + model.statistics.sums["items"], parameters.numpy(), rtol=1e-12)
    # The batches have seen all users many times, so that the statistics are about those of all users.
    assert model.statistics.sums["items"].sum() == pytest.approx(users.n_events, rel=0.05)
    if name == "poisson":
        assert np.allclose(model.statistics.sums["users"], model.summarize(users).sums["users"], rtol=0.2)


def test_items_of_another_catalog_take_their_rows_and_new_ones_have_none():
    items = np.arange(6.0).reshape(3, 2)
    earlier = Statistics({"items": items, "classes": np.array([4.0, 5.0])}, 0.0, 9.0)
    found = statistics_of_catalog(earlier, frozenset(("items",)), [2, None, 0, None], 4)
    assert found.sums["items"].tolist() == [[4.0, 5.0], [0.0, 0.0], [0.0, 1.0], [0.0, 0.0]]
    assert found.sums["classes"].tolist() == [4.0, 5.0]
    assert found.weight == 9.0
    assert items.tolist() == [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]


def test_weights_of_events_are_weights_of_their_statistics():
    """An event of weight 2 counts as two events."""
    lists = [[0, 2, 4], [1, 3, 5, 7], [2, 6]]
    twice = Histories.from_lists([[*one, one[-1]] for one in lists], ITEMS)
    once = Histories.from_lists(lists, ITEMS)
    weights = np.ones(once.n_events, np.float32)
    weights[once.offsets[1:] - 1] = 2.0
    weighted = Histories(items=once.items, offsets=once.offsets, n_items=ITEMS, weights=weights)
    last, last_twice = weights == 2.0, np.zeros(twice.n_events, dtype=bool)
    for at in twice.offsets[1:]:
        last_twice[at - 2 : at] = True
    for name in MERGING:
        model = trained(name)
        found, expected = model.summarize_new(weighted, last), model.summarize_new(twice, last_twice)
        for of, one in expected.sums.items():
            assert np.allclose(found.sums[of], one, rtol=1e-4, atol=1e-6), (name, of)
