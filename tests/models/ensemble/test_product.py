"""The product as a model: what it computes, how it is trained and resumed, and what is kept of it."""

import dataclasses
import itertools

import numpy as np
import polars as pl
import pytest
import torch

import foldin
from foldin.data import Catalog, Histories
from foldin.errors import ConfigError, FitError
from foldin.evaluation import ValidationMetric
from foldin.models import (
    EASE,
    EASEConfig,
    FromTitles,
    HeldOutNDCG,
    ItemKNNConfig,
    MixtureOfMultinomialsConfig,
    MultDAEConfig,
    OnnxGraph,
    PopularityConfig,
    ProductOfExperts,
    ProductOfExpertsConfig,
    RQVAETokens,
    SemanticIdsConfig,
    capability,
)
from foldin.models.ensemble._hold_out import hold_out
from foldin.models.ensemble._product_trainer import ProductTrainer
from foldin.ranking import scores
from foldin.testing import two_tastes
from foldin.training import FitResult, Progress, Stopped, fit, flat, search_space
from tests.models.ensemble.tables import ITEMS, TableConfig, of_tables, random_tables, table

QUICK = MultDAEConfig(latent_dim=4, epochs=4, batch_size=20, learning_rate=0.02)
SOLVED = EASEConfig(regularization=1.0)
BOTH = ProductOfExpertsConfig(experts=(QUICK, SOLVED))
TRAIN = two_tastes(60, 20)
USERS = Histories.from_lists([[0, 2, 4], [1, 3], [], [7], [2, 4, 0, 6, 8, 10, 12]], 20)


def fitted(config: ProductOfExpertsConfig, train: Histories = TRAIN, **how: object) -> ProductOfExperts:
    model = ProductOfExperts(20, config, seed=3)
    fit(model, train, seed=3, **how)
    return model


def equal(a, b) -> bool:
    return all(torch.equal(value, b.state()[name]) for name, value in a.state().items())


def test_log_probabilities_are_the_weighted_sum_normalized():
    experts = random_tables(2)
    model = of_tables(experts, [[0.7, 0.2]])
    users = Histories.from_lists([[1, 5], [2]], ITEMS)
    summed = 0.7 * experts[0].logits(users).double() + 0.2 * experts[1].logits(users).double()
    assert torch.allclose(scores(model, users).double(), summed - summed.logsumexp(dim=1, keepdim=True), atol=1e-5)


def test_a_history_has_the_weights_of_its_length():
    experts = random_tables(2)
    model = of_tables(experts, [[1.0, 0.0], [0.0, 1.0], [0.5, 0.0]], groups=(2, 4))
    users = Histories.from_lists([[3], [3, 4], [3, 4, 5], [1, 2, 3, 4]], ITEMS)
    found = model.logits(users)
    for user, (expert, weight) in enumerate([(0, 1.0), (1, 1.0), (1, 1.0), (0, 0.5)]):
        expected = weight * experts[expert].logits(users)[user]
        assert torch.allclose(found[user], expected - expected.max(), atol=1e-5)


def test_a_rectangle_of_items_has_the_weights_of_its_lengths():
    model = fitted(dataclasses.replace(BOTH, groups=(2, 4)))
    model.weights = torch.tensor([[1.0, 0.0], [0.2, 3.0], [0.5, 1.0]], dtype=torch.float64)
    history = torch.full((len(USERS), 9), -1)
    for user in range(len(USERS)):
        history[user, : USERS.lengths[user]] = torch.from_numpy(USERS.of(user))
    with torch.no_grad():
        assert torch.allclose(model.padded_logits(history), model.logits(USERS), atol=1e-5)


def test_scores_of_thousands_of_events_with_a_large_constant_keep_their_digits():
    # Multiples of 2⁻⁹, whose sum over the events and the constant is exact in single precision.
    rng = np.random.default_rng(0)
    values = rng.integers(-8, 8, (ITEMS, ITEMS)) / 512
    history = rng.integers(0, ITEMS, 5000)
    exact = values[history].sum(axis=0)
    model = of_tables([table(values, offset=8192.0), table(-values, offset=-8192.0)], [[3.7, 0.9]])
    found = model.logits(Histories.from_lists([history.tolist()], ITEMS))[0].double().numpy()
    expected = (3.7 - 0.9) * exact
    difference = (found - found[0]) - (expected - expected[0])
    assert np.abs(difference).max() < 2e-5 * np.abs(exact).max()
    naive = np.float32(3.7) * (exact + 8192.0).astype(np.float32) + np.float32(0.9) * (-exact - 8192.0).astype(
        np.float32
    )
    assert np.abs((naive - naive[0]) - (expected - expected[0])).max() > 20 * np.abs(difference).max()


