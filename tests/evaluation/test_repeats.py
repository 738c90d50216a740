"""Repeated and new targets, against counts by hand."""

import numpy as np
import polars as pl
import pytest

from foldin.data import HeldOut, Histories
from foldin.errors import ShapeError
from foldin.evaluation import evaluate, evaluate_repeats
from foldin.models import PersonalPopularity, PersonalPopularityConfig
from foldin.training import fit

ITEMS = 6
TRAIN = Histories.from_lists([[5, 4, 5, 3, 5, 4], [0, 0, 1, 0], [5, 4, 5], [2, 5, 2]], ITEMS)


def held(targets: list[list[int]], *, keep: bool = True) -> HeldOut:
    fold_in = Histories.from_lists([[0, 1, 0, 1], [2, 2, 2], [3]], ITEMS)
    seen = Histories.empty(3, ITEMS) if keep else fold_in
    users = pl.Series(["a", "b", "c"])
    return HeldOut(fold_in=fold_in, targets=Histories.from_lists(targets, ITEMS), users=users, seen=seen)


@pytest.fixture(scope="module")
def model():
    found = PersonalPopularity(ITEMS, PersonalPopularityConfig(recency=False))
    fit(found, TRAIN)
    return found


def test_recall_of_repeats_and_of_new_items(model):
    found = evaluate_repeats(model, held([[0, 5], [5], []]), metrics=["recall_all@3"], k=3)
    assert found.repeated.per_user["user"].to_list() == ["a"]
    assert found.new.per_user["user"].to_list() == ["a", "b"]
    lists = [[0, 1, 5], [2, 5, 4], [3, 5, 4]]  # the own items, then 5 and 4 by popularity
    assert found.repeated.values("recall_all@3").tolist() == [1.0]
    assert found.new.values("recall_all@3").tolist() == [float(5 in one) for one in lists[:2]]
    assert found.target_share == 1 / 3
    assert found.listed_share == 3 / 6  # of the users with a target
    assert "share of repeats among the targets" in str(found)
    assert found.as_dict()["new"]["recall_all@3"]["mean"] == 1.0


def test_the_likelihood_of_both_parts_is_that_of_the_whole(model):
    every = held([[0, 5], [5, 2, 4], [1]])
    parts = evaluate_repeats(model, every, metrics=["ndcg@2"])
    whole = evaluate(model, every, metrics=["ndcg@2"])

    def summed(one):
        return float((one.values("log_likelihood_per_item") * one.per_user["targets"].to_numpy()).sum())

    assert summed(parts.repeated) + summed(parts.new) == pytest.approx(summed(whole))


def test_a_part_without_targets_is_none(model):
    found = evaluate_repeats(model, held([[5], [4], []], keep=False))
    assert found.repeated is None
    assert found.target_share == found.listed_share == 0.0
    assert np.isfinite(found.new.values("recall_all@10")).all()
    with pytest.raises(ShapeError, match="no held-out user has a target"):
        evaluate_repeats(model, held([[], [], []]))
