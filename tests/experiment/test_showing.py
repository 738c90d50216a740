"""What a training shows in Python."""

import io
import logging

import pytest

import foldin
from foldin.data import strong
from foldin.experiment.showing import Showing
from foldin.models import MultVAE, MultVAEConfig
from foldin.training import Progress, fit
from tests.conftest import make_log

CONFIG = MultVAEConfig(hidden_dims=(), latent_dim=4, epochs=3, batch_size=20)


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
    screen = io.StringIO()
    monkeypatch.setattr(screen, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stderr", screen)
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