def test_an_expert_without_finite_scores_excludes_nothing():
    first, second = random_tables(2)
    first.table[:, 4] = -torch.inf
    for weights in ([[0.6, 0.3]], [[0.0, 0.3]]):
        assert torch.isfinite(
            scores(of_tables([first, second], weights), Histories.from_lists([[1], [2, 3]], ITEMS))
        ).all()


def test_with_validation_users_the_experts_are_trained_on_everybody(split):
    judge = ValidationMetric(split.validation, "ndcg@10")
    model = ProductOfExperts(split.train.n_items, BOTH, seed=1)
    result = fit(model, split.train, validation=judge, seed=1, epochs=3)
    alone = EASE(split.train.n_items, SOLVED)
    fit(alone, split.train)
    assert torch.equal(model.experts[1].weights, alone.weights)
    terms = result.records[0].terms
    assert terms["multdae/validation"] == pytest.approx(judge(model.experts[0]), abs=1e-9)
    assert 1 <= terms["multdae/best_epoch"] <= 3
    assert [terms[f"weights/{name}"] for name in ("multdae", "ease")] == pytest.approx(model.weights[0].tolist())
    weights = model.weights.clone()
    assert model.learn_weights(split.validation)["users"] == (split.validation.targets.lengths > 0).sum()
    assert torch.equal(model.weights, weights)
    # The likelihood of the validation users is at its maximum: no worse than with other weights.
    best = foldin.evaluate(model, split.validation, metrics=("ndcg@10",)).values("log_likelihood_per_item").mean()
    assert terms["weights/log_likelihood"] == pytest.approx(best, abs=1e-5)
    for at, factor in itertools.product((0, 1), (0.5, 2.0)):
        model.weights = weights.clone()
        model.weights[0, at] *= factor
        other = foldin.evaluate(model, split.validation, metrics=("ndcg@10",)).values("log_likelihood_per_item").mean()
        assert other < best


def test_without_validation_users_some_are_held_out_and_the_experts_trained_again():
    kept, _ = hold_out(TRAIN, 0.1)
    for refit, users in ((False, TRAIN.select(kept)), (True, TRAIN)):
        model = fitted(dataclasses.replace(BOTH, refit=refit))
        alone = EASE(20, SOLVED)
        fit(alone, users)
        assert torch.equal(model.experts[1].weights, alone.weights)
        assert (model.weights > 0).any()
    again = fitted(BOTH)
    assert equal(model, again)


def test_an_expert_that_is_trained_again_has_the_schedules_by_which_its_epochs_were_chosen():
    trainer = ProductTrainer(ProductOfExperts(20, BOTH), TRAIN, epochs=9)
    again = next(one for one in trainer.first if one.name.endswith("-again"))
    trainer.results[0] = FitResult(
        records=(), best_epoch=4, best_metric=0.5, stopped=Stopped.PATIENCE, seconds=1.0, epochs=9
    )
    assert (again.epochs(), again.last_epoch()) == (9, 4)


def test_it_is_trained_on_the_log_for_production(log):
    run = foldin.fit_all(log, BOTH, epochs=2)
    assert run.result.records[0].terms["weights/users"] == round(0.1 * len(log.histories))
    assert run.recommend(["u001"], k=3).height == 3


@pytest.mark.parametrize("objective", ["likelihood", "ndcg"])
def test_every_objective_lists_items_of_the_taste(objective):
    model = fitted(BOTH.with_texts({"objective": objective, "experts.0.epochs": "30", "groups": "3"}))
    assert isinstance(model.config.objective, HeldOutNDCG) == (objective == "ndcg")
    assert model.weights.shape == (2, 2)
    best = scores(model, USERS)[[0, 1]].argsort(dim=1, descending=True)[:, :6] % 2
    assert best.tolist() == [[0] * 6, [1] * 6]


class StopAt(Progress):
    """Ctrl-C after some epochs; counts the epochs by the training that they belong to."""

    def __init__(self, after: int = 10**9) -> None:
        self.after, self.stage, self.epochs = after, "", {}

    def pretraining(self, name):
        self.stage = name

    def epoch(self, record):
        self.epochs[self.stage] = self.epochs.get(self.stage, 0) + 1
        if sum(self.epochs.values()) == self.after:
            raise KeyboardInterrupt


SECOND = MixtureOfMultinomialsConfig(n_components=2, epochs=3)
THREE = ProductOfExpertsConfig(experts=(QUICK, SOLVED, SECOND))


