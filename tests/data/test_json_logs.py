"""JSON of every usual shape is read as records; what is broken is named by its line."""

import json

import pytest

from foldin.data import read_log
from foldin.errors import FoldinError, FormatError

RECORDS = [{"user": f"u{k % 7}", "item": k % 11, "timestamp": 1_600_000_000 + k} for k in range(60)]
LINES = "".join(json.dumps(record) + "\n" for record in RECORDS)


def read(tmp_path, text, name="a.ndjson", **options):
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_log(tmp_path / name, **options)


SHAPES = {
    "one line": json.dumps(RECORDS),
    "pretty": json.dumps(RECORDS, indent=2),
    "wrapped": json.dumps({"count": 60, "data": RECORDS}),
    "wrapped twice": json.dumps({"result": {"page": 1, "rows": RECORDS}}, indent=1),
    "columns": json.dumps({key: [record[key] for record in RECORDS] for key in RECORDS[0]}),
    "one after the other": "\n".join(json.dumps(record, indent=1) for record in RECORDS),
    "lines": LINES,
    "blank lines": LINES.replace("\n", "\n\n \n"),
    "a mark": b"\xef\xbb\xbf" + LINES.encode(),
}


@pytest.mark.parametrize("name", ["a.json", "a.ndjson", "a.txt"])
@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_is_read_as_records(shape, name, tmp_path):
    log = read(tmp_path, SHAPES[shape], name=name)
    assert (log.report.rows, len(log.histories), log.items.height) == (60, 7, 11)
    assert set(log.report.columns) == {"user", "item", "time"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("".join([*LINES.splitlines(True)[:40], '{"user": 1}x\n', LINES]), "line 41 is no JSON object: Extra data"),
        (LINES[:-20], r"line 60 is no JSON object: .*\(the file may be cut short\)"),
        (LINES + "hello\n" + LINES, "line 61 is no JSON object"),
        (LINES + "12\n", "line 61 is a number, not a JSON object"),
        (LINES + '{"user": 01, "item": 2}\n', "line 61 is no JSON object"),
        ("[1, 2]\n[3, 4]\n", "line 1 is an array, not a JSON object"),
        ("[1, 2]", "record 1 of the JSON array is a number"),
        (json.dumps([*RECORDS, "x"]), "record 61 of the JSON array is text"),
        (json.dumps(RECORDS, indent=1)[:-40], r"line 29\d, .*\(the file may be cut short\)"),
        (json.dumps({"a": RECORDS, "b": RECORDS}), r"several arrays of objects \('a', 'b'\)"),
        (json.dumps({"a": {"b": 1}}, indent=1), "a JSON object without an array of objects"),
        ("[]", "the JSON array is empty"),
        (LINES + '{"user": "a", "item": 2}\n{"user": "b", "item": true}\n', r"record 62: 'item' is true or false"),
    ],
)
def test_what_is_broken_is_named(text, message, tmp_path):
    with pytest.raises(FormatError, match=message):
        read(tmp_path, text)


def test_a_key_that_comes_late_is_a_column(tmp_path):
    late = "".join(
        json.dumps({"user": k % 700, "item": k % 31} | ({"rating": 3, "timestamp": 10**9 + k} if k > 10_400 else {}))
        + "\n"
        for k in range(10_800)
    )
    assert set(read(tmp_path, late).report.columns) == {"user", "item", "rating", "time"}


@pytest.mark.parametrize(("value", "kept"), [(4.5, 400), ("4.5", 400), (None, 0)])
def test_a_type_that_comes_late_is_read(value, kept, tmp_path):
    late = "".join(
        json.dumps({"user": k, "item": k % 31, "rating": 4 if k < 10_400 else value}) + "\n" for k in range(10_800)
    )
    if kept:
        assert read(tmp_path, late, min_rating=4.4).report.kept == kept
    else:
        assert read(tmp_path, late, min_rating=4).report.kept == 10_400


@pytest.mark.parametrize("base", [2**63, 2**64 + 5, 10**19, 10**50, 10**1500])
def test_whole_numbers_of_any_length_are_ids(base, tmp_path):
    digits = [str(base)[:-3] + f"{k:03d}" for k in range(8)]  # Python does not print more digits than 4300
    log = read(tmp_path, "".join(f'{{"user": {one}, "item": {k}}}\n' for k, one in enumerate(digits)))
    assert set(log.users) == set(digits)
    log = read(tmp_path, "[" + ",".join(f'{{"user": {k}, "item": {one}}}' for k, one in enumerate(digits)) + "]")
    assert set(log.items["item"]) == set(digits)


def test_ids_of_two_kinds_keep_their_spelling(tmp_path):
    log = read(
        tmp_path,
        LINES
        + '{"user": 12, "item": "x", "timestamp": 1700000000}\n{"user": "12", "item": 3, "timestamp": 1700000000}\n',
    )
    assert log.users.to_list().count("12") == 1
    assert "x" in log.items["item"].to_list()


def test_missing_and_nested_values(tmp_path):
    log = read(tmp_path, LINES + '{"user": NaN, "item": 3, "timestamp": 1600000000}\n')
    assert (log.report.rows, log.report.kept) == (61, 60)
    odd = [record | {"tags": [k] if k % 2 else {"a": k}, "none": None} for k, record in enumerate(RECORDS)]
    nested = "".join(json.dumps(record) + "\n" for record in odd)
    assert read(tmp_path, nested).report.kept == 60
    with pytest.raises(FoldinError, match="ids must be whole numbers or text"):
        read(tmp_path, '{"user": {"id": 1}, "item": 2}\n')
