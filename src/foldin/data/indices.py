"""Checks of indices that callers give (other types are refused instead of being cast silently), and ranges of indices."""

import operator
from collections.abc import Iterable
from typing import Any

import numpy as np

from foldin.errors import ShapeError
from foldin.tensors import Array, Int64

__all__ = ["Indices", "check_indices", "count_of", "gather_ranges", "history_of", "whole_numbers"]

# Whole numbers (a list, a range, a set, an array or a tensor), or a boolean mask with an entry for each element. The type is
# `Any` because values are checked here at run time: an annotated element type would not be guaranteed for a caller's list.
Indices = Any


def whole_numbers(values: Any, what: str) -> Array:
    """The values as a one-dimensional array of an integer type, or of booleans where all of them are.

    Raises:
        ShapeError: other values, booleans mixed with numbers, numbers beyond 64 bits, or not one dimension.
    """
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise ShapeError(f"{what}: several whole numbers were expected, not {values!r}")
    if isinstance(values, list | tuple) or not hasattr(values, "__array__"):
        values = list(values)
        if len({isinstance(one, bool | np.bool_) for one in values}) == 2:
            raise ShapeError(f"{what}: whole numbers or booleans were expected, not both")
    try:
        array = np.asarray(values)
    except (ValueError, TypeError) as error:  # rows of different lengths, a tensor of another device
        raise ShapeError(f"{what}: whole numbers were expected: {str(error).splitlines()[0]}") from error
    if array.ndim != 1:
        raise ShapeError(f"{what}: one dimension was expected, not the shape {array.shape}")
    if array.size == 0:
        return np.empty(0, dtype=np.int64)
    if array.dtype.kind == "O" and all(isinstance(one, int | np.integer) for one in array):
        try:
            return array.astype(np.int64)
        except OverflowError as error:
            raise ShapeError(f"{what}: {max(array, key=abs)} is beyond 64 bits") from error
    if array.dtype.kind not in "iub":
        odd = next((one for one in array if not isinstance(one, int | np.integer)), array[0])
        plain = odd.item() if isinstance(odd, np.generic) else odd
        raise ShapeError(f"{what}: whole numbers were expected, met {plain!r}")
    return array


def check_indices(chosen: Indices, size: int, what: str, of: str = "item") -> Int64[Array, " chosen"]:
    """Indices in [0, size), in the given order; for a mask with `size` entries, the positions where it is true.

    Args:
        what: name of the argument, for messages.
        of: singular name of what is indexed, for messages.

    Raises:
        ShapeError: not whole numbers, an index out of range, or a mask of another size.
    """
    array = whole_numbers(chosen, what)
    if array.dtype.kind == "b":
        if len(array) != size:
            raise ShapeError(f"{what}: a mask needs an entry for each {of}, {size:,} in all, not {len(array):,}")
        return np.flatnonzero(array)
    if len(array) and (array.min() < 0 or array.max() >= size):
        raise ShapeError(f"{what}: {of} indices must be in [0, {size}), met {array.min()} to {array.max()}")
    return array.astype(np.int64)


def count_of(value: Any, what: str, least: int = 1) -> int:
    """A whole number that is at least `least`, as an int.

    Raises:
        ShapeError: not a whole number, or below `least`.
    """
    try:
        number = operator.index(value)
    except TypeError as error:
        raise ShapeError(f"{what} must be a whole number, not {value!r}") from error
    if isinstance(value, bool | np.bool_) or number < least:
        raise ShapeError(f"{what} must be at least {least}, not {value!r}")
    return number


def gather_ranges(starts: Int64[Array, " n"], lengths: Int64[Array, " n"]) -> Int64[Array, " total"]:
    """Positions of the ranges `starts[i] : starts[i] + lengths[i]`, one after another."""
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    return np.arange(total, dtype=np.int64) + np.repeat(starts - (ends - lengths), lengths)


def history_of(values: Any, what: str) -> Int64[Array, " history"]:
    """A user's item indices as an array; any whole number that 64 bits hold.

    Raises:
        ShapeError: an entry is not a whole number, or the values have no order.
    """
    # The usual types first, since there is one history for each user.
    plain = isinstance(values, np.ndarray) or (type(values) in (list, tuple) and set(map(type, values)) == {int})
    try:
        array = np.asarray(values, dtype=None if isinstance(values, np.ndarray) else np.int64) if plain else None
    except OverflowError:
        array = None
    if array is None or array.ndim != 1 or array.dtype.kind != "i":
        array = whole_numbers(values, what)
        if array.dtype.kind == "b":
            raise ShapeError(f"{what}: item indices, oldest first, were expected, not a mask, which has no order")
        if array.dtype.kind == "u" and len(array) and array.max() > np.iinfo(np.int64).max:
            raise ShapeError(f"{what}: {array.max()} is no index of an item")
    return array.astype(np.int64, copy=False)