def interrupted(config, folder, after: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        fitted(config, folder=folder, progress=StopAt(after))


OFTEN = (5, 9)  # in a closed form, and when an expert is trained again


@pytest.mark.parametrize(
    "after", [pytest.param(one, marks=() if one in OFTEN else pytest.mark.long) for one in (2, 4, 5, 7, 9, 10)]
)
def test_a_training_stopped_anywhere_is_resumed_to_the_same_bits(after, tmp_path):
    whole = StopAt()
    expected = fitted(THREE, progress=whole)
    assert list(whole.epochs) == ["multdae", "ease", "mixture", "multdae-again", "ease-again", "mixture-again", ""]
    interrupted(THREE, tmp_path, after)
    assert (tmp_path / "checkpoint.safetensors").is_file()
    resumed = StopAt()
    found = fitted(THREE, folder=tmp_path, resume=True, progress=resumed)
    assert equal(expected, found)
    assert not list(tmp_path.iterdir())
    # What had ended is not trained again, except for closed forms.
    assert (whole.epochs["multdae"], whole.epochs["mixture"]) == (4, 3)
    assert resumed.epochs.get("multdae", 0) == max(0, 4 - after)
    assert resumed.epochs.get("mixture", 0) == min(3, max(0, 8 - after))
    assert sum(resumed.epochs.values()) <= sum(whole.epochs.values()) - after + 2


def test_two_kills_in_different_experts_are_resumed_too(tmp_path):
    interrupted(THREE, tmp_path, 2)
    with pytest.raises(KeyboardInterrupt):
        fitted(THREE, folder=tmp_path, resume=True, progress=StopAt(5))
    assert equal(fitted(THREE), fitted(THREE, folder=tmp_path, resume=True))


def test_what_an_earlier_training_left_is_not_used_unless_resumed(tmp_path):
    interrupted(THREE, tmp_path, 6)
    begun = StopAt()
    other = dataclasses.replace(THREE, experts=(QUICK, SOLVED, dataclasses.replace(SECOND, epochs=2)))
    assert equal(fitted(other), fitted(other, folder=tmp_path, progress=begun))
    assert begun.epochs["multdae"] == 4


@pytest.mark.long
def test_an_expert_with_a_pretraining_and_a_product_of_products_are_resumed(tmp_path):
    tokens = SemanticIdsConfig().with_settings(
        {
            **{
                "tokens.levels": 2,
                "tokens.codebook_size": 4,
                "tokens.embedding_dim": 4,
                "embedding_dim": 8,
                "epochs": 2,
            },
            **{"tokens.quantizer": RQVAETokens(epochs=3), "batch_tokens": 200},
        }
    )
    config = ProductOfExpertsConfig(experts=(BOTH, tokens, QUICK), refit=False)
    whole = StopAt()
    expected = fitted(config, progress=whole)
    assert {"product", "product/multdae", "semantic", "semantic/name"} <= whole.epochs.keys()
    for after in range(1, sum(whole.epochs.values()), 2):
        folder = tmp_path / str(after)
        interrupted(config, folder, after)
        assert equal(expected, fitted(config, folder=folder, resume=True)), after
        assert not list(folder.iterdir())


def test_experts_are_chosen_by_name_and_set_behind_their_position():
    texts = {"experts": "als, ease,ease", "experts.2.regularization": "7", "experts.0.embedding_dim": "8"}
    config = ProductOfExpertsConfig.from_texts(texts)
    assert [type(one).__name__ for one in config.experts] == ["ALSConfig", "EASEConfig", "EASEConfig"]
    assert (config.experts[0].embedding_dim, config.experts[2].regularization) == (8, 7.0)
    assert config.experts[1] == EASEConfig()
    again = config.with_settings({"experts.1.regularization": 3.0})
    assert [one.regularization for one in again.experts[1:]] == [3.0, 7.0]
    assert ProductOfExpertsConfig().with_settings({"experts": [SOLVED, "popularity"]}).experts == (
        SOLVED,
        PopularityConfig(),
    )
    assert ProductOfExperts(20, config).expert_names() == ("als", "ease-1", "ease-2")
    assert [one["name"] for one in config.as_dict()["experts"]] == ["als", "ease", "ease"]
    values = flat(config)
    assert values["experts"] == "ALS,EASE,EASE"
    assert values["experts.2.regularization"] == 7.0
    space = search_space(config)
    assert {"experts.0.embedding_dim", "experts.1.regularization", "experts.2.regularization"} <= space.keys()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"experts": ""}, r"ProductOfExperts: experts = \(\): at least one model was expected"),
        ({"experts": "ease,nothing"}, "no model named 'nothing'"),
        ({"experts.2.regularization": "1"}, r"ProductOfExperts: experts.2.regularization: a position below 2"),
        ({"experts.first": "1"}, r"ProductOfExperts: experts.first: a position below 2"),
        ({"experts.0": "ease"}, r"ProductOfExperts: experts.0: a position below 2"),
        ({"experts.1.regularization": "x"}, "EASE: regularization = 'x': number was expected"),
        ({"experts.1.depth": "1"}, "EASE has no setting 'depth'"),
        ({"groups": "5,3"}, r"groups = \(5, 3\): ascending numbers of events were expected"),
        ({"objective": "recall"}, "objective = 'recall': one of likelihood, ndcg was expected"),
    ],
)
def test_what_is_no_product_is_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        ProductOfExpertsConfig.from_texts(values)


