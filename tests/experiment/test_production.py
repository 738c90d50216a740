"""Training on every user of a log."""

from dataclasses import replace

import polars as pl
import pytest

import foldin
from foldin.errors import CapacityError, DataError, RunError, SplitError
from foldin.experiment import production
from foldin.models import MultVAEConfig
from tests.conftest import make_log


def test_every_user_trains_and_every_user_has_a_list(tmp_path):
    log = make_log()
    made = foldin.fit_all(log, MultVAEConfig(hidden_dims=(), latent_dim=4, epochs=5, batch_size=20), epochs=2)
    assert len(made.result.records) == 2
    assert f"all {len(log.histories):,} users" in repr(made)
    lists = made.recommend(k=3)
    assert lists["user"].n_unique() == len(log.histories)
    assert set(lists["item"]) <= set(log.items["item"])
    made.save(tmp_path / "run", histories=True)
    loaded = foldin.load(tmp_path / "run")
    assert loaded.recommend(k=3).equals(lists)
    assert loaded.catalog.table["count"].sum() == log.histories.n_events


def test_it_learns_what_training_on_the_same_users_learns():
    log = make_log()
    made = foldin.fit_all(log, "ease")
    model = foldin.EASE().model_class(log.histories.n_items, foldin.EASE())
    foldin.fit(model, log.histories)
    assert all(one.equal(made.model.state()[name]) for name, one in model.state().items())


def test_too_little_memory_for_the_model_whose_items_are_asked_for_is_one_error(monkeypatch):
    log = make_log()
    unseen = pl.DataFrame({"item": ["i98", "i99"]})
    items = pl.concat([log.items, unseen], how="diagonal")
    histories = replace(log.histories, n_items=len(items))

    def build(*_, **__):
        raise MemoryError("Unable to allocate 9 PiB")

    monkeypatch.setattr(production, "build_model", build)
    with pytest.raises(CapacityError, match="multvae of 42 items needs more memory than there is: Unable to allocate"):
        foldin.fit_all(replace(log, items=items, histories=histories), MultVAEConfig())


def test_a_run_without_an_evaluation_is_refused_where_one_is_needed(tmp_path, capsys):
    from foldin.cli import main

    foldin.fit_all(make_log(), "popularity").save(tmp_path / "run")
    for command in ("evaluate", "explain"):
        with pytest.raises(SystemExit) as stop:
            main([command, str(tmp_path / "run")])
        assert stop.value.code == 2
    assert "no source" in capsys.readouterr().err


def test_without_test_users_there_is_neither_an_evaluation_nor_a_report():
    log = make_log()
    made = foldin.fit_all(log, "popularity")
    assert made.evaluation is None
    with pytest.raises(RunError, match="popularity: trained on all users of its log, so that there are no test users"):
        made.explain()
    split = foldin.split(log, "strong", held_out=20)
    with pytest.raises(DataError, match="fit_all: an EventLog was expected, not Split"):
        foldin.fit_all(split, "popularity")
    with pytest.raises(SplitError, match=r"a Split was expected, not EventLog: .*foldin\.split\(log, 'strong'\)"):
        foldin.train(log, "popularity")
