"""Delimited text (CSV, TSV, `;`, `|`, RecBole `.inter`, MovieLens `::`) → a lazy table of text columns.

The separator, the quoting and the header are guessed on the first lines and verified on the whole file, so that a row
with another number of fields is an error that names the row.
"""

import csv
import re
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import polars as pl

from foldin.data.log.fields import Fault, find_fault
from foldin.data.log.scan import Scan, remark
from foldin.errors import FormatError

__all__ = ["consistent_separators", "head_lines", "scan_delimited", "scan_movielens"]

_SEPARATORS = "\t,;|"
_SPOKEN = {"\t": "tabs", ",": "commas", ";": "semicolons", "|": "vertical bars"}
_POSITIONAL = ("user", "item", "rating", "timestamp")
_VALUE = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?|\d{4}-\d\d?-\d\d?([T ].*)?|\d\d?[./]\d\d?[./]\d{4}.*")
_SAMPLE = 1_000


def _split(lines: Sequence[str], separator: str, *, quoted: bool) -> list[list[str]]:
    """The fields of each line; raises csv.Error if quotes are wrong."""
    if not quoted:
        return [line.split(separator) for line in lines]
    return [row for row in csv.reader(lines, delimiter=separator, strict=True) if row]


def _even(lines: Sequence[str], separator: str, *, quoted: bool) -> int:
    """Number of fields of every line; 0 if it differs between lines, or if quotes are wrong."""
    try:
        widths = {len(row) for row in _split(lines, separator, quoted=quoted)}
    except csv.Error:
        return 0
    return widths.pop() if len(widths) == 1 else 0


def consistent_separators(lines: Sequence[str]) -> dict[str, int]:
    """Separator → fields per line, for separators that split every line into the same number of fields, two or more."""
    found = {one: max(_even(lines, one, quoted=True), _even(lines, one, quoted=False)) for one in _SEPARATORS}
    return {one: width for one, width in found.items() if width > 1}


def _separator(lines: Sequence[str]) -> tuple[str, bool]:
    """(separator, whether another one fits nearly as well)."""
    fit = consistent_separators(lines)
    ranked = sorted(fit, key=lambda one: (-fit[one], -lines[0].count(one)))
    if not ranked:
        return max(_SEPARATORS, key=lines[0].count), False
    return ranked[0], len(ranked) > 1


def _quoted(lines: Sequence[str], separator: str) -> tuple[bool, str | None]:
    """(whether double quotes wrap fields, text of the note)."""
    if not any('"' in line for line in lines):
        return separator != "\t", None
    aware, blind = _even(lines, separator, quoted=True), _even(lines, separator, quoted=False)
    if separator != "\t" and (aware or not blind):
        return True, None
    if not aware:
        return False, "file whose double quotes are part of the text" if blind else None
    if not blind:
        return True, None
    columns = list(zip(*_split(lines, separator, quoted=False), strict=True))
    wrapped = [[len(one) > 1 and one[0] == one[-1] == '"' for one in column[1:] or column] for column in columns]
    doubled = any('""' in one[1:-1] for column in columns for one in column if one[:1] == '"')
    if doubled or any(all(column) for column in wrapped):
        return True, "file whose double quotes wrap fields"
    return False, "file whose double quotes are part of the text (they wrap only some fields of a column)"


def _has_header(rows: list[list[str]]) -> bool:
    """Whether the first row is a header: it has no number and no time, and none of its words occurs again below."""
    first, rest = rows[0], rows[1:]
    if any(_VALUE.fullmatch(field.strip()) for field in first):
        return False
    return not any(field and any(row[at] == field for row in rest) for at, field in enumerate(first[:2]))


def _wraps(path: Path, separator: str) -> bool:
    """Whether any field begins with a double quote."""
    with path.open("rb") as file:
        return any(line.startswith(b'"') or f'{separator}"'.encode() in line for line in file)


def _refuse(path: Path, fault: Fault, fields: int, what: str) -> FormatError:
    if fault.fields is None:
        why = "a double quote is inside a field, or is never closed"
    else:
        why = f"{fields} fields were expected, as in {what}, met {fault.fields}"
        why += " (the file may be cut short)" if fault.cut else ""
    return FormatError(f"{path}: {fault.where()}: {why}: {fault.text!r}")


