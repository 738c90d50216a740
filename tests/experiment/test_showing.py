"""What a training shows in Python."""

import io
import logging
import re

import pytest

import foldin
from foldin.data import strong
from foldin.experiment.showing import Showing, counting
from foldin.experiment.showing_search import ShowingSearch
from foldin.experiment.study import Study
from foldin.experiment.trials import TuningTrial
from foldin.models import MultVAE, MultVAEConfig
from foldin.training import Progress, Range, fit
from tests.conftest import make_log

CONFIG = MultVAEConfig(hidden_dims=(), latent_dim=4, epochs=3, batch_size=20)
SPACE = {"regularization": Range(1.0, 1000.0, log=True)}


@pytest.fixture(scope="module")
def split():
    return strong(make_log(), held_out=20)


def test_each_epoch_is_a_line_of_the_logger(split, caplog, capsys):
    with caplog.at_level(logging.INFO, logger="foldin"):
        foldin.train(split, CONFIG)
    lines = [one.getMessage() for one in caplog.records if one.name == "foldin"]
    assert lines[0] == "multvae: training of 3 epochs"
    assert [line.split(":")[1].strip() for line in lines[1:]] == ["epoch 1", "epoch 2", "epoch 3"]
    assert all("ndcg@100 0." in line and "train/kl" in line for line in lines[1:])
    assert capsys.readouterr().err == ""  # nobody looks


def test_on_a_terminal_a_bar_reaches_the_last_epoch(split, monkeypatch):
    screen = terminal(monkeypatch)
    foldin.train(split, CONFIG)
    last = screen.getvalue().split("\r")[-1]
    assert last.startswith("multvae: 100%")
    assert "3 of 3 epochs" in last


def test_a_bar_counts_parts_of_epochs_and_begins_after_those_that_are_done(split, monkeypatch):
    seen = []

    class Watched(Showing):
        def step(self, phase, done, total, terms):
            super().step(phase, done, total, terms)
            seen.append(round(self._bar.n, 6))

    monkeypatch.setattr("sys.stderr", io.StringIO())
    model, shown = MultVAE(split.train.n_items, CONFIG), Watched("multvae", "ndcg@100", bar=True)
    fit(model, split.train, progress=shown)
    shown.close()
    assert seen == sorted(seen)
    assert 0.0 < seen[0] < 1.0
    assert seen[-1] == 3.0


def test_what_the_caller_gives_takes_its_place(split, caplog):
    class Counting(Progress):
        epochs = 0

        def epoch(self, record):
            self.epochs += 1

    one = Counting()
    with caplog.at_level(logging.INFO, logger="foldin"):
        foldin.train(split, CONFIG, progress=one)
    assert one.epochs == 3
    assert not caplog.records


def lines_of(caplog):
    return [one.getMessage() for one in caplog.records if one.name == "foldin"]


def terminal(monkeypatch):
    """Standard error as a terminal."""
    found = io.StringIO()
    monkeypatch.setattr(found, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stderr", found)
    return found


def test_a_closed_form_is_a_line_with_its_seconds(split, caplog):
    with caplog.at_level(logging.INFO, logger="foldin"):
        foldin.train(split, "ease")
    first, second = lines_of(caplog)
    assert first == "ease: training of 1 epoch"
    assert re.fullmatch(r"ease: epoch 1: \d+\.\d s", second)


def test_each_trial_of_a_search_is_a_line_of_the_logger(split, caplog, capsys):
    with caplog.at_level(logging.INFO, logger="foldin"):
        tuned = foldin.tune(split, "ease", trials=3, space=SPACE)
    lines = lines_of(caplog)
    assert lines[0] == "ease: search of 3 trials"
    best = 0.0
    for line, trial in zip(lines[1:4], tuned.trials, strict=True):
        star = " *" if trial.value > best else ""
        best = max(best, trial.value)
        assert line.startswith(f"ease: trial {trial.number}: complete: ndcg@100 {trial.value:.4f}{star}  1 epoch  ")
    assert lines[4] == "ease: training of 1 epoch"  # with the best settings
    assert capsys.readouterr().err == ""


def test_on_a_terminal_a_search_has_a_bar_over_its_trials(split, monkeypatch):
    screen = terminal(monkeypatch)
    tuned = foldin.tune(split, "ease", trials=3, space=SPACE)
    last = next(line for line in reversed(screen.getvalue().split("\r")) if line.startswith("tune ease: "))
    assert last.startswith("tune ease: 100%")
    assert "3 of 3 trials" in last
    assert f"best ndcg@100={tuned.best.value:.4f}" in last


def test_a_bar_over_minutes_shows_what_the_trials_have_taken(monkeypatch):
    screen = terminal(monkeypatch)
    study, shown = Study(None, {}, seed=0), ShowingSearch("ease", "ndcg@100", trials=None, minutes=2.0)
    trial, settings = study.ask(SPACE, {"regularization": 100.0}, None)
    shown.open(study)
    study.end(trial, TuningTrial(number=1, settings=settings, state="complete", value=0.5, epochs=1, seconds=30.0))
    shown.ended(study.trials()[0], study)
    shown.close()
    assert "25%" in screen.getvalue().split("\r")[-1]
    assert "0.5 of 2 minutes" in screen.getvalue().split("\r")[-1]


def test_a_bar_moves_within_a_trial(split, monkeypatch):
    terminal(monkeypatch)
    seen = []

    class Watched(ShowingSearch):
        def step(self, phase, done, total, terms):
            super().step(phase, done, total, terms)
            seen.append(round(self._bar.n, 6))

    shown = Watched("multvae", "ndcg@100", trials=2, minutes=None)
    shown.open(Study(None, {}, seed=0))
    fit(MultVAE(split.train.n_items, CONFIG), split.train, progress=shown)
    shown.close()
    assert seen == sorted(seen)
    assert 0.0 < seen[0] < 1 / 3
    assert seen[-1] == 1.0


def test_a_count_is_a_bar_on_a_terminal_and_nothing_elsewhere(monkeypatch):
    screen = terminal(monkeypatch)
    with counting("multvae", "draws") as say:
        say(5, 20)
        say(20, 20)
    assert "20 of 20 draws" in screen.getvalue().split("\r")[-1]
    with counting("multvae", "draws", bar=False) as say:
        before = screen.getvalue()
        say(5, 20)
    assert screen.getvalue() == before
