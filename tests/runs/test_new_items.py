"""Items that come after the training, in lists of a run: as if they had been in the log, and stored with the run."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

import foldin
from foldin.errors import ColumnError, ConfigError, DataError, UnknownItemError
from foldin.models import FeatureRows
from foldin.runs import load_run
from tests.runs.test_recommends import FILMS, events

NEW = pd.DataFrame(
    {
        "item": [100, 301, 302, 301],
        "title": ["Film 0", "Film 30", "Film 31", "again"],
        "genres": ["Horror|Drama", "Horror|Drama", "Comedy", "Comedy"],
    }
)
CONFIG = foldin.EASE(regularization=1.0, features=FeatureRows(weight=5.0, cold_factor=3.0))


@pytest.fixture(scope="module")
def log():
    return foldin.read_log(events(), items=FILMS)


@pytest.fixture(scope="module")
def run(log):
    return foldin.fit_all(log, CONFIG)


def test_lists_are_those_of_a_training_with_the_items(log, run, tmp_path):
    whole = foldin.fit_all(log.with_new_items(NEW), CONFIG)
    expected = whole.recommend(k=4)
    run.save(tmp_path / "run", histories=True)
    loaded = load_run(tmp_path / "run")
    for one in (run, loaded, loaded.attach(log)):
        found = one.with_new_items(NEW)
        assert found.new == 2
        lists = found.recommend(k=4)
        assert (lists[["user", "item", "title"]] == expected[["user", "item", "title"]]).all(axis=None)
        assert np.allclose(lists["score"], expected["score"], atol=1e-6)
    assert {301, 302} <= set(expected["item"])
    assert "new_items.safetensors" in loaded.info["files"]


def test_new_items_are_filtered_read_in_histories_and_similar(log, run):
    found = run.with_new_items(NEW)
    comedies = found.recommend([1001], k=12, where={"genres": {"any_of": ["Comedy"]}}, exclude_seen=False)
    assert 302 in comedies["item"].tolist()
    assert 301 not in comedies["item"].tolist()
    later = pd.DataFrame({"user": [1001, 1002], "item": [302, 302], "time": [pd.Timestamp("2025-01-01")] * 2})
    with_them = found.attach(foldin.read_log(pd.concat((events(), later)), items=FILMS)).recommend([1001], k=12)
    assert 302 not in with_them["item"].tolist()  # it is taken now
    asked = pd.DataFrame({"user": [1], "item": [302]})
    assert found.recommend(asked, k=1)["item"].tolist()[0] % 2 == 1  # to the taste of those who take comedies
    assert found.similar("Film 30", k=2).shape[0] == 2
    assert "new items" in str(found)
    with pytest.raises(UnknownItemError):
        run.similar("Film 30")


def test_a_retired_new_item_is_in_no_list(run):
    found = run.with_new_items(NEW.head(3).assign(is_active=[True, False, True]))
    listed = set(found.recommend(k=20, exclude_seen=False)["item"])
    assert 302 in listed
    assert 301 not in listed


def test_what_cannot_be_taken_is_refused(log, run):
    with pytest.raises(DataError, match="the catalog of 12 items has all of them"):
        run.with_new_items(FILMS)
    with pytest.raises(ColumnError, match=r"other types than those of the catalog: 'genres'"):
        run.with_new_items(pl.DataFrame({"item": ["x"], "genres": [3]}))
    with pytest.raises(ConfigError, match="need a model that reads their features; its setting features is none"):
        foldin.fit_all(log, foldin.EASE(regularization=1.0)).with_new_items(NEW)
    with pytest.raises(ConfigError, match="need a model that reads their features; Popularity has none"):
        foldin.fit_all(log, foldin.Popularity()).with_new_items(NEW)
