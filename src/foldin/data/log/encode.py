"""External ids → dense codes, at tens of millions of rows."""

import numpy as np
import polars as pl

from foldin.tensors import Array, Int32

__all__ = ["dictionary", "encode"]

_DENSE_RANGE = 1 << 26  # a lookup table of 256 MB at most


def _encode_integers(values: pl.Series) -> tuple[Int32[Array, " n"], pl.Series]:
    numbers = values.to_numpy().astype(np.int64, copy=False)
    low, high = int(numbers.min()), int(numbers.max())
    if high - low < min(_DENSE_RANGE, 32 * len(numbers)):
        above = numbers - low if low else numbers
        present = np.zeros(high - low + 1, dtype=bool)
        present[above] = True
        table = np.cumsum(present, dtype=np.int32)
        table -= 1
        return table[above], pl.Series(np.flatnonzero(present) + low)
    distinct, inverse = np.unique(numbers, return_inverse=True)
    return inverse.astype(np.int32), pl.Series(distinct)


def encode(values: pl.Series) -> tuple[Int32[Array, " n"], pl.Series]:
    """(codes, ids): `ids[codes[i]]` is the text of `values[i]`, which must not be null.

    The order of ids does not depend on the order of rows: numbers by value, text by code point. Text columns of
    only whole numbers are sorted as numbers.
    """
    if values.len() == 0:
        return np.empty(0, np.int32), pl.Series([], dtype=pl.String)
    if values.dtype.is_integer():
        codes, numbers = _encode_integers(values)
        return codes, numbers.cast(pl.String)
    categories = values if isinstance(values.dtype, pl.Categorical) else values.cast(pl.String).cast(pl.Categorical)
    distinct = categories.unique()
    table = pl.DataFrame({"code": distinct.to_physical(), "id": distinct.cast(pl.String)})
    # "7" and "07" are two ids: only the canonical spelling of a number counts as one.
    number = pl.col("id").cast(pl.Int64, strict=False)
    canonical = table.select((number.cast(pl.String) == pl.col("id")).fill_null(value=False).all()).item()
    table = table.sort(number if canonical else "id")
    old = table["code"].to_numpy()
    new = np.zeros(int(old.max()) + 1, dtype=np.int32)
    new[old] = np.arange(len(old), dtype=np.int32)
    return new[categories.to_physical().to_numpy()], table["id"]


def dictionary(values: pl.Series) -> tuple[Int32[Array, " n"], pl.DataFrame]:
    """(codes, the columns `id` and `count` by code) of a part of a column, without nulls.

    Ids of a column of integers are integers, and some may not occur: numbers in a small range are their own codes.
    """
    if not values.dtype.is_integer():
        codes, ids = encode(values)
    elif values.len() == 0:
        codes, ids = np.empty(0, np.int32), pl.Series([], dtype=pl.Int64)
    else:
        numbers = values.to_numpy().astype(np.int64, copy=False)
        low, high = int(numbers.min()), int(numbers.max())
        if high - low < len(numbers):
            above = numbers - low if low else numbers
            table = pl.DataFrame({"id": low + np.arange(high - low + 1, dtype=np.int64), "count": np.bincount(above)})
            return above.astype(np.int32), table
        codes, ids = _encode_integers(values)
    return codes, pl.DataFrame({"id": ids, "count": np.bincount(codes, minlength=ids.len())})