def test_a_model_without_a_name_is_refused_since_it_could_not_be_loaded():
    with pytest.raises(ConfigError, match="TableConfig is not the configuration of a registered model"):
        ProductOfExpertsConfig(experts=(TableConfig(),))
    with pytest.raises(ConfigError, match="experts = 3: a list of configurations was expected"):
        ProductOfExpertsConfig(experts=3)
    with pytest.raises(ConfigError, match="experts = 5: a model's name and settings were expected"):
        ProductOfExpertsConfig.from_dict({"experts": [5]})


def test_it_is_searched_by_the_ranges_of_its_experts(split):
    config = ProductOfExpertsConfig(experts=(SOLVED, PopularityConfig()))
    assert list(search_space(config)) == ["experts.0.regularization"]
    tuned = foldin.tune(
        split, ProductOfExpertsConfig(experts=(EASEConfig(), PopularityConfig())), trials=2, metric="ndcg@10"
    )
    assert tuned.config.experts[0].regularization > 0
    assert "experts.0.regularization" in tuned.as_dict()["settings"]


def test_what_its_experts_can_do_it_can_do():
    assert capability(ProductOfExperts(20, BOTH), OnnxGraph) is not None
    with_neighbors = ProductOfExperts(20, ProductOfExpertsConfig(experts=(SOLVED, ItemKNNConfig())))
    assert capability(with_neighbors, OnnxGraph) is None
    assert "its expert itemknn cannot" in with_neighbors.lacks(OnnxGraph)
    titled = ProductOfExperts(20, ProductOfExpertsConfig(experts=(SemanticIdsConfig(tokens=FromTitles()), SOLVED)))
    ids = [f"i{at}" for at in range(20)]
    titled.describe(Catalog(pl.DataFrame({"item": ids, "title": [f"Film {one}" for one in ids], "count": [1] * 20})))
    assert titled.experts[0].titles[3] == "Film i3"


def test_without_an_expert_the_others_are_weighted_anew(split):
    model = ProductOfExperts(split.train.n_items, BOTH, seed=1)
    fit(model, split.train, validation=ValidationMetric(split.validation, "ndcg@10"), epochs=2)
    model.calibrate(1.5)
    weights = model.weights.clone()
    alone = model.without(0, split.validation)
    assert alone.expert_names() == ("ease",)
    assert alone.experts[0] is model.experts[1]
    assert alone.temperature is None
    expected = ProductOfExperts(split.train.n_items, ProductOfExpertsConfig(experts=(SOLVED,)))
    fit(expected, split.train, validation=ValidationMetric(split.validation, "ndcg@10"))
    assert torch.allclose(alone.weights, expected.weights, rtol=1e-6)
    assert torch.equal(model.weights, weights)
    assert (model.expert_names(), model.temperature) == (("multdae", "ease"), 1.5)
    for expert, product in ((2, model), (-1, model), (0, alone)):
        with pytest.raises(ConfigError, match="no product of"):
            product.without(expert, split.validation)


def test_experts_that_are_worse_than_chance_are_refused(split):
    # Validation users whose held-out items are those that nobody else takes.
    rare = np.argsort(split.train.counts(), kind="stable")[:3]
    users = len(split.validation)
    seen = split.validation.fold_in
    targets = Histories.from_lists([np.setdiff1d(rare, seen.of(user)) for user in range(users)], seen.n_items)
    judge = ValidationMetric(dataclasses.replace(split.validation, targets=targets), "ndcg@10")
    with pytest.raises(FitError, match=r"no expert predicts the held-out items of .* users better than chance"):
        fit(
            ProductOfExperts(seen.n_items, ProductOfExpertsConfig(experts=(PopularityConfig(),))),
            split.train,
            validation=judge,
        )


def test_a_log_without_anybody_to_hold_out_is_refused():
    with pytest.raises(FitError, match="no training user with two items can be held out"):
        fitted(BOTH, Histories.from_lists([[1], [2]], 20))
