"""Items without training events in a product: experts without features give them the mean of their other scores."""

import numpy as np
import torch

from foldin.data import HeldOut, Histories
from foldin.models import (
    ContentKNNConfig,
    EASEConfig,
    FeatureRows,
    ItemFeatures,
    ItemKNNConfig,
    MultDAEConfig,
    PopularityConfig,
    ProductOfExperts,
    ProductOfExpertsConfig,
    RepeatMixtureConfig,
    capability,
)
from foldin.models.ensemble._scored import at_mean
from foldin.runs import load_run, save_run
from tests.lists import recommend
from tests.models.cold import CATALOG, COLD, ITEMS, TRAIN, USERS, described, trained

CONFIG = ProductOfExpertsConfig(experts=(ContentKNNConfig(columns=("genres",)), EASEConfig(regularization=1.0)))


def test_scores_are_the_weighted_sum_with_the_mean_of_an_expert_without_features(tmp_path):
    model = trained(CONFIG)
    some = USERS.select(np.array([0, 1, 3]))
    content, ease = (one.logits(some).numpy().astype(np.float64) for one in model.experts)
    weights = model.weights.numpy()[0]
    assert (weights > 0).all()
    ease[:, COLD] = ease[:, ~COLD].mean(axis=1, keepdims=True)
    expected = weights[0] * content + weights[1] * ease
    found = model.logits(some).numpy()
    assert np.allclose(found - found[:, :1], expected - expected[:, :1], atol=1e-5)
    assert model.silent()[0] is None
    assert model.silent()[1].numpy().tolist() == COLD.tolist()
    # Features decide among items without events: those of the taste come first.
    assert recommend(model, USERS, 1, allow=COLD).items[1, 0] == 9
    save_run(tmp_path / "run", model=model, catalog=CATALOG, info={})
    assert torch.equal(load_run(tmp_path / "run").model.logits(USERS), model.logits(USERS))


def test_the_weights_are_learned_with_the_same_scores():
    experts = (ContentKNNConfig(columns=("genres",)), PopularityConfig())
    model = described(ProductOfExpertsConfig(experts=experts))
    for one, config in zip(model.experts, experts, strict=True):
        one.load_state(trained(config).state())
    targets = Histories.from_lists([[8, 10], [5, 7], [], [15]], ITEMS)
    held = HeldOut(fold_in=USERS, targets=targets, users=CATALOG.table["item"][:4])
    model.learn_weights(held)
    with_mean = model.weights.clone()
    model.cold = None
    model.learn_weights(held)
    # The targets have events. Lower scores of the items without any would make the counts right about them at little weight.
    assert with_mean[0, 1] > 1.5 * model.weights[0, 1] > 0


def test_without_an_expert_that_reads_features_nothing_changes():
    for experts in (
        (PopularityConfig(), ItemKNNConfig(shrinkage=1.0)),
        (ContentKNNConfig(), EASEConfig(regularization=1.0, features=FeatureRows())),
    ):
        assert described(ProductOfExpertsConfig(experts=experts)).silent() == [None, None]


def test_the_mean_is_that_of_the_other_finite_scores():
    scores = torch.tensor([[1.0, 2.0, 9.0, -torch.inf], [0.0, 4.0, -5.0, 2.0]])
    silent = torch.tensor([False, False, True, False])
    expected = torch.tensor([[1.0, 2.0, 4.0 / 3.0, 1.0], [0.0, 4.0, 2.0, 2.0]])
    assert torch.allclose(at_mean(scores, silent), expected)
    assert at_mean(scores, None) is scores


def test_a_product_of_trained_models_scores_as_it_does_when_it_is_loaded(tmp_path):
    experts = [trained(one) for one in CONFIG.experts]
    model = ProductOfExperts.of(experts, TRAIN)
    assert model.silent()[1].numpy().tolist() == COLD.tolist()
    save_run(tmp_path / "run", model=model, catalog=CATALOG, info={})
    assert torch.equal(load_run(tmp_path / "run").model.logits(USERS), model.logits(USERS))


def test_a_mixture_reads_features_only_if_an_expert_does():
    plain = described(RepeatMixtureConfig(experts=(MultDAEConfig(latent_dim=4),)))
    assert capability(plain, ItemFeatures) is None
    content = ProductOfExpertsConfig(experts=(ContentKNNConfig(columns=("genres",)),))
    assert capability(described(RepeatMixtureConfig(experts=(content,))), ItemFeatures) is not None
