"""Conditions on features of items, from JSON or from mappings."""

import json
import sys
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from foldin.data.filters import Condition, Value
from foldin.data.moments import EXAMPLE, span_of
from foldin.errors import ConfigError

__all__ = ["conditions", "conditions_of"]


def conditions(text: str, where: str) -> dict[str, Condition]:
    """Conditions by feature, from JSON such as `{"genres": {"any_of": ["Comedy"]}}`.

    Args:
        where: source of the text, for messages.

    Raises:
        ConfigError: the text is not JSON, or JSON of another structure.
    """
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"{where}: {text[:60]!r} is no JSON: {error}") from None
    return conditions_of(found, where)


def _expected(key: str) -> str:
    """What a condition takes, where another value was given."""
    if key.endswith("_of"):
        return "a list of texts, numbers, dates, or true and false"
    return "a text" if key == "contains" else f"a finite number, or {EXAMPLE},"


def _is_bound(value: Any) -> bool:
    """Whether a value is a finite number, or a date."""
    if isinstance(value, int | float):
        return not isinstance(value, bool) and abs(value) <= sys.float_info.max
    return span_of(value, days=False) is not None


def conditions_of(found: Any, where: str) -> dict[str, Condition]:
    """Conditions by feature, from mappings such as `{"genres": {"any_of": ["Comedy"]}}`.

    Args:
        where: source of the mappings, for messages.

    Raises:
        ConfigError: the mappings have another structure.
    """
    names = [field.name for field in fields(Condition)]
    made = {}
    if not isinstance(found, Mapping) or not all(isinstance(one, Mapping) for one in found.values()):
        raise ConfigError(
            f'{where}: an object of conditions was expected, such as {{"genres": {{"any_of": ["Comedy"]}}}}'
        )
    for name, asked in found.items():
        for key, value in asked.items():
            if key not in names:
                raise ConfigError(f"{where}: {name}: no condition {key!r}; there are {', '.join(names)}")
            if key.endswith("_of"):
                fits = isinstance(value, list | tuple) and all(isinstance(one, Value) for one in value)
            elif key == "contains":
                fits = isinstance(value, str)
            else:
                fits = _is_bound(value)
            if not fits:
                shown = json.dumps(value, default=repr)[:60]
                raise ConfigError(f"{where}: {name}: {key}: {_expected(key)} was expected, not {shown}")
        made[name] = Condition(**asked)
    return made
