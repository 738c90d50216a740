"""One log written in every format reads back as the same histories."""

import gzip
import json
from pathlib import Path

import polars as pl
import pytest

from foldin.data import EventLog, read_log
from foldin.errors import DataError, FormatError

EVENTS = [
    ("ann", "x", 5.0, 300),
    ("bob", "y", 3.0, 100),
    ("ann", "z", 4.0, 200),
    ("bob", "x", 1.0, 400),
    ("eve", "ü", 2.0, 500),
]
BASE = 1_000_000_000
ORDERED = {"ann": ["z", "x"], "bob": ["y", "x"], "eve": ["ü"]}


def by_user(log: EventLog) -> dict[str, list[str]]:
    ids = log.items["item"].to_list()
    return {user: [ids[i] for i in log.histories.of(at)] for at, user in enumerate(log.users.to_list())}


def frame() -> pl.DataFrame:
    rows = [(u, i, r, t + BASE) for u, i, r, t in EVENTS]
    return pl.DataFrame(rows, schema=["user_id", "item_id", "rating", "timestamp"], orient="row")


def write(folder: Path, kind: str) -> Path:
    text = [(u, i, str(r), str(t + BASE)) for u, i, r, t in EVENTS]
    if kind == "parquet":
        frame().write_parquet(folder / "log.parquet")
        return folder / "log.parquet"
    if kind == "parquet folder":
        parts = folder / "parts"
        parts.mkdir()
        frame()[:2].write_parquet(parts / "a.parquet")
        frame()[2:].write_parquet(parts / "b.parquet")
        return parts
    if kind == "csv":
        frame().write_csv(folder / "log.csv")
        return folder / "log.csv"
    if kind == "csv.gz":
        (folder / "log.csv.gz").write_bytes(gzip.compress(frame().write_csv().encode(), mtime=0))
        return folder / "log.csv.gz"
    if kind == "tsv":
        frame().write_csv(folder / "log.tsv", separator="\t")
        return folder / "log.tsv"
    if kind == "latin-1 csv":
        (folder / "log.csv").write_bytes(frame().write_csv().encode("latin-1"))
        return folder / "log.csv"
    if kind == "ndjson":
        frame().write_ndjson(folder / "log.ndjson")
        return folder / "log.ndjson"
    if kind == "inter":
        lines = ["user_id:token\titem_id:token\trating:float\ttimestamp:float", *("\t".join(row) for row in text)]
        (folder / "log.inter").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return folder / "log.inter"
    if kind == "movielens":
        (folder / "ratings.dat").write_bytes("\n".join("::".join(row) for row in text).encode("latin-1"))
        return folder / "ratings.dat"
    if kind == "pairs":
        chronological = sorted(EVENTS, key=lambda e: e[3])
        (folder / "log.txt").write_text("".join(f"{u} {i}\n" for u, i, _, _ in chronological), encoding="utf-8")
        return folder / "log.txt"
    lines = [" ".join((user, *items)) for user, items in ORDERED.items()]
    (folder / "log.txt").write_text("\n".join(lines), encoding="utf-8")
    return folder / "log.txt"


KINDS = [
    "parquet",
    "parquet folder",
    "csv",
    "csv.gz",
    "tsv",
    "latin-1 csv",
    "ndjson",
    "inter",
    "movielens",
    "pairs",
    "sequences",
]


@pytest.mark.parametrize("kind", KINDS)
def test_every_format_reads_the_same_log(kind, tmp_path):
    log = read_log(write(tmp_path, kind))
    assert by_user(log) == ORDERED
    assert log.report.rows == log.report.kept == 5


@pytest.mark.parametrize("kind", KINDS)
def test_a_path_is_not_a_pattern(kind, tmp_path, monkeypatch):
    (tmp_path / "logs [1]").mkdir()
    found = write(tmp_path / "logs [1]", kind)
    assert by_user(read_log(found)) == ORDERED
    # What the path names as a pattern is another log.
    (tmp_path / "logs 1").mkdir()
    monkeypatch.setattr("tests.data.test_formats.EVENTS", [(f"no {u}", i, r, t) for u, i, r, t in EVENTS[:3]])
    monkeypatch.setattr("tests.data.test_formats.ORDERED", {"nobody": ["x"]})
    assert write(tmp_path / "logs 1", kind).name == found.name
    assert by_user(read_log(found)) == {"ann": ["z", "x"], "bob": ["y", "x"], "eve": ["ü"]}


@pytest.mark.parametrize("kind", [k for k in KINDS if k not in ("pairs", "sequences")])
def test_a_minimum_rating_is_applied_and_counted(kind, tmp_path):
    log = read_log(write(tmp_path, kind), min_rating=3)
    assert by_user(log) == {"ann": ["z", "x"], "bob": ["y"]}
    assert [(note.count, note.text) for note in log.report.notes if note.dropped] == [(2, "rating below 3")]


