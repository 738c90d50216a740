"""Indices that callers give: what is meant is done, and nothing is cast in silence."""

import numpy as np
import polars as pl
import pytest
import torch

from foldin.data import Catalog, Examples, Histories, check_indices, count_of
from foldin.errors import DataError, ShapeError, UnknownItemError

SIZE = 6
MASK = np.array([False, True, False, False, True, False])
SAME = [[4, 1], (4, 1), np.array([4, 1]), np.array([4, 1], np.uint8), torch.tensor([4, 1]), pl.Series([4, 1])]
ODD = [
    (["4", "1"], "whole numbers were expected, met '4'"),
    ("41", "several whole numbers were expected, not '41'"),
    (4, "several whole numbers were expected, not 4"),
    (None, "not None"),
    ([2.7], "met 2.7"),
    ([1.0, 2.0], "met 1.0"),
    (np.array([1.0, np.nan]), "met 1.0"),
    ([1, None], "met None"),
    (np.array([1 + 0j]), "whole numbers"),
    (np.array(["2020-01-01"], dtype="datetime64[D]"), "whole numbers"),
    ([2**32 + 5], r"must be in \[0, 6\), met 4294967301"),
    ([2**70], "beyond 64 bits"),
    ([-1], "met -1"),
    ([True, 5], "not both"),
    ([[1, 2], [3, 4]], "one dimension"),
    ([[1, 2], [3]], "whole numbers"),
    ([True, False], "needs an entry for each item, 6 in all, not 2"),
    (np.ones((6, 1), bool), "one dimension"),
]


@pytest.mark.parametrize("given", SAME, ids=lambda one: type(one).__name__)
def test_whole_numbers_of_any_kind_are_taken_in_their_order(given):
    found = check_indices(given, SIZE, "deny")
    assert found.dtype == np.int64
    assert found.tolist() == [4, 1]


@pytest.mark.parametrize(
    "given", [{4, 1}, range(1, 5, 3), (at for at in (1, 4)), MASK, MASK.tolist(), torch.tensor(MASK)]
)
def test_sets_ranges_and_masks_are_what_they_say(given):
    assert sorted(check_indices(given, SIZE, "deny").tolist()) == [1, 4]


def test_nothing_is_nothing():
    assert check_indices([], SIZE, "deny").tolist() == []
    assert check_indices(np.array([]), SIZE, "deny").tolist() == []
    assert check_indices(np.zeros(SIZE, bool), SIZE, "deny").tolist() == []
    assert check_indices(np.array([3, 2], dtype=object), SIZE, "deny").tolist() == [3, 2]


@pytest.mark.parametrize(("given", "message"), ODD, ids=str)
def test_everything_else_is_refused_with_the_argument_s_name(given, message):
    with pytest.raises(ShapeError, match=message) as error:
        check_indices(given, SIZE, "deny")
    assert str(error.value).startswith("deny: ")


