"""Item ids on the command line: one id, or several separated by commas."""

import csv
from collections.abc import Sequence

from foldin.data import Catalog
from foldin.errors import ConfigError, UnknownItemError

__all__ = ["HOW", "item_indices"]

# For the help of every command that takes ids.
HOW = (
    "An option that takes ID,ID,… may be repeated. A value that is itself the id of an item is read as that item; any other "
    "value is split at commas, where an id that contains a comma must be quoted, as in CSV: '\"10,5\",7'."
)


def item_indices(catalog: Catalog, values: Sequence[str], option: str) -> tuple[list[int], list[str]]:
    """(indices of the items, notes on values that could be read in two ways).

    White space at the ends of an id is kept if the catalog has the id with it, and stripped otherwise.

    Args:
        values: values of an option that may be repeated.
        option: name of the option, for messages.

    Raises:
        UnknownItemError: an id that is not in the catalog.
        ConfigError: a quote that is not closed.
    """
    found: list[int] = []
    notes: list[str] = []
    for value in values:
        if value in catalog:
            found += catalog.indices([value])
            parts = [part for part in value.split(",") if part.strip()]
            if len(parts) > 1 and all(part in catalog or part.strip() in catalog for part in parts):
                notes.append(
                    f"{option} {value!r} is read as one item, though its parts are items too; to give the parts, repeat {option}"
                )
            continue
        for part in _split(catalog, value, option):
            if part in catalog:
                found += catalog.indices([part])
                if part != part.strip() and part.strip() in catalog:
                    notes.append(
                        f"{option}: {part!r} is read with its white space; there is an item {part.strip()!r} too"
                    )
            elif part.strip():
                found += _one(catalog, part.strip(), option)
    return found, notes


def _split(catalog: Catalog, value: str, option: str) -> list[str]:
    plain = value.split(",")
    if all(part in catalog or part.strip() in catalog for part in plain):
        return plain  # quotes may be part of an id
    try:
        # White space before a quote is not part of an id: '"10,5", "7"'.
        return next(csv.reader([value], strict=True, skipinitialspace='"' in value), [])
    except csv.Error as error:
        raise ConfigError(
            f"{option} {value!r}: comma-separated ids were expected, an id that contains a comma in quotes: {error}"
        ) from error


def _one(catalog: Catalog, one: str, option: str) -> list[int]:
    try:
        return catalog.indices([one])
    except UnknownItemError as error:
        raise UnknownItemError(f"{option}: {error}") from error
