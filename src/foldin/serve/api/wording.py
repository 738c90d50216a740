"""Errors of validation in words: where, what was met, what was expected, and which field may have been meant."""

import json
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel

__all__ = ["invalid"]

# Names of other interfaces, Python's among them, for a field here.
_OTHER_NAMES = {
    "where": "filter",
    "limit": "k",
    "n": "k",
    "timestamp": "time",
    "rating": "value",
    "type": "kind",
}
# The expected type, by the beginning of the error's type.
_TYPES = {
    "string": "a text",
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "list": "a list",
    "dict": "an object",
    "model": "an object",
}
_BOUNDS = {
    "greater_than_equal": ("a number of at least", "ge"),
    "greater_than": ("a number above", "gt"),
    "less_than_equal": ("a number of at most", "le"),
    "less_than": ("a number below", "lt"),
}
_ENDINGS = ("type", "parsing", "from_float")
_SHOWN = 60  # characters of a value


def invalid(errors: Sequence[Mapping[str, Any]], model: Any = None, before: str = "") -> str:
    """The first error of a validation in one line, and the number of the others.

    Args:
        errors: errors as pydantic describes them.
        model: class of the validated object, or another annotation, for the names of the fields that there are.
        before: place of the object, such as `body`.
    """
    first = errors[0]
    place = [part for part in (before, *first["loc"]) if part != ""]
    alike = [one for one in errors if _is_of_union(one, first)]
    if len(alike) > 1:
        expected = dict.fromkeys(_TYPES.get(one["type"].partition("_")[0], one["msg"]) for one in alike)
        place, text = place[:-1], f"{' or '.join(expected)} was expected, not {_shown(first.get('input'))}"
    elif first["type"] == "extra_forbidden":
        place, text = place[:-1], _unknown(str(first["loc"][-1]), _fields(model, first["loc"][:-1]))
    elif first["type"] == "json_invalid":
        at = f" at character {first['loc'][-1]}" if first["loc"] else ""
        place, text = (
            [part for part in (before,) if part],
            f"no JSON: {first.get('ctx', {}).get('error', first['msg'])}{at}",
        )
    elif first["type"] == "missing" and first["loc"]:
        text = f"field {str(place.pop())!r} is missing"
    else:
        text = _text(first)
    others = len(errors) - len(alike)
    return f"{'.'.join(map(str, place))}{': ' if place else ''}{text}{f' (and {others} more)' if others else ''}"


def _is_of_union(one: Mapping[str, Any], first: Mapping[str, Any]) -> bool:
    """Whether an error is the first, or says that the same value is not of another type that its field may have."""
    tags = (str(each["loc"][-1]) if each["loc"] else "" for each in (one, first))
    same = one["loc"][:-1] == first["loc"][:-1] and one.get("input") is first.get("input")
    return one is first or (same and all(tag in ("str", "bool", "int", "float") for tag in tags))


def _text(error: Mapping[str, Any]) -> str:
    """What is wrong with a value; the words of pydantic for rare errors."""
    kind, about = error["type"], error.get("ctx", {})
    first, _, rest = kind.partition("_")
    given = f"not {_shown(error.get('input'))}"
    if kind in _BOUNDS:
        bound, name = _BOUNDS[kind]
        return f"{bound} {about[name]:.15g} was expected, {given}"
    if first in _TYPES and (rest in _ENDINGS or kind == "model_attributes_type"):
        return f"{_TYPES[first]} was expected, {given}"
    if kind == "literal_error":
        return f"{about['expected']} was expected, {given}"
    if kind == "finite_number":
        return f"a finite number was expected, {given}"
    if kind == "missing":
        return "it is missing; a JSON object was expected"
    if kind == "string_too_short":
        return (
            f"a text of at least {about['min_length']} character{'' if about['min_length'] == 1 else 's'} was expected"
        )
    if kind in ("too_short", "too_long"):
        most = f"at least {about['min_length']}" if kind == "too_short" else f"at most {about['max_length']}"
        return f"{most} entries were expected, not {about['actual_length']}"
    return str(error["msg"]).removeprefix("Value error, ")


def _shown(value: Any) -> str:
    """A value in a message: short, and without a line end."""
    if isinstance(value, Mapping | list):
        return "an object" if isinstance(value, Mapping) else "a list"
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return repr(value[:_SHOWN] if isinstance(value, str | bytes) else value)[: _SHOWN + 3]


def _unknown(name: str, known: Sequence[str]) -> str:
    """That there is no such field, and which one was meant, or which there are."""
    shown = repr(name[:_SHOWN])
    if not known:
        return f"there is no field {shown}"
    near = get_close_matches(name, known, n=1)
    meant = _OTHER_NAMES[name] if _OTHER_NAMES.get(name) in known else near[0] if near else None
    if meant is not None:
        return f"there is no field {shown}; did you mean {meant!r}?"
    return f"there is no field {shown}; the fields are {', '.join(known)}"


def _fields(model: Any, path: Sequence[int | str]) -> list[str]:
    """Names of the fields of the object at a path of fields, keys and places below a model."""
    found = next(_models(model), None)
    for part in path:
        if found is not None and part in found.model_fields:
            found = next(_models(found.model_fields[str(part)].annotation), found)
    return [] if found is None else list(found.model_fields)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models in an annotation, such as the one of the values of an optional dictionary."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for one in get_args(annotation):
        yield from _models(one)