@pytest.mark.parametrize("value", [True, 2.0, "3", None, 0, -1, np.bool_(True)])
def test_a_count_is_a_whole_number(value):
    with pytest.raises(ShapeError, match="k must be"):
        count_of(value, "k")
    assert count_of(np.int32(3), "k") == 3


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ([[0], [2.9]], "history 1: whole numbers were expected, met 2.9"),
        ([[0], ["2"]], "history 1: whole numbers were expected, met '2'"),
        ([[0], "2"], "history 1: several whole numbers"),
        ([np.array([2**32 + 5])], "history 0: item indices must be in"),
        ([[2**64]], "history 0: 18446744073709551616"),
        ([[5]], r"history 0: item indices must be in \[0, 5\), met 5"),
        ([np.array([True, False, True, False, True])], "not a mask, which has no order"),
        ([1, 2, 3], "history 0: several whole numbers"),
        ([[[1, 2]]], "history 0: one dimension"),
        ([[0, 1], [0, None]], "history 1: whole numbers"),
    ],
    ids=str,
)
def test_histories_are_lists_of_item_indices(lists, message):
    with pytest.raises(ShapeError, match=message):
        Histories.from_lists(lists, 5)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("times", np.array([1.5, 2.5]), "times must be int64, one for each of the 2 events, not float64"),
        ("times", np.array([1]), "times must be int64, one for each of the 2 events"),
        ("times", [1, 2], "times must be a NumPy array, not list"),
        ("items", [0, 1], "items must be a NumPy array, not list"),
        ("items", np.array([[0, 1]], np.int32), "items must be one-dimensional"),
        ("items", np.array([0, 1]), "items must be int32"),
        ("n_items", -1, "n_items must be at least 0"),
        ("n_items", 5.0, "n_items must be a whole number"),
        ("n_items", 1, "met 0 to 1"),
    ],
)
def test_the_arrays_of_histories_are_checked(name, value, message):
    histories = Histories(items=np.array([0, 1], np.int32), offsets=np.array([0, 2]), n_items=5)
    object.__setattr__(histories, name, value)  # past the type checker of the test run, which callers do not have
    with pytest.raises(ShapeError, match=message):
        histories.__post_init__()


def test_users_are_chosen_by_index_or_by_mask():
    histories = Histories.from_lists([[0], [1, 2], [], [3]], 5)
    assert histories.select(np.array([False, True, False, True])).items.tolist() == [1, 2, 3]
    assert histories.select([3, 1]).items.tolist() == [3, 1, 2]
    for chosen in ([4], [-1], [1.0], [True, False]):
        with pytest.raises(ShapeError, match="users: "):
            histories.select(chosen)
    for ask in (
        lambda: histories.of(-1),
        lambda: histories.of(4),
        lambda: histories.rows(-1, 2),
        lambda: histories.rows(5, 6),
    ):
        with pytest.raises(ShapeError, match="histories of 4 users"):
            ask()
    with pytest.raises(ShapeError, match="a mask with an entry for each of the 4 events"):
        histories.where(np.array([1, 0, 1, 0], dtype=bool)[:3])
    with pytest.raises(ShapeError, match="met 4294967301"):
        histories.reindex(np.array([0, 1, 2, 3, 2**32 + 5]), 5)
    with pytest.raises(ShapeError, match="an index for each of the 5 items"):
        histories.reindex(np.array([0, 1]), 5)


def test_examples_are_chosen_in_the_same_way():
    rows = Examples(torch.arange(8).view(4, 2))
    assert rows.select(np.array([True, False, False, True])).values.tolist() == [[0, 1], [6, 7]]
    assert rows.select([2, 0]).values.tolist() == [[4, 5], [0, 1]]
    for chosen in ([4], [-1], [0.5], ["0"]):
        with pytest.raises(ShapeError, match="examples: "):
            rows.select(chosen)


def test_ids_are_text_and_a_list_of_them():
    catalog = Catalog.from_ids(["7", "8", "film"])
    assert catalog.indices(["film", "7"]) == [2, 0]
    assert catalog.known(["8", "9"]) == [1]
    with pytest.raises(UnknownItemError, match="ids must be text: '7', not 7"):
        catalog.indices([7])
    for ask in (catalog.indices, catalog.known):
        with pytest.raises(UnknownItemError, match="a list of ids was expected, not 'film'"):
            ask("film")
    with pytest.raises(UnknownItemError, match="a title must be text"):
        catalog.find_title(7)
    with pytest.raises(DataError, match="2 counts for 3 items"):
        Catalog.from_ids(["a", "b", "c"], np.array([1, 2]))
    numbered = Catalog(pl.DataFrame({"item": [10, 20], "count": [1, 1]}))
    assert numbered.indices(["20"]) == [1]
    with pytest.raises(DataError, match="an item without an id"):
        Catalog(pl.DataFrame({"item": ["a", None], "count": [1, 1]}))
