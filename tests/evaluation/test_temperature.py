"""Temperatures fitted on held-out users, and what becomes of a model that has one."""

import dataclasses
import json

import numpy as np
import polars as pl
import pytest
import torch

from foldin.data import Catalog, HeldOut, Histories
from foldin.errors import ConfigError, FitError, ShapeError
from foldin.evaluation import LOG_LIKELIHOOD, evaluate, fit_temperature
from foldin.experiment import report, train
from foldin.models import (
    BCE,
    EASE,
    GBCE,
    DiffRec,
    DiffRecConfig,
    FromLog,
    Popularity,
    SASRec,
    SASRecConfig,
    SemanticIds,
    SemanticIdsConfig,
)
from foldin.ranking import Beam, scores
from foldin.runs import load_run, save_run
from foldin.runs.export import _Lists
from foldin.training import fit
from tests.lists import recommend

ITEMS = 8


class Given(Popularity):
    """The same logits for everybody with a history, whatever they are; those of the counts for everybody else."""

    given = torch.zeros(ITEMS)

    def _logits(self, histories):
        has = torch.from_numpy(histories.lengths > 0).unsqueeze(1)
        return torch.where(has, self.given, self.log_share).contiguous()


def made(logits) -> Given:
    model = Given(ITEMS)
    fit(model, Histories.from_lists([[0, 1], [1]], ITEMS))
    model.given = torch.as_tensor(logits, dtype=torch.float32)
    return model


def held(targets, fold_in=None) -> HeldOut:
    """Users with the first item as their history, and these targets."""
    fold_in = [[0]] * len(targets) if fold_in is None else fold_in
    users = pl.Series([f"p{at}" for at in range(len(targets))])
    return HeldOut(
        fold_in=Histories.from_lists(fold_in, ITEMS), targets=Histories.from_lists(targets, ITEMS), users=users
    )


@pytest.mark.parametrize("temperature", [0.05, 1.0, 6.0])
def test_the_temperature_that_made_the_events_is_found_again(temperature):
    rng = np.random.default_rng(0)
    logits = np.linspace(-1.0, 1.0, ITEMS) * temperature * 2
    p = np.exp(logits[1:] / temperature)
    drawn = 1 + rng.choice(ITEMS - 1, size=(1500, 1), p=p / p.sum())
    found = fit_temperature(made(logits), held(drawn.tolist()))
    assert found.temperature == pytest.approx(temperature, rel=0.15)
    assert found.gain >= 0.0
    assert found.users == found.events == 1500
    # It is the best one: a little more or less is worse.
    after = []
    for factor in (1.0, 0.9, 1.1):
        model = made(logits)
        model.calibrate(found.temperature * factor)
        after.append(evaluate(model, held(drawn.tolist()), metrics=("mrr@3",)).values(LOG_LIKELIHOOD).mean())
    assert after[0] == pytest.approx(found.after, abs=1e-5)
    assert after[0] > max(after[1:])


def test_users_without_a_history_are_given_no_temperature():
    model = made(np.arange(ITEMS))
    model.calibrate(3.0)
    found = scores(model, Histories.from_lists([[], [0]], ITEMS))
    assert torch.allclose(found[0], model.log_share)
    assert torch.allclose(found[1], torch.log_softmax(torch.arange(ITEMS) / 3.0, dim=0))
    with pytest.raises(ShapeError, match="both a history and a target"):
        fit_temperature(model, held([[1], [2]], [[], []]))


def test_a_temperature_is_fitted_beside_the_one_there_is():
    rng = np.random.default_rng(1)
    model, users = (
        made(np.linspace(0, 4, ITEMS)),
        held((1 + rng.integers(0, ITEMS - 1, size=(300, 1))).tolist() + [[7]] * 60),
    )
    first = fit_temperature(model, users)
    model.calibrate(first.temperature)
    again = fit_temperature(model, users)
    assert again.temperature == pytest.approx(first.temperature, rel=1e-4)
    assert again.gain == pytest.approx(0.0, abs=1e-8)


def test_where_there_is_no_temperature_it_is_said():
    with pytest.raises(FitError, match="no better than chance"):
        fit_temperature(made(np.arange(ITEMS)), held([[1], [2]]))
    with pytest.raises(FitError, match="always come first"):
        fit_temperature(made(np.arange(ITEMS)), held([[7], [7]]))
    with pytest.raises(FitError, match="probability 0"):
        fit_temperature(made(np.append(np.arange(7.0), -np.inf)), held([[7], [6]]))
    for wrong in (0.0, -1.0, np.inf, np.nan):
        with pytest.raises(ConfigError, match="positive number"):
            made(np.arange(ITEMS)).calibrate(wrong)
    model = SemanticIds(ITEMS, SemanticIdsConfig(tokens=FromLog(levels=2, codebook_size=4), embedding_dim=8))
    model.calibrate(2.0)
    with pytest.raises(ConfigError, match="a beam has no sum over all items, which its temperature needs"):
        recommend(model, Histories.empty(1, ITEMS), 2, ranker=Beam(3))