def test_ids_keep_their_spelling_and_order_by_value(tmp_path):
    (tmp_path / "a.csv").write_text("user,item\n7,10\n10,9\n7,007\n")
    assert read_log(tmp_path / "a.csv").items["item"].to_list() == ["007", "10", "9"]
    (tmp_path / "b.csv").write_text("user,item\n7,10\n10,9\n")
    assert read_log(tmp_path / "b.csv").users.to_list() == ["7", "10"]


def test_a_movielens_folder_brings_titles_and_genres(tmp_path):
    (tmp_path / "ratings.dat").write_bytes(b"1::10::5::978300760\n1::11::4::978300761\n")
    (tmp_path / "movies.dat").write_bytes("10::Amélie: a film (2001)::Comedy|Romance\n".encode("latin-1"))
    log = read_log(tmp_path)
    assert log.items.rows() == [("10", "Amélie: a film (2001)", "Comedy|Romance"), ("11", None, None)]


def test_movielens_100k_files(tmp_path):
    (tmp_path / "u.data").write_text("196\t242\t3\t881250949\n186\t302\t3\t891717742\n")
    row = [
        "242",
        "Kolya (1996)",
        "24-Jan-1997",
        "",
        "http://us.imdb.com/M/title-exact?Kolya",
        *(["0"] * 5),
        "1",
        *(["0"] * 13),
    ]
    (tmp_path / "u.item").write_text("|".join(row) + "\n")
    log = read_log(tmp_path)
    assert log.items.rows() == [("242", "Kolya (1996)", "Comedy"), ("302", None, None)]
    assert log.histories.times.tolist() == [891717742, 881250949]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "the file is empty"),
        ("a.csv", b"PAR1xxxx", "named .csv but it is a Parquet file"),
        ("a.parquet", b"user,item\n1,2\n", "named .parquet but it does not begin like a Parquet file"),
        ("a.parquet", b"PAR1" + b"x" * 40, "cannot be read as parquet"),
        ("a.csv.gz", b"user,item\n1,2\n", "named .gz but it is not a gzip file"),
        ("a.csv.gz", gzip.compress(b"user,item\n" + b"1,2\n" * 5000, mtime=0)[:40], "gzip file is cut short"),
        ("a.csv", b"user,item\n1,\x002\n", "binary data"),
        ("a.ndjson", b"user,item\n1,2\n", "first line is not a JSON object"),
        ("a.ndjson", b'{"user": 1, "item": 2}\n{"user": 1,', "cannot be read as ndjson"),
        ("a.csv", b"  \n \n", "only white space"),
        ("a.csv", b"word\nword\n", "one column only"),
    ],
)
def test_a_file_that_is_not_what_it_says_is_refused_by_name(name, content, message, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FormatError, match=message) as caught:
        read_log(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)


def test_a_damaged_gzip_is_refused(tmp_path):
    packed = bytearray(gzip.compress(json.dumps({"user": 1, "item": 2}).encode() * 2000, mtime=0))
    packed[30] ^= 0xFF
    (tmp_path / "a.ndjson.gz").write_bytes(bytes(packed))
    with pytest.raises(FormatError, match=r"gzip file is (damaged|cut short)"):
        read_log(tmp_path / "a.ndjson.gz")


def test_a_missing_file_and_an_empty_folder(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_log(tmp_path / "none.csv")
    with pytest.raises(DataError, match="no log in this folder"):
        read_log(tmp_path)
    with pytest.raises(DataError, match="--format 'xml' is not one of"):
        read_log(write(tmp_path, "csv"), format="xml")


def test_longer_lines_after_pairs_are_refused_not_cut(tmp_path):
    (tmp_path / "a.txt").write_text("u a\n" * 60 + "v a b c d\n")
    with pytest.raises(FormatError, match="'user item' was expected on every line, not 'v a b c d'"):
        read_log(tmp_path / "a.txt")


def test_a_first_line_of_any_length_is_a_sequence(tmp_path):
    (tmp_path / "a.txt").write_text("u " + " ".join(f"item-{k}" for k in range(20_000)) + "\nv item-1\n")
    assert read_log(tmp_path / "a.txt").report.rows == 20_001


def test_titles_stand_inside_a_folder_of_parts(tmp_path):
    parts = write(tmp_path, "parquet folder")
    (tmp_path / "items.csv").write_text("item,title\nx,wrong\n")
    (parts / "items.csv").write_text("item,title\nx,right\n")
    assert "right" in read_log(parts).items["title"].to_list()
