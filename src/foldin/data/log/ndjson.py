"""Newline-delimited JSON → a lazy table.

Polars reads NDJSON fast once it knows every key and type, so the schema is taken from the whole file and not from its
first records. Files that its parser cannot read (NaN, integers of any length, a key whose type changes, invalid lines) are read
line by line; an invalid line is an error with its number.
"""

import glob
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from foldin.data.log.records import loads, to_table
from foldin.data.log.scan import Scan, remark
from foldin.errors import FormatError

__all__ = ["kind_of", "scan_ndjson"]

# On input that its parser does not expect, Polars panics instead of raising a PolarsError.
_FAILED = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)


def kind_of(value: Any) -> str:
    """The type of a JSON value as text."""
    names = {dict: "an object", list: "an array", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _broken(source: Path, line: int, error: json.JSONDecodeError, text: str, *, last: bool) -> FormatError:
    cut = " (the file may be cut short)" if last else ""
    why = f"{error.msg} at character {error.pos + 1}{cut}: {text[:60]!r}"
    return FormatError(f"{source}: cannot be read as ndjson: line {line:,} is no JSON object: {why}")


def _records(path: Path, source: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8", errors="replace") as file:
        for at, line in enumerate(file, start=1):
            text = line.strip()
            if not text:
                continue
            try:
                value = loads(text)
            except json.JSONDecodeError as error:
                raise _broken(source, at, error, text, last=not any(rest.strip() for rest in file)) from None
            except RecursionError:
                raise FormatError(f"{source}: cannot be read as ndjson: line {at:,} is nested too deeply") from None
            if not isinstance(value, dict):
                raise FormatError(
                    f"{source}: cannot be read as ndjson: line {at:,} is {kind_of(value)}, not a JSON object: {text[:60]!r}"
                )
            yield value


def scan_ndjson(path: Path, source: Path) -> Scan:
    """The table of an NDJSON file in UTF-8; whole numbers beyond 64 bits are text.

    Raises:
        FormatError: a line is not a JSON object; the message gives the line.
    """

    def blame() -> str | None:
        kinds: dict[str, str] = {}
        try:
            for at, record in enumerate(_records(path, source), start=1):
                for key, value in record.items():
                    kind = kind_of(value)
                    if value is None or kind not in ("true or false", "a number"):
                        continue
                    before = kinds.setdefault(key, kind)
                    if before != kind:
                        return f"record {at:,}: {key!r} is {kind}, before it was {before}; --format json reads both as text"
        except FormatError as error:
            return str(error).removeprefix(f"{source}: cannot be read as ndjson: ")
        return None

    exact = glob.escape(str(path))  # Polars takes a path for a pattern
    try:
        schema = pl.scan_ndjson(exact, infer_schema_length=None).collect_schema()
        empty = {name: pl.String() for name, kind in schema.items() if kind == pl.Null}
        table = pl.scan_ndjson(exact, schema={**schema, **empty})
        conflict = not schema
    except _FAILED:
        conflict = True
    if conflict:
        return _careful(path, source)
    wide = [name for name, kind in schema.items() if kind.is_integer() and kind in (pl.Int128, pl.UInt64)]
    notes = [remark(f"column with whole numbers beyond 64 bits, read as text: {name}") for name in wide]
    return Scan(
        table=table.with_columns(pl.col(wide).cast(pl.String)) if wide else table, notes=tuple(notes), blame=blame
    )


def _careful(path: Path, source: Path) -> Scan:
    table = to_table(_records(path, source))
    return Scan(table=table.lazy(), notes=(remark("file read line by line, since its values are of mixed kinds"),))
