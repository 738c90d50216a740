"""Separators, quotes and headers are verified on the whole file; a row that differs is named."""

import gzip

import numpy as np
import pytest

from foldin.data import read_log
from foldin.data.log.fields import find_fault
from foldin.errors import EmptyLogError, FormatError

HEADER = "user,item,timestamp\n"
ROWS = [f"u{k % 7},i{k % 11},{1_600_000_000 + k}\n" for k in range(100)]
WHOLE = HEADER + "".join(ROWS)


def read(tmp_path, text, name="a.csv", **options):
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_log(tmp_path / name, **options)


def notes(log):
    return " | ".join(note.text for note in log.report.notes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            HEADER + "".join(ROWS[:50]) + "a,b,1600000000,x\n" + "".join(ROWS[50:]),
            r"row 51 \(line 52\): 3 fields .* met 4",
        ),
        (HEADER + "".join(ROWS[:50]) + "a,b\n" + "".join(ROWS[50:]), r"row 51 \(line 52\): 3 fields .* met 2"),
        (WHOLE[:-12], r"row 100 \(line 101\): .* met 2 \(the file may be cut short\)"),
        (WHOLE.replace("\n", "\r\n") + "a,b\r\n", r"row 101 \(line 102\)"),
        (WHOLE + '"a\nb",c,1600000000\nd,e\n', r"row 102 \(line 104\)"),
        (WHOLE + 'a,"b,1600000000\nc,d,1600000000\n', r"row 101 \(line 102\): a double quote"),
        (WHOLE + 'a,"b"c,1600000000\n', r"row 101 \(line 102\): a double quote"),
        ("user,item\n0,u,i\n1,u,j\n", r"row 1 \(line 2\): 2 fields were expected, as in the header, met 3"),
        ("<!DOCTYPE html>\n<html>", "is a web page"),
        (b"PK\x03\x04rest", "is a ZIP archive"),
    ],
)
def test_a_row_that_differs_is_named(text, message, tmp_path):
    with pytest.raises(FormatError, match=message):
        read(tmp_path, text)


def test_a_gzip_file_that_is_cut_names_the_line(tmp_path):
    rng = np.random.default_rng(0)
    text = HEADER + "".join(f"{rng.integers(10**9)},{rng.integers(10**9)},1600000000\n" for _ in range(20_000))
    with pytest.raises(FormatError, match=r"cut short after line [1-9][\d,]+"):
        read(tmp_path, gzip.compress(text.encode())[:-100_000], name="a.csv.gz")


def test_blank_lines_are_no_rows_that_differ(tmp_path):
    log = read(tmp_path, "\n" + HEADER + "".join(ROWS[:50]) + "\n" + "".join(ROWS[50:]) + "\n\n")
    assert log.report.kept + sum(n.count for n in log.report.notes if n.dropped) == log.report.rows
    assert len(log.histories) == 7


@pytest.mark.parametrize("mark", [";", "|", "\t"])
@pytest.mark.parametrize("name", ["a.csv", "a.txt"])
def test_other_separators(mark, name, tmp_path):
    log = read(tmp_path, WHOLE.replace(",", mark), name=name)
    assert (log.report.rows, log.items.height) == (100, 11)


def test_a_decimal_comma_does_not_split_a_field(tmp_path):
    log = read(tmp_path, "".join(f"u{k % 5};i{k % 7};{k % 5},5;{1_600_000_000 + k}\n" for k in range(50)))
    assert set(log.report.columns) == {"user", "item", "rating", "time"}
    assert "semicolons" in notes(log)
    assert "without a header" in notes(log)


def test_quotes_around_the_fields_of_a_tsv_go(tmp_path):
    quoted = '"user"\t"item"\t"timestamp"\n' + "".join(
        f'"u{k % 7}"\t"i {k % 11}"\t{1_600_000_000 + k}\n' for k in range(40)
    )
    assert "i 3" in read(tmp_path, quoted, name="a.tsv").items["item"].to_list()
    minimal = "user\titem\n" + "".join(f'u{k}\t"a\t{k % 3}"\n' if k % 2 else f"u{k}\tb{k}\n" for k in range(40))
    assert "a\t1" in read(tmp_path, minimal, name="a.tsv").items["item"].to_list()


@pytest.mark.parametrize("item", ['"Heroes" live', '"Heroes"', '12" single'])
def test_quotes_within_text_stay(item, tmp_path):
    mark = "\t" if item != '12" single' else ","
    text = f"user{mark}item\n" + "".join(f"u{k}{mark}{item if k % 2 else f'x{k}'}\n" for k in range(40))
    log = read(tmp_path, text, name="a.tsv" if mark == "\t" else "a.csv")
    assert item in log.items["item"].to_list()
    assert "double quotes are part of the text" in notes(log)


def test_what_a_field_may_hold(tmp_path):
    log = read(tmp_path, WHOLE + 'z,"d,""x""",1600000000\nz,"two\nlines",1600000001\n')
    assert {'d,"x"', "two\nlines"} <= set(log.items["item"])


def test_no_header_and_no_events(tmp_path):
    log = read(tmp_path, "".join(f"ann{k % 3},x{k % 5}\n" for k in range(20)))
    assert (log.report.rows, len(log.histories)) == (20, 3)
    with pytest.raises(EmptyLogError, match="contains no events"):
        read(tmp_path, HEADER)


def test_movielens_lines_with_single_colons_and_a_line_cut(tmp_path):
    lines = [f"{k % 5}::film: {k % 7}::4::2020-01-01 10:00:{k:02d}\n" for k in range(60)]
    log = read(tmp_path, "".join(lines), name="ratings.dat")
    assert log.items["item"].to_list() == [f"film: {k}" for k in range(7)]
    with pytest.raises(
        FormatError, match="line 61: 4 fields separated by '::' were expected, as in the first line, not 3"
    ):
        read(tmp_path, "".join(lines) + "1::2::3\n", name="ratings.dat")


@pytest.mark.parametrize("quoted", [False, True])
def test_every_block_is_looked_at(quoted, tmp_path, monkeypatch):
    monkeypatch.setattr("foldin.data.log.fields._BLOCK", 64)
    field = '"a\n,b"' if quoted else "ab"
    good = [f"{field},{k},c\n" for k in range(50)]
    for at in (0, 1, 17, 49):
        lines = [*good[:at], f"{field},c\n", *good[at:]]
        (tmp_path / "a.csv").write_text("".join(lines), encoding="utf-8")
        fault = find_fault(tmp_path / "a.csv", ",", 3, quoted=quoted, header=False)
        assert fault is not None
        assert (fault.row, fault.fields) == (at + 1, 2)
        assert fault.line == (2 * (at + 1) if quoted else at + 1)
    (tmp_path / "a.csv").write_text("".join(good), encoding="utf-8")
    assert find_fault(tmp_path / "a.csv", ",", 3, quoted=quoted, header=False) is None
