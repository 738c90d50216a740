"""Words with blanks between: ratings and times never become items, and what fits two readings is refused."""

import numpy as np
import pytest

from foldin.data import read_log
from foldin.errors import FormatError

RNG = np.random.default_rng(0)
EVENTS = [
    (u, int(i), int(RNG.integers(1, 6)), 1_600_000_000 + 60 * u + k)
    for u in range(40)
    for k, i in enumerate(RNG.choice(30, 8, False))
]


def read(tmp_path, lines, name="r.txt", **options):
    (tmp_path / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return read_log(tmp_path / name, **options)


TABLES = {
    "rating": ([f"{u} {i} {r}" for u, i, r, _ in EVENTS], {"user", "item", "rating"}),
    "half stars": ([f"{u} {i} {r / 2}" for u, i, r, _ in EVENTS], {"user", "item", "rating"}),
    "wide blanks": ([f"{u}   {i}  {r} " for u, i, r, _ in EVENTS], {"user", "item", "rating"}),
    "time": ([f"{u} {i} {t}" for u, i, _, t in EVENTS], {"user", "item", "time"}),
    "milliseconds": ([f"{u} {i} {t}123" for u, i, _, t in EVENTS], {"user", "item", "time"}),
    "rating time": ([f"{u} {i} {r} {t}" for u, i, r, t in EVENTS], {"user", "item", "rating", "time"}),
    "time rating": ([f"{u} {i} {t} {r}" for u, i, r, t in EVENTS], {"user", "item", "rating", "time"}),
    "date and clock": (
        [f"{u} {i} 2020-01-{1 + r:02d} 10:00:{r:02d}" for u, i, r, _ in EVENTS],
        {"user", "item", "time"},
    ),
    "header": (["user item rating", *(f"{u} {i} {r}" for u, i, r, _ in EVENTS)], {"user", "item", "rating"}),
    "pairs": ([f"{u} {i}" for u, i, _, _ in EVENTS], {"user", "item"}),
    "pairs with header": (["user_id item_id", *(f"{u} {i}" for u, i, _, _ in EVENTS)], {"user", "item"}),
}


@pytest.mark.parametrize("name", ["r.txt", "r.csv"])
@pytest.mark.parametrize("kind", TABLES)
def test_tables_with_blanks_between(kind, name, tmp_path):
    lines, roles = TABLES[kind]
    log = read(tmp_path, lines, name=name)
    assert set(log.report.columns) == roles
    assert log.items["item"].to_list() == [str(k) for k in range(30)]
    assert log.report.rows == len(EVENTS)
    assert any("file read as" in note.text for note in log.report.notes)


@pytest.mark.parametrize("length", [2, 3, 4, 6])
def test_sequences_of_one_length_stay_sequences(length, tmp_path):
    lines = [f"{k} " + " ".join(str(1000 + (k * j) % 83) for j in range(1, length + 1)) for k in range(1, 200)]
    log = read(tmp_path, lines)
    assert (log.report.format, log.report.rows) == ("sequences", 199 * length)


def test_large_ids_are_no_times(tmp_path):
    log = read(tmp_path, [f"{k} {500_000_000 + k % 37} {500_000_000 + k * 7 % 41}" for k in range(200)])
    assert log.report.format == "sequences"


@pytest.mark.parametrize("other", ["sequences", "blanks"])
def test_what_fits_two_readings_is_refused_with_the_option(other, tmp_path):
    lines = [f"{k} {k % 17} {k * 7 % 19}" for k in range(200)]
    with pytest.raises(
        FormatError, match=r"a table of user, item, rating \(--format blanks\) or .* \(--format sequences\)"
    ):
        read(tmp_path, lines)
    assert read(tmp_path, lines, format=other).report.rows == (400 if other == "sequences" else 200)


def test_a_word_that_is_no_rating_is_not_guessed(tmp_path):
    with pytest.raises(FormatError, match=r"--format blanks.*--format sequences"):
        read(tmp_path, [f"{u} {i} kind{r}" for u, i, r, _ in EVENTS])


@pytest.mark.parametrize("odd", ["7 8 3 x", "7 8"])
def test_an_odd_line_is_named(odd, tmp_path):
    lines = [f"{u} {i} {r}" for u, i, r, _ in EVENTS]
    with pytest.raises(FormatError, match="line 51: 3 fields separated by blanks were expected"):
        read(tmp_path, [*lines[:50], odd, *lines[50:]])


def test_one_word_a_line_is_no_log(tmp_path):
    with pytest.raises(FormatError, match="each line is one word"):
        read(tmp_path, ["a", "b"])
