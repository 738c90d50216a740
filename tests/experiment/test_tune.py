"""A search over settings: what it draws, where it ends, and that nothing is lost when a process is killed."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
import typing
from functools import partial

import pytest

import foldin
from foldin.errors import ConfigError, FitError, RunError
from foldin.experiment import tuning
from foldin.experiment.study import Study
from foldin.models import (
    GBCE,
    MODELS,
    EASEConfig,
    LDAConfig,
    MultVAEConfig,
    PopularityConfig,
    RecVAEConfig,
    SASRecConfig,
)
from foldin.reports import tuning_page
from foldin.training import Range, options_of, parse_space, search_space, setting, setting_text
from tests.experiment.test_study import about

QUICK = MultVAEConfig(hidden_dims=(), latent_dim=8, batch_size=20, epochs=3)


def every_setting(config, before=""):
    """(name, range, configuration that has the setting) of every setting that is searched, those of all options included."""
    kinds = typing.get_type_hints(type(config))
    for field in dataclasses.fields(config):
        if field.metadata["range"] is not None:
            yield field.name, field.metadata["range"], config
        for option in options_of(kinds[field.name]).values():
            yield from every_setting(option())


@pytest.mark.parametrize("name", MODELS)
def test_every_range_lies_within_its_setting(name):
    for setting_, range_, config in every_setting(MODELS[name]()):
        values = range_ if isinstance(range_, tuple) else (range_.low, range_.high)
        for value in values:
            text = setting_text(value) if isinstance(range_, tuple) else range_.text(value)
            assert getattr(config.with_texts({setting_: text}), setting_) == value
        default = getattr(config, setting_)
        inside = (
            default in range_ if isinstance(range_, tuple) else default is None or range_.low <= default <= range_.high
        )
        assert inside, (name, setting_, default)


def test_ranges_of_the_option_that_is_chosen_are_searched_and_no_others():
    assert "kl_weight.gamma" in search_space(RecVAEConfig())
    constant = RecVAEConfig().with_texts({"kl_weight": "constant"})
    assert "kl_weight.beta" in search_space(constant)
    assert "kl_weight.gamma" not in search_space(constant)
    assert not [name for name in search_space(SASRecConfig(loss=GBCE())) if name.startswith("loss.")]


def test_ranges_are_read_from_text():
    space = parse_space(
        MultVAEConfig(),
        {"beta": "0.1:1", "latent_dim": "10:500:log", "hidden_dims": "|600|600,200", "learning_rate": "1:2"},
    )
    assert space["beta"] == Range(0.1, 1.0)
    assert space["latent_dim"] == Range(10, 500, log=True)
    assert space["latent_dim"].whole
    assert not space["learning_rate"].whole
    assert space["hidden_dims"] == ("", "600", "600,200")
    for wrong, reason in (
        ({"beta": "1:0.1"}, "lower end must be below"),
        ({"beta": "0:1:log"}, "must lie above 0"),
        ({"beta": "0:1:2"}, "LOW:HIGH:log"),
        ({"hidden_dims": "1:2"}, "not a number"),
        ({"beta": "0.1-1"}, "beta.*a range is LOW:HIGH or LOW:HIGH:log, and alternatives are A|B|C"),
        ({"latent_dim": "0:9"}, "must be ≥ 1"),
        ({"nothing": "0:9"}, "no setting 'nothing'"),
    ):
        with pytest.raises(ConfigError, match=reason):
            parse_space(MultVAEConfig(), wrong)


def test_numbers_have_three_digits_and_stay_inside():
    assert Range(0.0012345, 1.0).text(0.0012346) == "0.0012345"
    assert Range(1.0, 100.0).text(12.3456) == "12.3"
    assert Range(1, 100).text(12) == "12"


def test_the_best_trial_is_trained_and_looks_at_the_test_users_once(split):
    tuned = foldin.tune(
        split, QUICK, trials=6, metric="ndcg@10", space={"learning_rate": Range(1e-3, 0.1, log=True)}, fixed=["beta"]
    )
    assert [one.number for one in tuned.trials] == list(range(1, 7))
    assert tuned.trials[0].settings == {}
    assert all("beta" not in one.settings and "latent_dim" not in one.settings for one in tuned.trials)
    best = max((one for one in tuned.trials if one.state == "complete"), key=lambda one: one.value)
    assert tuned.best == best
    assert tuned.config == QUICK.with_texts(best.settings)
    assert tuned.trained.model.config == tuned.config
    # What is chosen is trained again, to the same bits.
    assert (
        tuned.trained.result.best_metric == best.value == pytest.approx(tuned.validation.summary()["ndcg@10"]["mean"])
    )
    assert best.value >= tuned.trials[0].value
    shown = repr(tuned)
    assert "best of 6 trials" in shown
    assert "learning_rate" in shown
    again = foldin.tune(
        split, QUICK, trials=6, metric="ndcg@10", space={"learning_rate": Range(1e-3, 0.1, log=True)}, fixed=["beta"]
    )
    assert [one.settings for one in again.trials] == [one.settings for one in tuned.trials]


def test_a_search_without_settings_has_one_trial(split):
    assert len(foldin.tune(split, PopularityConfig(), minutes=1).trials) == 1


def test_a_trial_that_outlives_the_budget_counts_with_its_best_epoch(split, monkeypatch):
    clock = iter(range(0, 10_000, 30))  # a call, half a minute
    monkeypatch.setattr("foldin.experiment.tuning.time.perf_counter", lambda: next(clock))
    tuned = foldin.tune(split, QUICK, minutes=2.0, metric="ndcg@10", epochs=8, patience=None)
    (only,) = tuned.trials
    assert only.state == "complete"
    assert only.epochs < 8
    assert tuned.trained.result.best_metric >= only.value  # the training that follows runs all epochs


def test_closed_forms_are_searched_too(split):
    tuned = foldin.tune(
        split,
        EASEConfig(regularization=5.0),
        space={"regularization": Range(0.1, 1e3, log=True)},
        trials=4,
        metric="ndcg@10",
    )
    assert {one.state for one in tuned.trials} == {"complete"}
    assert tuned.importances is None
    assert tuned.trained.result.best_metric is None


@dataclasses.dataclass(frozen=True, kw_only=True)
class PickyConfig(PopularityConfig):
    smoothing: float = setting(1.0, "Pseudo-count.", above=0, range=Range(0.5, 2.0))

    def __post_init__(self):
        super().__post_init__()
        if self.smoothing != 1.0:
            raise FitError("does not like this one")


def test_a_trial_that_fails_says_why_and_the_search_goes_on(split):
    tuned = foldin.tune(split, PickyConfig(), trials=3, metric="ndcg@10")
    assert [one.state for one in tuned.trials] == ["complete", "failed", "failed"]
    assert tuned.trials[1].reason == "does not like this one"
    assert tuned.config == PickyConfig()
    hopeless = dataclasses.replace(QUICK, learning_rate=1e30)
    with pytest.raises(FitError, match=r"tune multvae: no trial could be measured; the first failed because: epoch 1"):
        foldin.tune(split, hopeless, trials=9, space={"learning_rate": (1e30, 1e29)})


def test_wrong_searches_are_refused(split, tmp_path):
    with pytest.raises(ConfigError, match="no setting 'nothing' to search"):
        foldin.tune(split, "ease", space={"nothing": Range(1, 2)})
    with pytest.raises(ConfigError, match="at least 1 trial"):
        foldin.tune(split, "ease", trials=0)
    foldin.tune(split, PopularityConfig(), trials=1, folder=tmp_path / "study")
    with pytest.raises(ConfigError, match=r"the study of another search, whose seed is 0, not 1"):
        foldin.tune(split, PopularityConfig(), trials=1, seed=1, folder=tmp_path / "study")
    foldin.tune(split, EASEConfig(), trials=1, folder=tmp_path / "ease")
    with pytest.raises(
        ConfigError,
        match=r"another search, whose config\.regularization is [\d.]+, not 7\.0 and space\.regularization is",
    ):
        foldin.tune(split, EASEConfig(regularization=7.0), space={}, trials=1, folder=tmp_path / "ease")
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "a.txt").write_text("dear")
    with pytest.raises(RunError, match="holds files that are not of a study"):
        foldin.tune(split, PopularityConfig(), folder=tmp_path / "letters")


def test_a_search_that_goes_on_says_what_there_is(tmp_path):
    first = Study(tmp_path / "study", about(), seed=0)
    assert first.continued == ""
    first.ask({}, {}, 1)
    first.close()  # as a process that is killed: its trial has no result
    second = Study(tmp_path / "study", about(), seed=0)
    assert second.continued.endswith("where 0 trials have ended; 1 whose process was killed is measured again")
    second.close()


def test_with_more_processes_than_trials_one_says_so(split, tmp_path):
    other = Study(tmp_path / "study", about(), seed=0)
    other.ask({}, {}, 1)
    kept = json.loads((tmp_path / "study" / "study.json").read_text())
    assert kept == about()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("foldin.experiment.study_folder._is_new", lambda *_: False)
        with pytest.raises(FitError, match="another process measures the first trial"):
            foldin.tune(split, PopularityConfig(), folder=tmp_path / "study")
    other.close()


def test_an_unexpected_exception_is_kept_and_not_met_again(split, tmp_path, monkeypatch):
    real = tuning.build_model

    def build(catalog, config, **more):
        if config.regularization == 30.0:
            raise RuntimeError("a fault")
        return real(catalog, config, **more)

    monkeypatch.setattr(tuning, "build_model", build)
    call = partial(foldin.tune, split, EASEConfig(), space={"regularization": (10.0, 30.0)}, folder=tmp_path, trials=3)
    with pytest.raises(RuntimeError, match="a fault"):
        call()
    tuned = call()
    assert [one.reason for one in tuned.trials if one.state == "failed"] == ["RuntimeError: a fault"]
    assert {one.settings.get("regularization") for one in tuned.trials} == {None, "10.0", "30.0"}


def test_nothing_is_measured_twice(split):
    tuned = foldin.tune(split, EASEConfig(regularization=10.0), space={"regularization": (1.0, 10.0)}, trials=30)
    assert [dict(one.settings) for one in tuned.trials] == [{}, {"regularization": "1.0"}]


def test_what_is_searched():
    constant = RecVAEConfig().with_texts({"kl_weight": "constant"})
    assert "kl_weight.beta" in tuning._searched(constant, None, ())
    assert "kl_weight.gamma" in tuning._searched(RecVAEConfig(), None, ())
    assert "latent_dim" not in tuning._searched(RecVAEConfig(latent_dim=64), None, ())
    assert "latent_dim" in tuning._searched(RecVAEConfig(latent_dim=64), {"latent_dim": Range(8, 64)}, ())
    both = tuning._searched(RecVAEConfig(), {"kl_weight": ("per-item", "constant")}, ())
    assert "kl_weight.gamma" not in both  # it belongs to one of the two
    with pytest.raises(ConfigError, match="no setting 'nothing'"):
        tuning._searched(RecVAEConfig(), None, ("nothing",))


def test_settings_at_the_start_that_lie_outside_their_range_leave_importances(split):
    space = {"alpha": Range(0.01, 1.0, log=True), "n_components": Range(2, 6)}
    tuned = foldin.tune(split, LDAConfig(n_components=2, epochs=1), space=space, fixed=["eta"], trials=14)
    assert tuned.trials[0].settings == {}
    assert tuned.importances.keys() == space.keys()
    page = tuning_page(tuned.as_dict())
    assert "log₁₀ alpha" in page  # though the value at the start, none, has no place on its axis


def test_a_setting_of_no_width_is_not_drawn_as_the_start():
    trial = {"state": "complete", "value": 0.1, "epochs": 1, "seconds": 1.0, "reason": ""}
    trials = [{**trial, "number": at, "settings": {"dims": text}} for at, text in enumerate(("", "600", ""))]
    setting = {"range": "a", "log": False, "start": "600", "best": "600", "importance": None}
    content = {"model": "m", "metric": "ndcg@10", "seconds": 1.0, "start": 0.1, "best": {"number": 1, "value": 0.1}}
    page = tuning_page({**content, "settings": {"dims": setting}, "trials": trials, "validation": None, "test": None})
    assert 'aria-label="dims"' not in page


@pytest.mark.long
def test_a_search_killed_in_a_trial_goes_on(tmp_path, split):
    """A real process, killed while it trains."""
    from tests.conftest import make_log, write_csv

    log = make_log()
    rows = zip(
        log.users.gather(log.histories.users()),
        log.items["item"].gather(log.histories.items.astype("int64")),
        strict=True,
    )
    path = write_csv(tmp_path / "log.csv", list(rows), ("user", "item"))
    study = tmp_path / "study"
    command = [
        *(
            sys.executable,
            "-m",
            "foldin",
            "tune",
            str(path),
            "--model",
            "multvae",
            "--out",
            str(study),
            "--trials",
            "3",
        ),
        *(
            "--set",
            "hidden_dims=",
            "--set",
            "latent_dim=8",
            "--set",
            "batch_size=20",
            "--metric",
            "ndcg@10",
            "--device",
            "cpu",
        ),
        *("--held-out", "20", "--patience", "1000", "--json"),
    ]
    killed = subprocess.Popen([*command, "--epochs", "40"], stderr=subprocess.PIPE, text=True)
    line = killed.stderr.readline()
    assert line.startswith("trial 1: complete"), line
    time.sleep(0.2)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    killed.stderr.close()
    done = subprocess.run([*command, "--epochs", "40"], capture_output=True, text=True, check=False, env={**os.environ})
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    ended = [one for one in found["trials"] if one["state"] in ("complete", "pruned")]
    assert len(ended) == 3
    assert found["trials"][0]["settings"] == {}
    assert len({json.dumps(one["settings"]) for one in ended}) == 3
    assert (study / "report.html").read_text().startswith("<!doctype html>")
    assert foldin.load(study / "best").model.config == MultVAEConfig.from_dict(found["config"])
