"""Retraining of a run in service, on logs where it is known which model is better."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from foldin.errors import ConfigError, RunError, SplitError
from foldin.experiment import InService, Outcome, Plan, Rule, build_model, fit_all, retrain
from foldin.experiment.nights import read_nights
from foldin.models import EASEConfig, MultVAEConfig, PopularityConfig
from foldin.runs import add_generation, generations, load_run, roll_back
from foldin.training import Progress, fit
from tests.damage import change_info
from tests.experiment.nightly import BEGIN, DAY, FEW, log_of, nightly_log, rows

EASE = Plan(config=EASEConfig(regularization=10.0))
POPULARITY = Plan(config=PopularityConfig())
VAE = Plan(config=MultVAEConfig(hidden_dims=(), latent_dim=4, batch_size=40, epochs=4, learning_rate=0.02))
STRICT = Rule(margin=-0.1)  # few users are enough


def served(folder: Path, plan: Plan, nights: int = 0) -> Path:
    """A run in service, trained until some night."""
    fit_all(nightly_log(nights), plan.config).save(folder)
    return folder


def without_until(run: Path) -> Path:
    """A run as an earlier foldin wrote it."""
    change_info(run, without=("until",))
    return run


def test_the_first_run_is_put_in_service_without_a_comparison(tmp_path):
    found = retrain(nightly_log(0), EASE, tmp_path / "run")
    assert (found.decision.outcome, found.swapped, found.generation) == (Outcome.FIRST, True, 1)
    assert found.sentence == "swapped, generation 1 is in service: there was no run in service"
    assert load_run(tmp_path / "run").name == "ease"


def test_a_better_model_replaces_the_run_in_service_and_knows_every_event(tmp_path):
    run, log = served(tmp_path / "run", POPULARITY), nightly_log(1)
    before = load_run(run).info["digest"]
    found = retrain(log, EASE, run)
    assert (found.decision.outcome, found.swapped, found.generation) == (Outcome.ACCEPTED, True, 2)
    assert found.decision.low > 0.0
    assert found.sentence.startswith("swapped, generation 2 is in service: accepted: the difference of ndcg@10 is +0.")
    loaded = load_run(run)
    assert (loaded.name, loaded.info["log"]) == ("ease", log.histories.fingerprint())
    assert loaded.info["until"] == log.histories.times.max()
    compared = found.as_dict()["tonight"]
    assert compared["users"] == FEW
    assert compared["challenger"]["mean"] - compared["incumbent"]["mean"] == pytest.approx(found.decision.difference)
    assert [(one.incumbent, one.outcome) for one in read_nights(run)] == [(before, "accepted")]
    assert roll_back(run).number == 1
    assert load_run(run).info["digest"] == before


def test_the_challenger_that_is_compared_knows_no_event_after_the_cut(tmp_path):
    """All of tonight's users take an item that nobody took before: had the challenger seen it, it would find it."""
    run = served(tmp_path / "run", EASE)
    found = retrain(nightly_log(1, fresh_item=True), EASE, run, rule=STRICT)
    assert found.compared.challenger[1].unknown_targets == FEW
    assert found.compared.incumbent[1].unknown_targets == FEW
    assert found.compared.challenger[1].values == pytest.approx(found.compared.incumbent[1].values)
    assert "new" not in load_run(run).catalog


def test_a_worse_model_does_not(tmp_path):
    run = served(tmp_path / "run", EASE)
    before = load_run(run).info["digest"]
    for undecided in ("keep", "fresh"):
        found = retrain(nightly_log(1), POPULARITY, run, rule=Rule(undecided=undecided))
        assert (found.decision.outcome, found.swapped, found.generation) == (Outcome.WORSE, False, None)
        assert found.decision.high < 0.0
        assert found.sentence.startswith("not swapped: worse: the difference of ndcg@10 is -0.")
    assert load_run(run).info["digest"] == before
    assert generations(run) == []


def test_an_equal_model_is_undecided_until_the_nights_together_decide(tmp_path):
    """By the exact interval of no difference, 30 users are too few at the margin −.1 and 60 users of two nights are enough."""
    run = served(tmp_path / "run", EASE)
    first = retrain(nightly_log(1), EASE, run, rule=STRICT)
    assert (first.decision.outcome, first.swapped) == (Outcome.UNDECIDED, False)
    assert (first.decision.difference, first.decision.users) == (0.0, FEW)
    second = retrain(nightly_log(1, first=1), EASE, run, rule=STRICT)
    assert (second.decision.outcome, second.swapped, second.generation) == (Outcome.ACCEPTED, True, 2)
    assert (second.decision.users, second.decision.nights, second.decision.look) == (2 * FEW, 2, 2)
    # With a new run in service, the pool begins anew.
    third = retrain(nightly_log(2), EASE, run, rule=STRICT)
    assert third.decision.nights == 1
    assert [len(one.differences) > 0 for one in read_nights(run)] == [False, False, True]


