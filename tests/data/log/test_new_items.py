"""Items of a table that have no event yet, in the catalog of a log."""

import polars as pl
import pytest

import foldin
from foldin.errors import ColumnError
from foldin.models import FeatureRows

EVENTS = pl.DataFrame({"user": [1, 1, 2, 2, 3], "item": ["a", "b", "a", "b", "c"]})
ITEMS = pl.DataFrame({"item": ["a", "b", "c"], "title": ["red one", "red two", "blue"], "size": [1, 2, 3]})
MORE = pl.DataFrame(
    {"item": ["d", "b", "d", "e"], "title": ["red d", "other", "again", "blue e"], "size": [4.5, 0, 0, 5]}
)


def test_they_follow_the_others_and_change_nothing():
    log = foldin.read_log(EVENTS, items=ITEMS)
    grown = log.with_new_items(MORE)
    assert grown.items["item"].to_list() == [*log.items["item"], "d", "e"]
    assert grown.items.head(3)["title"].to_list() == log.items["title"].to_list()
    assert grown.items["size"].to_list() == [1, 2, 3, 4.5, 5]
    assert grown.histories.n_items == 5
    assert grown.histories.items.tolist() == log.histories.items.tolist()
    assert (grown.report.notes[-1].count, grown.report.notes[-1].dropped) == (2, False)
    assert grown.core().items["item"].to_list() == log.items["item"].to_list()  # what protocols do


def test_they_are_listed_by_their_features():
    log = foldin.read_log(EVENTS, items=ITEMS).with_new_items(MORE)
    run = foldin.fit_all(log, foldin.EASE(regularization=1.0, features=FeatureRows(columns=("title",))))
    assert run.catalog.cold.tolist() == [False, False, False, True, True]
    listed = run.recommend([1], k=3)["item"].to_list()
    assert listed.index("d") < listed.index("e")


def test_a_feature_of_another_type_is_refused():
    log = foldin.read_log(EVENTS, items=ITEMS)
    with pytest.raises(ColumnError, match="its features have other types than those of the log"):
        log.with_new_items(pl.DataFrame({"item": ["d"], "size": ["large"]}))
