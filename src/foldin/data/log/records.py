"""Records of JSON → a typed table: columns of only numbers stay numbers, all others become text."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

__all__ = ["loads", "loads_all", "to_table"]

_LARGEST = 2**63


def loads(text: str) -> Any:
    """The value of a JSON text; NaN, which is not valid JSON, is a missing value."""
    return _DECODER.decode(text)


def _constant(word: str) -> float | None:
    return None if word == "NaN" else float(word)


def _integer(digits: str) -> int | str:
    # Python refuses to convert thousands of digits; for an id, the text is enough.
    return int(digits) if len(digits) < 1_000 else digits


_DECODER = json.JSONDecoder(parse_constant=_constant, parse_int=_integer, strict=False)


def loads_all(text: str) -> list[Any]:
    """The JSON values of a text, one after the other."""
    found, at = [], 0
    while at < len(text):
        value, at = _DECODER.raw_decode(text, at)
        found.append(value)
        while at < len(text) and text[at].isspace():
            at += 1
    return found


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def _column(name: str, values: list[Any]) -> pl.Series:
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return pl.Series(name, values, dtype=pl.Boolean)
    if kinds <= {int, float} and kinds:
        numbers = [value for value in values if value is not None]
        exact = 2**53 if float in kinds else _LARGEST
        if all(-exact <= value < exact for value in numbers if isinstance(value, int)):
            return pl.Series(name, values, dtype=pl.Float64 if float in kinds else pl.Int64, strict=False)
    if kinds == {list}:
        flat = [one for value in values if value is not None for one in value]
        if all(isinstance(one, str) for one in flat):
            return pl.Series(name, values, dtype=pl.List(pl.String))
    return pl.Series(name, [_text(value) for value in values], dtype=pl.String)


def to_table(records: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    """One row per record, with the keys of all records as columns, in the order of appearance.

    A column of whole numbers is Int64, of numbers Float64; numbers that would not stay exact, and mixtures, are text.
    """
    columns: dict[str, list[Any]] = {}
    count = 0
    for record in records:
        for key, value in record.items():
            column = columns.setdefault(key, [])
            column.extend([None] * (count - len(column)))
            column.append(value)
        count += 1
    for column in columns.values():
        column.extend([None] * (count - len(column)))
    return pl.DataFrame([_column(name, values) for name, values in columns.items()])