def test_an_undecided_model_is_taken_if_the_rule_prefers_the_fresh_one(tmp_path):
    run = served(tmp_path / "run", EASE)
    found = retrain(nightly_log(1), EASE, run, rule=Rule(undecided="fresh"))
    assert (found.decision.outcome, found.swapped, found.generation) == (Outcome.UNDECIDED, True, 2)
    assert found.sentence.endswith("and then the fresh model is taken")


def test_events_that_the_run_in_service_knows_are_never_compared_on(tmp_path):
    run = served(tmp_path / "run", POPULARITY, nights=1)
    found = retrain(nightly_log(1), EASE, run)
    assert (found.decision.outcome, found.swapped, found.epochs) == (Outcome.NOTHING_NEW, False, None)
    assert "no known user took a new item" in found.sentence
    assert read_nights(run) == []
    # Of the last two days, only the second is later than what the run knows.
    found = retrain(nightly_log(2), EASE, run, latest="2d")
    assert found.compared.origin.time == BEGIN + 30 * DAY + 1000 + FEW - 1 + 2 + 1
    assert set(found.compared.origin.users) == {f"u{k:03d}" for k in range(FEW, 2 * FEW)}
    assert not found.compared.leaks
    found = retrain(nightly_log(1), EASE, without_until(served(tmp_path / "old", POPULARITY, nights=1)))
    assert found.compared.leaks
    # If its histories were saved with it, they say until when it was trained.
    fit_all(nightly_log(1), POPULARITY.config).save(tmp_path / "known", histories=True)
    assert retrain(nightly_log(1), EASE, without_until(tmp_path / "known")).decision.outcome is Outcome.NOTHING_NEW


def test_a_run_that_was_replaced_meanwhile_stays(tmp_path):
    run = served(tmp_path / "run", POPULARITY)

    def say(what: str) -> None:
        if what.startswith("training on all"):
            add_generation(run, fit_all(nightly_log(0), "popularity", seed=1).save)
            changed.append(load_run(run).info["digest"])

    changed: list[str] = []
    with pytest.raises(RunError, match="another run has become current meanwhile"):
        retrain(nightly_log(1), EASE, run, saying=say)
    assert load_run(run).info["digest"] == changed[0]
    assert [one.outcome for one in read_nights(run)] == ["accepted"]  # the users have been looked at all the same


def test_after_a_roll_back_in_the_service_the_run_that_answers_is_compared_with(tmp_path):
    """Generation 2 is worse and was rolled back: a model as bad is not taken, and a good one replaces both."""
    run = served(tmp_path / "shop", EASE)
    add_generation(run, fit_all(nightly_log(0), POPULARITY.config).save)
    first, bad = (load_run(one.folder).info["digest"] for one in generations(run))
    told = InService(digest=first, uri="/where/the/service/has/it", named={first, bad})
    said: list[str] = []
    fresh = Rule(undecided="fresh")
    found = retrain(nightly_log(1), POPULARITY, run, rule=fresh, service=lambda _: told, saying=said.append)
    assert (found.decision.outcome, found.swapped, found.generation) == (Outcome.WORSE, False, 1)
    assert said[0] == f"the service answers with /where/the/service/has/it, not with the current run of {run}"
    assert load_run(run).info["digest"] == bad
    # By the folder alone, it would have replaced its equal.
    found = retrain(nightly_log(1), EASE, run, rule=Rule(margin=-0.9), service=lambda _: told, keep=1)
    assert (found.decision.outcome, found.swapped, found.generation) == (Outcome.ACCEPTED, True, 3)
    assert load_run(run).folder.name == "0003"
    assert [one.number for one in generations(run)] == [1, 2, 3]  # the service names them
    assert [one.incumbent for one in read_nights(run)] == [first, first]


