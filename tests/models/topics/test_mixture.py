import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from foldin.data import Histories
from foldin.inference import em, stochastic_em
from foldin.models import MixtureOfMultinomials, MixtureOfMultinomialsConfig, top_items
from foldin.ranking import scores
from foldin.testing import two_tastes
from foldin.training import fit

ITEMS = 8
logs = st.lists(st.lists(st.integers(0, ITEMS - 1), max_size=6), min_size=1, max_size=12).filter(any)


def begun(train: Histories, classes: int = 3, seed: int = 0, **more) -> MixtureOfMultinomials:
    config = MixtureOfMultinomialsConfig(n_components=classes, precision="double", **more)
    model = MixtureOfMultinomials(train.n_items, config)
    model.trainer(train).begin(train, torch.Generator().manual_seed(seed))
    return model


@settings(max_examples=20)
@given(logs, st.integers(1, 4), st.integers(0, 5))
def test_em_never_lowers_the_bound(lists, classes, seed):
    train = Histories.from_lists(lists, ITEMS)
    found = em(begun(train, classes, seed), lambda: [train], iterations=15, tolerance=0.0, check=True)
    assert len(found.lower_bounds) == 16


def test_the_statistics_are_those_of_the_formula():
    train = Histories.from_lists([[0, 1, 1], [], [5, 2], [7]], ITEMS)
    model = begun(train)
    found = model.summarize(train)
    theta, pi = model.log_items.exp().numpy(), model.log_class.exp().numpy()
    classes, items, total = np.zeros(3), np.zeros((ITEMS, 3)), 0.0
    for user in range(len(train)):
        joint = pi * np.prod(theta[train.of(user)], axis=0)
        total += np.log(joint.sum())
        shares = joint / joint.sum()
        classes += shares
        np.add.at(items, train.of(user), shares)
    assert found.log_likelihood == pytest.approx(total, rel=1e-12)
    assert np.allclose(found.sums["classes"], classes, rtol=1e-12)
    assert np.allclose(found.sums["items"], items, rtol=1e-12)
    assert found.weight == 4.0


@pytest.mark.parametrize("threads", [1, 3])
def test_batches_and_workers_merge_to_the_whole(threads, set_threads):
    train = two_tastes(40, ITEMS)
    whole = begun(train).summarize(train)
    set_threads(threads)
    model = begun(train)
    parts = [model.summarize(train.rows(at, at + 7)) for at in range(0, 40, 7)]
    merged = parts[0]
    for part in parts[1:]:
        merged = merged.merge(part)
    for name, value in whole.sums.items():
        assert np.allclose(merged.sums[name], value, rtol=1e-10)
    assert merged.log_likelihood == pytest.approx(whole.log_likelihood, rel=1e-10)
    one, many = begun(train), begun(train)
    em(one, lambda: [train], iterations=5)
    em(many, lambda: (train.rows(at, at + 7) for at in range(0, 40, 7)), iterations=5)
    assert torch.allclose(one.log_items, many.log_items, rtol=1e-10)


def test_users_twice_weigh_double():
    train = two_tastes(20, ITEMS)
    twice = train.select(np.tile(np.arange(20), 2))
    model = begun(train)
    once, double = model.summarize(train).scaled(2.0), model.summarize(twice)
    assert np.allclose(once.sums["items"], double.sums["items"], rtol=1e-12)
    assert once.log_likelihood == pytest.approx(double.log_likelihood)
    assert once.weight == double.weight


def test_the_order_of_classes_changes_nothing():
    train = two_tastes(30, ITEMS)
    model, other = begun(train), begun(train)
    order = torch.tensor([2, 0, 1])
    other.log_items.copy_(model.log_items[:, order])
    other.log_class.copy_(model.log_class[order])
    bounds = [em(one, lambda: [train], iterations=8).lower_bounds for one in (model, other)]
    assert bounds[0] == pytest.approx(bounds[1], rel=1e-10)
    assert torch.allclose(scores(model, train), scores(other, train), atol=1e-5)


def test_an_empty_class_begins_again_and_it_is_said():
    train = two_tastes(30, ITEMS)
    model = begun(train)
    model.log_class[1] = -1e4  # nobody is in it
    assert model.trainer(train).iterate(train, torch.Generator().manual_seed(0))["reseeded"] == 1.0
    assert torch.isfinite(model.log_items).all()
    assert model.log_class.exp().sum() == pytest.approx(1.0)
    assert model.trainer(train).iterate(train, torch.Generator().manual_seed(0))["reseeded"] == 0.0
    assert model.summarize(train).sums["classes"][1] > 0.5


def test_more_classes_than_users_are_legal():
    train = Histories.from_lists([[0, 1], [2]], ITEMS)
    model = MixtureOfMultinomials(ITEMS, MixtureOfMultinomialsConfig(n_components=5, epochs=5))
    fit(model, train)
    assert torch.isfinite(scores(model, train)).all()


def test_bic_finds_the_two_kinds_of_users():
    train = two_tastes(200, 20)
    found = {}
    for classes in (1, 2, 6):
        model = begun(train, classes, smoothing=0.01)
        em(model, lambda: [train], iterations=50)
        found[classes] = model.bic(train)
    assert min(found, key=found.__getitem__) == 2
    free = 1 + 2 * 19
    model = begun(train, 2)
    expected = -2 * model.summarize(train).log_likelihood + free * np.log(200)
    assert model.bic(train) == pytest.approx(expected)


def test_telling_items_are_those_of_the_class():
    train = two_tastes(200, 20)
    model = begun(train, 2, smoothing=0.01)
    em(model, lambda: [train], iterations=50)
    telling = top_items(model, 3)
    assert {int(row[0]) % 2 for row in telling} == {0, 1}
    assert all(len({int(item) % 2 for item in row}) == 1 for row in telling)


def test_stochastic_em_finds_them_too():
    train = two_tastes(400, ITEMS)
    model = begun(train, 2, smoothing=0.01)
    start = model.summarize(train).log_likelihood
    batches = [train.select(np.random.default_rng(n).permutation(400)[:40]) for n in range(60)]
    stochastic_em(model, batches, weight=400.0)
    whole = begun(train, 2, smoothing=0.01)
    em(whole, lambda: [train], iterations=100)
    best = whole.summarize(train).log_likelihood
    assert model.summarize(train).log_likelihood > start + 0.9 * (best - start)


def test_one_stochastic_step_over_everything_is_a_step_of_em():
    train = two_tastes(30, ITEMS)
    one, other = begun(train), begun(train)
    stochastic_em(one, [train], weight=30.0)
    em(other, lambda: [train], iterations=1)
    assert torch.allclose(one.log_items, other.log_items, rtol=1e-12)


def test_single_precision_agrees_with_double():
    train = two_tastes(60, ITEMS)
    models = [
        MixtureOfMultinomials(ITEMS, MixtureOfMultinomialsConfig(n_components=3, precision=p, epochs=20))
        for p in ("single", "double")
    ]
    for model in models:
        fit(model, train)
    assert torch.allclose(scores(models[0], train), scores(models[1], train), atol=1e-3)
