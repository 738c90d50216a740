"""Products of models that are trained already: their weights, and which pair is best."""

import numpy as np
import pytest

import foldin
from foldin.data import HeldOut
from foldin.errors import ConfigError, FitError, ShapeError
from foldin.evaluation import evaluate
from foldin.experiment import best_pairs, multiplied
from foldin.models import HeldOutNDCG, ProductOfExperts, ProductOfExpertsConfig

METRIC = "ndcg@10"


@pytest.fixture(scope="module")
def runs(split):
    configs = {"popularity": foldin.Popularity(), "ease": foldin.EASE(regularization=10.0), "itemknn": foldin.ItemKNN()}
    return {name: foldin.train(split, config, metrics=(METRIC,)) for name, config in configs.items()}


def test_a_product_of_trained_models_is_the_one_that_is_trained_as_a_whole(split, runs):
    experts = (foldin.Popularity(), foldin.EASE(regularization=10.0))
    whole = foldin.train(split, ProductOfExpertsConfig(experts=experts), metrics=(METRIC,))
    found = multiplied(split, [runs["popularity"], runs["ease"]], metrics=(METRIC,))
    assert found.model.config == whole.model.config
    assert np.array_equal(found.model.weights, whole.model.weights)
    users = split.test.fold_in
    assert np.array_equal(found.model.logits(users), whole.model.logits(users))
    assert found.evaluation.summary() == whole.evaluation.summary()
    assert found.result.seconds > runs["popularity"].result.seconds + runs["ease"].result.seconds
    empty = foldin.Histories.empty(1, len(split.catalog))
    assert np.array_equal(found.model.logits(empty), whole.model.logits(empty))


def test_settings_of_the_product_are_kept(split, runs):
    model = ProductOfExperts.of([runs["ease"].model] * 2, split.train, objective=HeldOutNDCG(k=5), groups=(7,))
    assert model.expert_names() == ("ease-1", "ease-2")
    assert model.weights.tolist() == [[0.5, 0.5], [0.5, 0.5]]
    model.learn_weights(split.validation)
    assert model.logits(split.test.fold_in).isfinite().all()


def test_each_half_is_measured_with_the_weights_of_the_other(split, runs):
    models = {name: runs[name].model for name in ("popularity", "ease")}
    (pair,) = best_pairs(split, models, metric=METRIC, seed=4)
    held = split.validation
    order = np.random.default_rng(4).permutation(np.flatnonzero(held.targets.lengths > 0))
    halves = []
    for side in (0, 1):
        users = np.sort(order[side::2])
        parts = [one.select(users) for one in (held.fold_in, held.targets)]
        halves.append(HeldOut(fold_in=parts[0], targets=parts[1], users=held.users.gather(users)))
    found = []
    for learned_on, measured_on in (halves, halves[::-1]):
        product = ProductOfExperts.of([models[name] for name in pair.names], split.train)
        product.learn_weights(learned_on)
        found += evaluate(product, measured_on, metrics=(METRIC,)).values(METRIC).tolist()
    assert pair.value == pytest.approx(np.mean(found))


def test_all_pairs_of_the_best_models_are_measured_best_first(split, runs):
    models = {name: one.model for name, one in runs.items()}
    found = best_pairs(split, models, metric=METRIC)
    assert {frozenset(one.names) for one in found} == {
        frozenset(("popularity", "ease")),
        frozenset(("popularity", "itemknn")),
        frozenset(("ease", "itemknn")),
    }
    assert [one.value for one in found] == sorted((one.value for one in found), reverse=True)
    best = sorted(
        models, key=lambda name: -evaluate(models[name], split.validation, metrics=(METRIC,)).values(METRIC).mean()
    )
    (two,) = best_pairs(split, models, metric=METRIC, most=2)
    assert two.names == tuple(best[:2])


def test_wrong_pairs_are_refused(split, runs):
    with pytest.raises(ConfigError, match="a pair needs two models; there are 1"):
        best_pairs(split, {"ease": runs["ease"].model})
    with pytest.raises(FitError, match="1 validation users with a target are too few to measure products"):
        best_pairs(split, {name: runs[name].model for name in ("ease", "itemknn")}, users=1)
    with pytest.raises(ShapeError, match="the model knows 40 items"):
        ProductOfExperts.of([runs["ease"].model], foldin.Histories.empty(1, 3))
