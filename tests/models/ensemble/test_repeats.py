"""The repeat mixture: its weights, its ways to be trained, and what it refuses."""

import numpy as np
import pytest
import torch

from foldin.data import SimulatedRepeats, read_log, split_log
from foldin.errors import ConfigError, FitError
from foldin.evaluation import ValidationMetric, evaluate
from foldin.models import (
    EASEConfig,
    MultDAEConfig,
    PersonalPopularityConfig,
    PopularityConfig,
    ProductOfExpertsConfig,
    RepeatMixture,
    RepeatMixtureConfig,
)
from foldin.models.ensemble.repeats import hold_out_last
from foldin.models.repeats import RepeatWeights
from foldin.training import fit
from tests.lists import recommend

TRUE = SimulatedRepeats.random(100, n_components=2, concentration=0.3, seed=5)
SPLIT = split_log(read_log(TRUE.table(250, 15, seed=6), repeats="keep"), "last-out")


def test_it_is_better_than_its_expert_and_close_to_the_truth_where_the_expert_is():
    config = RepeatMixtureConfig(experts=(PopularityConfig(),))
    model = config.model_class(len(SPLIT.catalog), config)
    result = fit(model, SPLIT.train, validation=ValidationMetric(SPLIT.validation))
    terms = result.records[0].terms
    assert terms["repeats/users"] == 250
    assert 0.5 < terms["repeats/repeat_share"] < 1.0
    found, alone = (evaluate(one, SPLIT.test, metrics=["recall@5"]) for one in (model, model.experts[0]))
    assert (found.values("recall@5") - alone.values("recall@5")).mean() > 0.1
    gain = found.values("log_likelihood_per_item") - alone.values("log_likelihood_per_item")
    assert gain.mean() > 0.3
    on_validation = evaluate(model, SPLIT.validation, metrics=["recall@5"])
    assert on_validation.values("log_likelihood_per_item").mean() == pytest.approx(
        terms["repeats/log_likelihood"], abs=1e-5
    )


def test_several_experts_share_what_is_not_repeated():
    config = RepeatMixtureConfig(experts=(PopularityConfig(), PersonalPopularityConfig()))
    model = config.model_class(len(SPLIT.catalog), config)
    fit(model, SPLIT.train)
    assert model.repeats.of_models.shape[1] == 2
    users = SPLIT.test.fold_in.rows(0, 7)
    assert torch.allclose(model.logits(users).exp().sum(dim=1), torch.ones(7), atol=1e-5)
    alone = [torch.softmax(one.logits(users), dim=1) for one in model.experts]
    mixed = model.repeats.mixed(users, torch.stack(alone))
    assert torch.allclose(mixed, model.logits(users), atol=1e-6)


def test_without_validation_the_last_events_of_some_users_are_held_out():
    kept, held = hold_out_last(SPLIT.train, 0.1)
    assert len(held) == 25
    assert kept.n_events == SPLIT.train.n_events - 25
    for at, user in enumerate(held.users.cast(int)):
        assert [*held.fold_in.of(at), *held.targets.of(at)] == SPLIT.train.of(user).tolist()
    with pytest.raises(FitError, match="no training user has two events"):
        hold_out_last(SPLIT.train.where(np.zeros(SPLIT.train.n_events, dtype=bool)), 0.1)


def test_seen_items_come_first_where_they_are_taken_again():
    config = RepeatMixtureConfig(experts=(PopularityConfig(),))
    model = config.model_class(len(SPLIT.catalog), config)
    fit(model, SPLIT.train)
    users = SPLIT.test.fold_in.rows(0, 50)
    lists = recommend(model, users, 3, exclude_seen=False).items
    again = [np.isin(lists[user], users.of(user)).mean() for user in range(50)]
    assert np.mean(again) > 0.7


def test_an_expert_without_a_density_is_refused_and_a_product_of_it_is_not():
    with pytest.raises(ConfigError, match="EASE has no density; a product of this model alone has one"):
        RepeatMixture(5, RepeatMixtureConfig(experts=(EASEConfig(),)))
    product = ProductOfExpertsConfig(experts=(EASEConfig(regularization=5.0),))
    config = RepeatMixtureConfig(experts=(product,))
    model = config.model_class(len(SPLIT.catalog), config)
    fit(model, SPLIT.train, validation=ValidationMetric(SPLIT.validation))
    assert bool(model.experts[0].weights.any())
    with pytest.raises(ConfigError, match="at least one model was expected"):
        RepeatMixtureConfig(experts=())


def test_texts_choose_the_experts():
    config = RepeatMixtureConfig().with_texts({"experts": "multdae,popularity", "experts.0.latent_dim": "7"})
    assert [type(one) for one in config.experts] == [MultDAEConfig, PopularityConfig]
    assert config.experts[0].latent_dim == 7
    assert RepeatMixtureConfig.from_dict(config.as_dict()) == config
    assert RepeatWeights.even(1, recency=False).ages == (0,)
