"""Given splits whose files write ids in different ways are pointed out before training."""

import pytest

from foldin.data import Source
from tests.conftest import write_csv

HISTORIES = [[(user, (3 * user + step) % 25) for step in range(6)] for user in range(20)]


def split(tmp_path, **change):
    """The warnings of a split into train, valid and test, after `change` of the rows of some files."""
    parts = {
        "train": [row for rows in HISTORIES for row in rows[:-2]],
        "valid": [rows[-2] for rows in HISTORIES],
        "test": [rows[-1] for rows in HISTORIES],
    }
    for name, rows in parts.items():
        write_csv(
            tmp_path / f"{name}.csv", [change.get(name, lambda u, i: (u, i))(*row) for row in rows], ("user", "item")
        )
    return Source(path=str(tmp_path)).split()


def texts(found) -> list[tuple[int, str]]:
    return [(note.count, note.text) for note in found.report.warnings]


def test_files_that_meet_are_not_mentioned(tmp_path):
    assert texts(split(tmp_path)) == []


def test_zeros_in_front_are_named_with_files_counts_and_an_example(tmp_path):
    found = texts(split(tmp_path, test=lambda u, i: (f"{u:03d}", i)))
    assert found == [
        (
            20,
            "of the 20 users of test.csv are not in train.csv, where '000' is written '0': write ids alike in all files",
        )
    ]


def test_half_that_are_written_otherwise_are_named_too(tmp_path):
    found = texts(split(tmp_path, test=lambda u, i: (f"{u:02d}", i)))
    assert found == [
        (
            10,
            "of the 20 users of test.csv are not in train.csv, where '00' is written '0': write ids alike in all files",
        )
    ]


def test_a_point_behind_a_number_is_no_other_id(tmp_path):
    found = split(tmp_path, test=lambda u, i: (f"{u}.0", f"{i}.0"))
    assert texts(found) == []
    assert len(found.test) == 20
    assert found.test.fold_in.lengths.min() == 4


def test_items_that_do_not_meet_are_named(tmp_path):
    ((count, text),) = texts(split(tmp_path, valid=lambda u, i: (u, f"item-{i}")))
    assert text.startswith(f"of the {count} items of valid.csv are not in train.csv ('item-0' is not; train.csv has 25")


def test_some_newcomers_are_usual_and_many_are_not(tmp_path):
    assert texts(split(tmp_path, test=lambda u, i: (u if u > 3 else u + 100, i))) == []
    ((count, text),) = texts(split(tmp_path, test=lambda u, i: (u if u > 12 else u + 100, i)))
    assert count == 13
    assert "('100' is not" in text


@pytest.mark.parametrize("change", [lambda u, i: (f"0{u}", i), lambda u, i: (u, f"0{i}")])
def test_the_layout_of_liang_is_checked_too(change, tmp_path):
    parts = {
        "train": [row for rows in HISTORIES[:10] for row in rows],
        "validation_tr": [row for rows in HISTORIES[10:15] for row in rows[:4]],
        "validation_te": [row for rows in HISTORIES[10:15] for row in rows[4:]],
        "test_tr": [row for rows in HISTORIES[15:] for row in rows[:4]],
        "test_te": [change(*row) for rows in HISTORIES[15:] for row in rows[4:]],
    }
    for name, rows in parts.items():
        write_csv(tmp_path / f"{name}.csv", rows, ("uid", "sid"))
    warnings = texts(Source(path=str(tmp_path)).split())
    assert any("test_te.csv are not in" in text and "write ids alike" in text for _, text in warnings)
