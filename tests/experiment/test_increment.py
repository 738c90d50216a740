"""A run of yesterday, to whose statistics the events of today are added."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch

import foldin
from foldin.data import read_log, strong
from foldin.errors import ConfigError, EmptyLogError, FitError, FoldinWarning, RunError
from foldin.experiment import Plan, fit_all, origin, retrain, train
from foldin.experiment.nights import recipe_of
from foldin.models import MODELS, LDAConfig, PopularityConfig
from foldin.runs import load_run
from tests.experiment.nightly import BEGIN, DAY, FEW, ITEMS, log_of, nightly_log, rows
from tests.models.test_mergeable import MERGING

ONE = {name: MODELS[name]().with_settings({"n_components": 1, "epochs": 3}) for name in MERGING}
LDA = LDAConfig(n_components=2, epochs=6)
OLD, NEW = nightly_log(1), nightly_log(2, fresh_item=True)


def counts(log, ids) -> np.ndarray:
    """Number of events of each item."""
    found = dict(zip(log.items["item"], log.histories.counts().tolist(), strict=True))
    return np.array([found.get(one, 0) for one in ids], dtype=float)


@pytest.mark.parametrize("name", MERGING)
def test_with_a_single_component_the_parameters_are_the_decayed_counts(name, tmp_path):
    """Then every event belongs to the component, so that the M-step has a closed form; two items are new, one is gone."""
    fit_all(log_of([row for row in rows(1) if row[1] != "i05"] + [("u000", "gone", 1_000_000_000)]), ONE[name]).save(
        tmp_path / "run"
    )
    start = foldin.load(tmp_path / "run")
    made = fit_all(NEW, ONE[name], start=start, decay=0.5, epochs=2)
    ids = made.catalog.ids
    times, items = NEW.histories.times, NEW.histories.items
    late = (times > start.until) | np.isin(items, [ids.index("i05"), ids.index("new")])
    expected = 0.5 * counts(OLD, ids) * (np.array(ids) != "i05") + np.bincount(items[late], minlength=len(ids))
    assert np.allclose(made.statistics.sums["items"][:, 0], expected, rtol=1e-5)
    model = made.model
    if name == "mixture":
        prior = 0.1 * len(ids) * (expected + 1.0) / (expected + 1.0).sum()
        assert np.allclose(
            model.log_items.exp().numpy()[:, 0], (expected + prior) / (expected + prior).sum(), rtol=1e-5
        )
    elif name == "plsa":
        assert np.allclose(model.topics.numpy()[:, 0], (expected + 0.05) / (expected + 0.05).sum(), rtol=1e-5)
    elif name == "lda":
        assert np.allclose(model.topics.numpy()[:, 0], expected + 1.0, rtol=1e-5)
    else:
        assert np.allclose(model.item_shape.numpy()[:, 0], expected + 0.3, rtol=1e-5)


@pytest.mark.parametrize("name", MERGING)
def test_the_same_log_with_the_decay_1_gives_the_same_parameters(name, tmp_path):
    config = MODELS[name]().with_settings({"n_components": 3, "epochs": 4})
    first = fit_all(OLD, config)
    first.save(tmp_path / "run")
    again = fit_all(OLD, config, start=load_run(tmp_path / "run"), decay=1.0, seed=4)
    for of, one in first.model.state().items():
        assert torch.allclose(again.model.state()[of].double(), one.double(), rtol=1e-6, atol=0.0), of


@pytest.mark.parametrize("decay", [None, 0.9])
def test_after_a_log_that_ends_earlier_the_run_still_knows_the_later_events(decay):
    """Otherwise the next night would count them again, or compare on them."""
    start = fit_all(NEW, LDA)
    made = fit_all(OLD, LDA, start=start, decay=decay, epochs=1)
    assert made.until == start.until == NEW.histories.times.max()
    assert made.until > OLD.histories.times.max()


def test_only_users_with_later_events_are_passed_over_and_the_new_run_keeps_the_statistics(tmp_path):
    fit_all(OLD, LDA).save(tmp_path / "run")
    start = load_run(tmp_path / "run")
    assert "statistics.safetensors" in start.info["files"]
    plan = Plan(config=LDA, start=start, epochs=2, decay=0.9)
    made = plan.fit(NEW, plan.choose_epochs(NEW))
    # Those of the last night with four events each, and those of the night before with the item that the run does not have.
    terms = {"update/users": 2 * FEW, "update/new_events": 5 * FEW}
    assert [record.terms for record in made.result.records] == [terms] * 2
    info = made.save(tmp_path / "next")
    assert (info["decay"], info["started_from"]) == (0.9, start.info["digest"])
    found = load_run(tmp_path / "next")
    assert found.until == NEW.histories.times.max() > start.until
    assert found.statistics.sums["items"].shape == (ITEMS + 1, 2)
    assert found.statistics.sums["items"].sum() == pytest.approx(0.9 * OLD.histories.n_events + 5 * FEW, rel=1e-5)
    assert np.array_equal(found.statistics.sums["items"], made.statistics.sums["items"])
    assert found.statistics.weight == made.statistics.weight
    (tmp_path / "next" / "statistics.safetensors").write_bytes(b"damaged")
    with pytest.raises(RunError, match=r"statistics.safetensors: damaged"):
        load_run(tmp_path / "next")


def test_a_night_with_a_decay_replaces_the_run_in_service(tmp_path):
    folder = tmp_path / "shop"
    plan = Plan(config=LDA, decay=0.9, epochs=2, min_events=2)
    assert retrain(OLD, plan, folder).swapped
    start = load_run(folder)
    found = retrain(NEW, replace(plan, start=start), folder, latest="12h")
    assert found.compared is not None
    assert found.epochs == 2
    loaded = load_run(folder)
    assert (loaded.info["digest"] != start.info["digest"]) == found.swapped
    assert not found.swapped or loaded.info["decay"] == 0.9
    assert len({recipe_of("lda", {}, warm=True, decay=one) for one in (None, 0.9, 0.8)}) == 3


def test_what_cannot_be_updated_says_so(tmp_path):
    made = fit_all(OLD, LDA)
    untold = fit_all(log_of(rows(1), times=False), LDA)
    split = train(strong(OLD, held_out=20, min_events=2), LDA)
    for config, start, decay, message in (
        (foldin.MultVAE(), made, 0.9, r"multvae: has no statistics .* these have: mixture, plsa, lda, poisson"),
        (LDA, None, 0.9, r"lda: decay = 0.9 needs an earlier run"),
        (LDA, made, 0.0, r"decay = 0.0: a number above 0 and at most 1"),
        (LDA, made, 1.5, r"decay = 1.5: a number above 0 and at most 1"),
        (LDA, split, 0.9, r"keeps no statistics .* train it once again with `foldin fit --all`, without --decay"),
        (LDA, untold, 0.9, r"does not say until when it was trained"),
    ):
        with pytest.raises(ConfigError, match=message):
            fit_all(NEW, config, start=start, decay=decay)
    with pytest.raises(FitError, match=r"column of absolute times"):
        fit_all(log_of(rows(2), times=False), LDA, start=made, decay=0.9)
    made.save(tmp_path / "run")
    older = load_run(tmp_path / "run")  # as a run from before statistics were kept
    older.info["files"].pop("statistics.safetensors")
    with pytest.raises(ConfigError, match=r"run: keeps no statistics .*older than they are"):
        Plan(config=LDA, start=older, decay=0.9)


def test_an_event_ahead_of_the_clock_is_named_left_out_and_added_once_when_its_time_has_come(monkeypatch):
    """As by `foldin fit --all --decay`: with one component the statistics are the numbers of events of each item."""
    own, then = rows(1), BEGIN + 40 * DAY
    log = log_of([*own, ("u000", "ahead", then + DAY)])
    monkeypatch.setattr(origin, "clock", lambda: float(then))
    said = "1 events of made are ahead of this machine's clock and are left out; the latest is that of the user 'u000' with the "
    with pytest.warns(FoldinWarning, match=f"^fit_all: {said}item 'ahead', on 2001-10-20$"):
        first = fit_all(log, ONE["lda"])
    assert np.array_equal(first.model.topics.numpy(), fit_all(log_of(own), ONE["lda"]).model.topics.numpy())
    assert first.until == max(time for _, _, time in own)
    assert first.log.report.warnings[-1].count == 1
    monkeypatch.setattr(origin, "clock", lambda: float(then + 2 * DAY))
    second = fit_all(log, ONE["lda"], start=first, decay=1.0)
    assert np.allclose(second.statistics.sums["items"][:, 0], counts(log, second.catalog.ids), rtol=1e-5)
    with pytest.raises(EmptyLogError, match="all 1 events are ahead"), pytest.warns(FoldinWarning):
        fit_all(log_of([("u", "i", then + 9 * DAY)]), ONE["lda"])


def test_an_event_ahead_of_the_clock_makes_no_other_event_old():
    table = pl.DataFrame(
        [*rows(1), ("u000", "late", 4_000_000_000)], schema=["user", "item", "timestamp"], orient="row"
    )
    log = read_log(table, half_life="10d")
    with pytest.warns(FoldinWarning, match="on 2096-10-02$"):
        made = fit_all(log, PopularityConfig())
    assert made.weighting.until == BEGIN + 30 * DAY + 1000 + FEW - 1 + 2
    assert made.log.histories.weights.max() == 1.0
    assert made.log.histories.weights.min() > 0.1