def test_a_run_that_the_service_has_from_elsewhere_is_the_incumbent_or_nothing_is_replaced(tmp_path):
    run, other = served(tmp_path / "shop", POPULARITY), served(tmp_path / "other", EASE)
    told = InService(digest=load_run(other).info["digest"], uri=str(other))
    found = retrain(nightly_log(1), POPULARITY, run, service=lambda _: told)
    assert (found.decision.outcome, found.generation) == (Outcome.WORSE, None)
    served(other, EASE, nights=1)  # trained over
    for uri in (str(other), str(tmp_path / "none")):
        with pytest.raises(RunError, match=r"nothing to compare with: .*(another run by now|no such run)"):
            retrain(nightly_log(1), EASE, run, service=lambda _, uri=uri: replace(told, uri=uri))


def test_a_roll_back_during_the_training_is_not_undone(tmp_path):
    run = served(tmp_path / "shop", POPULARITY)
    before, answers = load_run(run).info["digest"], iter([InService(), InService(digest="e" * 64, uri="/elsewhere")])
    with pytest.raises(RunError, match="the service answers with another run by now"):
        retrain(nightly_log(1), EASE, run, service=lambda _: next(answers))
    assert load_run(run).info["digest"] == before


def test_a_device_whose_clock_is_ahead_stops_no_night(tmp_path):
    """One event of tomorrow is left out of training and comparison, and the next night has something new."""
    run, said = served(tmp_path / "run", POPULARITY), []
    for night in (1, 2):
        now = BEGIN + (30 + night) * DAY
        log = log_of([*rows(night), ("u119", "ahead", now + DAY // 2)])
        found = retrain(log, EASE, run, rule=Rule(margin=-0.9), now=now, saying=said.append)
        assert found.decision.outcome is Outcome.ACCEPTED
        assert found.compared.as_dict()["users"] == FEW
        assert said[0] == "1 events are ahead of the clock and are left out"
        assert load_run(run).info["until"] == nightly_log(night).histories.times.max()
        assert "ahead" not in load_run(run).catalog
        said.clear()
    # A run of an earlier version may say that it was trained until tomorrow.
    change_info(served(tmp_path / "old", POPULARITY), until=now + DAY)
    found = retrain(nightly_log(2), EASE, tmp_path / "old", now=now)
    assert found.compared.leaks


def test_a_damaged_run_in_service_is_not_replaced(tmp_path):
    run = served(tmp_path / "run", POPULARITY)
    (run / "catalog.parquet").write_bytes(b"cut short")
    with pytest.raises(RunError, match=r"catalog.parquet: damaged"):
        retrain(nightly_log(1), EASE, run)
    (run / "run.json").unlink()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("mine")
    with pytest.raises(RunError, match="files that foldin did not write"):
        retrain(nightly_log(1), EASE, tmp_path / "mine")
    kept = served(tmp_path / "kept", POPULARITY)
    retrain(nightly_log(1), EASE, kept)
    (kept / "run.json").unlink()
    with pytest.raises(RunError, match=r"no run.json in it"):  # not taken for a folder without a run
        retrain(nightly_log(2), EASE, kept)


def test_logs_that_cannot_be_cut_are_refused(tmp_path):
    run = served(tmp_path / "run", POPULARITY)
    with pytest.raises(SplitError, match="with a column of absolute times"):
        retrain(log_of(rows(1), times=False), EASE, run)
    with pytest.raises(SplitError, match="are among the latest ones"):
        retrain(nightly_log(1), EASE, without_until(run), latest="90d")


def test_epochs_are_chosen_on_held_out_users_and_the_final_model_has_as_many(tmp_path):
    run = served(tmp_path / "run", POPULARITY)
    found = retrain(nightly_log(1), VAE, run, rule=Rule(undecided="fresh", margin=-0.9))
    assert found.swapped
    assert 1 <= found.epochs <= 4
    loaded = load_run(run)
    assert loaded.info["cold_epochs"] == found.epochs
    assert len((loaded.folder / "history.jsonl").read_text().splitlines()) == found.epochs
    assert set(found.seconds) == {"epochs", "challenger", "comparison", "training"}
    assert json.loads(json.dumps(found.as_dict()))["epochs"] == found.epochs
    with pytest.raises(SplitError, match="leave none"):
        Plan(config=VAE.config, held_out=60).choose_epochs(nightly_log(1))


def test_a_model_for_production_has_the_schedules_by_which_its_epochs_were_chosen():
    log = nightly_log(1)
    made = VAE.fit(log, 2)
    model, squeezed = (build_model(made.catalog, VAE.config, seed=VAE.seed) for _ in range(2))
    fit(model, log.histories, until=lambda record: record.epoch == 2)
    fit(squeezed, log.histories, epochs=2)
    assert made.result.epochs == VAE.config.epochs
    for name, value in model.state().items():
        assert torch.equal(made.model.state()[name], value), name
    assert any(not torch.equal(made.model.state()[name], value) for name, value in squeezed.state().items())


def test_a_training_that_starts_from_a_run_takes_the_last_epochs_of_its_schedules(tmp_path):
    longer = replace(VAE, epochs=20)
    longer.fit(nightly_log(0), 7).save(tmp_path / "run")
    start = load_run(tmp_path / "run")
    made = Plan(config=VAE.config, start=start).fit(nightly_log(1), 3)
    assert [record.epoch for record in made.result.records] == [5, 6, 7]
    assert made.result.epochs == 20
    more = Plan(config=VAE.config, start=start).fit(nightly_log(1), 9)
    assert [record.epoch for record in more.result.records] == list(range(1, 10))
    # As an earlier foldin wrote it, whose schedules ended with the training.
    change_info(tmp_path / "run", without=("planned_epochs",))
    assert Plan(config=VAE.config, start=load_run(tmp_path / "run")).fit(nightly_log(1), 3).result.epochs == 7


@pytest.mark.parametrize(("patience", "chosen"), [(None, 27), (20, 3)])
def test_an_early_peak_does_not_choose_the_epochs(patience, chosen, monkeypatch):
    values = iter([0.1, 0.2, 0.4, *(0.3 for _ in range(23)), 0.5, *(0.45 for _ in range(33))])
    monkeypatch.setattr("foldin.experiment.plan.ValidationMetric", lambda held_out, metric: lambda model: next(values))
    assert replace(VAE, epochs=60, patience=patience).choose_epochs(nightly_log(0)) == chosen


def test_a_training_that_starts_from_a_run_has_a_third_of_its_epochs(tmp_path):
    replace(VAE, epochs=9).fit(nightly_log(0), 7).save(tmp_path / "run")
    start = load_run(tmp_path / "run")
    plan = Plan(config=VAE.config, start=start)
    found = retrain(nightly_log(1, fresh_item=True), plan, tmp_path / "run", rule=Rule(margin=-0.9))
    assert (found.swapped, found.epochs) == (True, 3)
    loaded = load_run(tmp_path / "run")
    assert (loaded.info["cold_epochs"], loaded.info["started_from"]) == (7, start.info["digest"])
    assert "new" in loaded.catalog
    assert Plan(config=VAE.config, start=loaded).choose_epochs(nightly_log(1)) == 3
    assert Plan(config=VAE.config, start=loaded, epochs=2).choose_epochs(nightly_log(1)) == 2


def test_a_start_that_may_know_the_latest_events_is_refused(tmp_path):
    run = served(tmp_path / "run", VAE)
    start = load_run(without_until(served(tmp_path / "start", VAE)))
    with pytest.raises(ConfigError, match="does not say until when it was trained"):
        retrain(nightly_log(1), Plan(config=VAE.config, start=start, epochs=1), run)
    # One that knows until when it was trained moves the cut.
    start = load_run(served(tmp_path / "late", VAE, nights=1))
    plan = Plan(config=VAE.config, start=start, epochs=1)
    assert retrain(nightly_log(1), plan, run).decision.outcome is Outcome.NOTHING_NEW
    with pytest.raises(ConfigError, match="does not say how many epochs"):
        retrain(nightly_log(2), Plan(config=VAE.config, start=start), run)
    with pytest.raises(ConfigError, match="ease: its training cannot start from another run"):
        Plan(config=EASE.config, start=start)


class _Interrupting(Progress):
    def epoch(self, record) -> None:
        raise KeyboardInterrupt


def test_an_interrupted_training_is_never_put_in_service(tmp_path):
    run = served(tmp_path / "run", POPULARITY)
    before = load_run(run).info["digest"]
    plan = Plan(config=VAE.config, progress=_Interrupting())
    with pytest.raises(KeyboardInterrupt):
        retrain(nightly_log(1), plan, run, rule=Rule(undecided="fresh"))
    with pytest.raises(KeyboardInterrupt):
        plan.fit(nightly_log(1), 2)
    assert load_run(run).info["digest"] == before


def test_a_result_reads_as_a_sentence_and_a_table(tmp_path):
    found = retrain(nightly_log(1), EASE, served(tmp_path / "run", POPULARITY))
    lines = repr(found).splitlines()
    assert lines[0] == found.sentence
    assert [line.split()[0] for line in lines[2:]] == ["popularity,", "ease,"]
    assert np.isclose(float(lines[3].split()[-2]), found.compared.challenger[1].values.mean(), atol=1e-4)
