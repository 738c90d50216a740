"""A Parquet file, or a folder of parts whose columns may differ → a lazy table.

A file that was exported from an event store records which column has which role, so that nothing need be guessed.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl

from foldin.data.log.columns import Columns
from foldin.data.log.report import Note
from foldin.data.log.scan import Scan, remark
from foldin.errors import FormatError

__all__ = ["record", "scan_parquet_file", "scan_parts"]

# beartype, which checks signatures in the tests, refuses the types of Polars as hints.
Type = Any
_MAGIC = b"PAR1"
_FAILED = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)
_KEY = "foldin"  # of the metadata of a file


def record(columns: Columns) -> dict[str, str]:
    """The metadata of a Parquet file that record the roles of its columns."""
    return {_KEY: json.dumps({"columns": columns.roles()})}


def _recorded(paths: Iterable[Path]) -> Columns | None:
    """The columns that all files record alike; None if they record none."""
    texts = {pl.read_parquet_metadata(path).get(_KEY) for path in paths}
    text = texts.pop() if len(texts) == 1 else None
    try:
        return (
            None if text is None else Columns(**{role: str(one) for role, one in json.loads(text)["columns"].items()})
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None  # of another version: the columns are found by their names


def _schema(path: Path, source: Path) -> dict[str, Type]:
    """The columns of one file. Its first and last bytes are checked first, for clear error messages."""
    size = path.stat().st_size
    if size == 0:
        raise FormatError(f"{source}: the file is empty (0 bytes)")
    with path.open("rb") as file:
        begins = file.read(4) == _MAGIC
        file.seek(max(size - 4, 0))
        ends = file.read(4) == _MAGIC
    if not begins:
        raise FormatError(f"{source}: does not begin like a Parquet file")
    if not ends or size < 12:
        raise FormatError(f"{source}: cannot be read as parquet: its end is missing (the file is cut short)")
    try:
        return dict(pl.scan_parquet(path, glob=False).collect_schema())
    except _FAILED as error:
        raise FormatError(f"{source}: cannot be read as parquet: {str(error).splitlines()[0]}") from None


def _damage(path: Path) -> str | None:
    """Why a file cannot be read to its end, if it cannot."""
    try:
        for name in pl.scan_parquet(path, glob=False).collect_schema().names():
            pl.scan_parquet(path, glob=False).select(name).collect(engine="streaming")
    except _FAILED as error:
        return str(error).splitlines()[0]
    return None


def scan_parquet_file(path: Path, source: Path) -> Scan:
    """The table of one file.

    Raises:
        FormatError: the file is cut short or damaged.
    """
    _schema(path, source)
    return Scan(table=pl.scan_parquet(path, glob=False), blame=lambda: _damage(path), columns=_recorded([path]))


def _is_text(kind: Type) -> bool:
    return kind == pl.String or isinstance(kind, pl.Categorical | pl.Enum)


def _common(kinds: list[Type]) -> Type:
    """A type that represents the values of all types without loss; Unknown if there is none."""
    distinct = [kind for kind in dict.fromkeys(kinds) if kind != pl.Null]
    if len(distinct) < 2:
        return distinct[0] if distinct else pl.Null()
    if all(kind.is_integer() for kind in distinct):
        return pl.String() if any(kind in (pl.UInt64, pl.Int128) for kind in distinct) else pl.Int64()
    if all(kind in (pl.Float32, pl.Float64) or (kind.is_integer() and kind != pl.UInt64) for kind in distinct):
        return pl.Float64()
    if all(_is_text(kind) or kind.is_numeric() for kind in distinct):
        return pl.String()
    if all(kind == pl.Date or isinstance(kind, pl.Datetime) for kind in distinct):
        return pl.Datetime("us")
    return pl.Unknown()


def _as(column: pl.Expr, kind: Type, common: Type) -> pl.Expr:
    if kind.is_float() and common == pl.String:
        # 7.0 and "7" are one id.
        whole = column.cast(pl.Int64, strict=False)
        return pl.when(whole.cast(kind) == column).then(whole.cast(pl.String)).otherwise(column.cast(pl.String))
    if isinstance(kind, pl.Datetime) and kind.time_zone is not None:
        return column.dt.convert_time_zone("UTC").dt.replace_time_zone(None).cast(common)
    return column.cast(common)


def scan_parts(folder: Path) -> Scan:
    """The table of a folder of Parquet parts: every column of any part, in a type that fits all parts.

    A column that some parts lack is null there, and an error if a log needs it (`Scan.lacking`).

    Raises:
        FormatError: a part is empty, cut short or damaged, or has values of another type; the message gives the part.
    """
    parts = sorted(folder.glob("*.parquet"))
    schemas = {part: _schema(part, part) for part in parts}
    first = list(schemas[parts[0]].items())
    if all(list(schema.items()) == first for schema in schemas.values()):
        return Scan(
            table=pl.scan_parquet(parts, glob=False), blame=lambda: _damaged_part(parts), columns=_recorded(parts)
        )
    columns: dict[str, Type] = {}
    notes: list[Note] = []
    lacking: dict[str, str] = {}
    for name in dict.fromkeys(name for schema in schemas.values() for name in schema):
        having = {part: schema[name] for part, schema in schemas.items() if name in schema}
        without = [part for part in parts if part not in having]
        if without:
            lacking[name] = without[0].name
            notes.append(remark(f"parts without the column {name!r}; the first: {without[0].name}", len(without)))
        kinds = list(having.values())
        common = _common(kinds)
        odd = next((part for part, kind in having.items() if kind != kinds[0]), None)
        if odd is not None:
            differ = f"column {name!r} is {kinds[0]} in {parts[0].name} and {having[odd]} in {odd.name}"
            if common == pl.Unknown:
                raise FormatError(f"{folder}: {differ}; write the parts again with one type")
            count = sum(kind != kinds[0] for kind in kinds)
            notes.append(remark(f"parts with another type: {differ}; read as {common}", count))
        columns[name] = common
    tables = []
    for part, schema in schemas.items():
        table = pl.scan_parquet(part, glob=False)
        tables.append(
            table.select(
                _as(pl.col(name), schema[name], kind) if name in schema else pl.lit(None, dtype=kind).alias(name)
                for name, kind in columns.items()
            )
        )
    return Scan(table=pl.concat(tables), notes=tuple(notes), lacking=lacking, blame=lambda: _damaged_part(parts))


def _damaged_part(parts: list[Path]) -> str | None:
    """The first part that cannot be read to its end, and why."""
    for part in parts:
        why = _damage(part)
        if why is not None:
            return f"{part.name}: {why}"
    return None