@pytest.mark.parametrize("loss", [BCE(n_negatives=3), GBCE(n_negatives=3)])
def test_binary_losses_give_no_density_until_a_temperature_does(loss, split, tmp_path):
    config = SASRecConfig(embedding_dim=8, max_length=10, epochs=2, loss=loss)
    plain = train(split, config)
    assert not plain.model.has_likelihood
    assert LOG_LIKELIHOOD not in plain.evaluation.metrics
    assert "perplexity" not in plain.evaluation.summary()
    assert "calibration" not in report(split, {"sasrec": plain}, data="made", seed=0)["models"]["sasrec"]
    one = train(split, config, calibrate=True)
    assert one.model.has_likelihood
    assert one.calibration.gain > 0.0
    assert one.evaluation.summary()["perplexity"]["mean"] < 4 * len(split.catalog)
    assert (one.evaluation.per_user["ndcg@100"] - plain.evaluation.per_user["ndcg@100"]).abs().max() < 1e-6
    content = report(split, {"sasrec": one}, data="made", seed=0)
    json.dumps(content, allow_nan=False)
    assert content["models"]["sasrec"]["calibration"]["temperature"] == one.calibration.temperature
    one.save(tmp_path / "run")
    loaded = load_run(tmp_path / "run")
    users = split.test.fold_in.rows(0, 5)
    assert loaded.model.has_likelihood
    assert torch.equal(scores(loaded.model, users), scores(one.model, users))
    assert torch.allclose(scores(one.model, users).exp().sum(dim=1), torch.ones(5), atol=1e-5)
    assert loaded.info["calibration"]["gain"] == one.calibration.gain


def test_scores_that_only_rank_become_probabilities(split):
    one = train(split, "ease", calibrate=True)
    found = recommend(one.model, split.test.fold_in.rows(0, 4), len(split.catalog))
    assert np.allclose(np.exp(found.scores).sum(axis=1), 1.0, atol=1e-4)
    nobody = scores(one.model, Histories.empty(1, len(split.catalog)))[0]
    assert torch.allclose(nobody, one.model.log_share, atol=1e-5)
    assert one.calibration.gain > 0.0
    assert one.calibration.temperature < 1.0  # plain scores of EASE are near each other
    assert one.evaluation.values(LOG_LIKELIHOOD).mean() > -np.log(len(split.catalog))


def test_a_model_that_cannot_be_calibrated_is_kept_as_it_is(split):
    alone = split.validation.targets.select(np.zeros(1, np.int64))
    everything = Histories.from_lists(
        [[at for at in range(len(split.catalog)) if at not in alone.of(0)]], alone.n_items
    )
    held = HeldOut(fold_in=everything, targets=alone, users=pl.Series(["p"]))
    one = train(dataclasses.replace(split, validation=held), "ease", calibrate=True)
    assert isinstance(one.calibration, str)
    assert one.model.temperature is None
    assert one.calibrated() == {"calibration": {"failed": one.calibration}}


def test_a_temperature_is_that_of_reading_on_and_of_the_posterior_too(tmp_path):
    model = SASRec(ITEMS, SASRecConfig(embedding_dim=8, max_length=6, positions=None))
    model.calibrate(0.5)
    reading = model.read(Histories.from_lists([[1, 2]], ITEMS))
    assert torch.allclose(model.next_logits(reading), model.logits(reading.histories), atol=1e-5)
    save_run(tmp_path / "run", model=model, catalog=Catalog.from_ids(list("abcdefgh")), info={})
    assert load_run(tmp_path / "run").model.temperature == 0.5
    assert EASE(ITEMS).temperature is None


def test_an_exported_graph_has_the_temperature():
    model = SASRec(ITEMS, SASRecConfig(embedding_dim=8, max_length=6, loss=BCE()))
    fit(model, Histories.from_lists([[1, 2, 3], [3, 4, 5]], ITEMS), epochs=1)
    model.calibrate(0.3)
    history = torch.tensor([[1, 2], [4, -1], [-1, -1]])
    with torch.no_grad():
        items, scores = _Lists(model, model, 3)(history)
    found = recommend(model, Histories.from_lists([[1, 2], [4], []], ITEMS), 3)
    assert items[:2].numpy().tolist() == found.items[:2].tolist()  # equally popular items come in any order
    assert np.allclose(scores.numpy(), found.scores, atol=1e-5)


def test_a_temperature_makes_no_bound_of_a_squared_error():
    model = DiffRec(ITEMS, DiffRecConfig(hidden_dims=(4,), n_steps=2))
    model.calibrate(0.1)
    with pytest.raises(ConfigError, match="no probability, hence no bound"):
        model.bound(Histories.from_lists([[1]], ITEMS), torch.Generator())