def head_lines(path: Path, count: int = _SAMPLE) -> list[str]:
    """The first lines that are not blank, without their ends."""
    with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
        return list(islice((line.rstrip("\r\n") for line in file if line.strip()), count))


def scan_delimited(path: Path, fmt: str, source: Path) -> Scan:
    """The table of a CSV, TSV or `.inter` file in UTF-8, every column as text.

    Raises:
        FormatError: the file has one column only, or a row has another number of fields; the message gives the row.
    """
    lines = head_lines(path)
    notes = []
    separator, doubtful = ("\t", False) if fmt in ("tsv", "inter") and "\t" in lines[0] else _separator(lines[:50])
    quoted, note = (False, None) if fmt == "inter" else _quoted(lines[:50], separator)
    first = _split(lines[:1], separator, quoted=False)[0]
    if quoted:
        first = next(iter(csv.reader(lines[:1], delimiter=separator)))
    if len(first) < 2:
        raise FormatError(f"{source}: the first line has one column only: {lines[0][:60]!r}; give --format NAME")
    if separator in ";|" or doubtful:
        notes.append(remark(f"file with {_SPOKEN[separator]} between its fields"))
    rows = list(csv.reader(lines, delimiter=separator)) if quoted else _split(lines, separator, quoted=False)
    header = fmt == "inter" or _has_header([row for row in rows if len(row) == len(first)])
    names = first
    if not header:
        names = [f"column_{at}" for at in range(1, len(first) + 1)]
        notes.append(remark("file without a header, since its first line contains values; its columns are numbered"))
    fault = find_fault(path, separator, len(names), quoted=quoted, header=header)
    if fault is not None and quoted and not _wraps(path, separator):
        quoted, fault = False, find_fault(path, separator, len(names), quoted=False, header=header)
        note = "file whose double quotes are part of the text (no field begins with one)"
    if fault is not None:
        raise _refuse(source, fault, len(names), "the header" if header else "the first row")
    if note is not None:
        notes.append(remark(note))
    table = pl.scan_csv(
        path,
        separator=separator,
        has_header=header,
        new_columns=None if header else names,
        infer_schema=False,
        quote_char='"' if quoted else None,
        glob=False,
    )
    return Scan(table=table, notes=tuple(notes))


def scan_movielens(path: Path, source: Path) -> Scan:
    """The table of a file with fields separated by `::`, every column as text.

    Raises:
        FormatError: a line has another number of fields; the message gives the line.
    """
    first = head_lines(path, 1)[0]
    fields = len(first.split("::"))
    if fields < 2:
        raise FormatError(f"{source}: 'user::item::rating::timestamp' was expected, met {first[:60]!r}")
    names = [*_POSITIONAL, *(f"column_{at}" for at in range(5, fields + 1))][:fields]
    # Split at ":" each "::" leaves an empty column between two full ones.
    if (
        first.count(":") == 2 * (fields - 1)
        and find_fault(path, ":", 2 * fields - 1, quoted=False, header=False) is None
    ):
        halves = pl.scan_csv(path, separator=":", has_header=False, infer_schema=False, quote_char=None, glob=False)
        olds = halves.collect_schema().names()
        if halves.select(pl.any_horizontal(pl.col(olds[1::2]).is_not_null()).any()).collect().item() is not True:
            return Scan(table=halves.select(pl.col(old).alias(new) for old, new in zip(olds[::2], names, strict=True)))
    with path.open(encoding="utf-8") as file:
        for at, line in enumerate(file, start=1):
            if line.strip() and line.count("::") != fields - 1:
                raise FormatError(
                    f"{source}: line {at:,}: {fields} fields separated by '::' were expected, as in the first line, not "
                    f"{line.count('::') + 1}: {line.strip()[:60]!r}"
                )
    text = pl.scan_csv(
        path, separator="\x1f", has_header=False, new_columns=["line"], infer_schema=False, quote_char=None, glob=False
    )
    parts = text.filter(pl.col("line").str.strip_chars() != "").select(
        pl.col("line").str.strip_suffix("\r").str.split_exact("::", fields - 1).alias("line")
    )
    return Scan(
        table=parts.select(pl.col("line").struct.field(f"field_{at}").alias(name) for at, name in enumerate(names))
    )
