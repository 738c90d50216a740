"""One JSON text (an array of records, an object around one, records one after the other) → a table."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from foldin.data.log.ndjson import kind_of
from foldin.data.log.records import loads, loads_all, to_table
from foldin.data.log.scan import Scan, remark
from foldin.errors import FormatError

__all__ = ["json_format", "scan_json"]

_DEEPEST = 3  # how deep within objects an array of records is looked for


def json_format(path: Path) -> str:
    """`ndjson` if each line is one value, else `json`, for a file that begins with a brace or a bracket."""
    with path.open(encoding="utf-8", errors="replace") as file:
        first = next((line.strip() for line in file if line.strip()), "")
        more = any(line.strip() for line in file)
    try:
        value = loads(first)
    except json.JSONDecodeError as error:
        # An error at the end of the line means that a longer value begins here; any other error, that the line is broken.
        unfinished = error.pos >= len(first) and more
        return "json" if first.startswith("[") or unfinished or (error.msg == "Extra data" and not more) else "ndjson"
    except RecursionError:
        return "json"
    if more:
        return "ndjson"
    record = isinstance(value, dict) and not _by_column(value) and not any(_arrays(value))
    return "ndjson" if record else "json"


def _arrays(value: dict[str, Any], depth: int = 1) -> Iterator[tuple[str, list[Any]]]:
    """(key, array) of every array of objects within an object."""
    for key, one in value.items():
        if isinstance(one, list) and one and isinstance(one[0], dict):
            yield key, one
        elif isinstance(one, dict) and depth < _DEEPEST:
            yield from ((f"{key}.{inner}", array) for inner, array in _arrays(one, depth + 1))


def _by_column(value: dict[str, Any]) -> bool:
    """Whether an object holds arrays of single values, all of one length: a table written by columns."""
    if len(value) < 2 or not all(isinstance(one, list) for one in value.values()):
        return False
    lengths = {len(one) for one in value.values()}
    return len(lengths) == 1 and not any(isinstance(x, list | dict) for one in value.values() for x in one)


def _records(value: Any, source: Path) -> tuple[list[Any], str | None]:
    """(records, text of a note) of one JSON value."""
    if isinstance(value, list):
        return value, None
    if not isinstance(value, dict):
        raise FormatError(f"{source}: the JSON is {kind_of(value)}; an array of objects was expected")
    if _by_column(value):
        rows = zip(*value.values(), strict=True)
        return [dict(zip(value, row, strict=True)) for row in rows], "JSON object read as a table written by columns"
    arrays = list(_arrays(value))
    if len(arrays) > 1:
        names = ", ".join(repr(key) for key, _ in arrays)
        raise FormatError(f"{source}: the JSON object holds several arrays of objects ({names}); keep only one of them")
    if arrays:
        return arrays[0][1], f"JSON object whose records are in {arrays[0][0]!r}"
    if any(isinstance(one, list | dict) for one in value.values()):
        keys = ", ".join(map(repr, list(value)[:8]))
        raise FormatError(
            f"{source}: a JSON object without an array of objects (its keys: {keys}) is no table of records"
        )
    return [value], None


def scan_json(path: Path, source: Path) -> Scan:
    """The table of one JSON array of objects, of an object that wraps one, or of objects one after the other.

    Raises:
        FormatError: JSON of another structure, or invalid JSON; the message gives the position.
    """
    text = path.read_text(encoding="utf-8").strip()
    try:
        values = loads_all(text)
    except json.JSONDecodeError as error:
        cut = " (the file may be cut short)" if error.pos >= len(text) or error.msg.startswith("Unterminated") else ""
        shown = text[max(error.pos - 20, 0) : error.pos + 20]
        raise FormatError(
            f"{source}: line {error.lineno:,}, character {error.colno:,} is no JSON: {error.msg}{cut}: {shown!r}"
        ) from None
    except RecursionError:
        raise FormatError(f"{source}: the JSON is nested too deeply") from None
    records, note = (values, None) if len(values) > 1 else _records(values[0], source)
    if not records:
        raise FormatError(f"{source}: the JSON array is empty")
    odd = next((at for at, record in enumerate(records, start=1) if not isinstance(record, dict)), None)
    if odd is not None:
        raise FormatError(
            f"{source}: record {odd:,} of the JSON array is {kind_of(records[odd - 1])}; objects were expected"
        )
    notes = [] if note is None else [remark(note)]
    return Scan(table=to_table(records).lazy(), notes=tuple(notes))
