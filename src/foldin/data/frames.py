"""Tables of pandas, Polars, PyArrow and others with the Arrow stream interface → tables of Polars.

Inside foldin, all tables are Polars tables. pandas tables are converted through PyArrow if it is installed, otherwise column
by column. `frame_style.py` converts results back.
"""

from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
import polars as pl

from foldin.data.frame_style import of_uuids
from foldin.data.pandas_types import is_extension, plain_extension, plain_pandas
from foldin.errors import DataError

__all__ = ["is_frame", "to_polars"]

_STREAM = "__arrow_c_stream__"


def is_frame(one: object) -> bool:
    """Whether an object is a table of a library that narwhals knows, or has the Arrow stream interface.

    Raises:
        DataError: two columns of the table have one name.
    """
    found = _known(one)
    return isinstance(found, nw.DataFrame | nw.LazyFrame) or (
        not isinstance(found, nw.Series) and hasattr(one, _STREAM)
    )


def _known(one: object) -> Any:
    """The object as what narwhals knows it as, or unchanged."""
    try:
        return nw.from_native(one, pass_through=True, allow_series=True)
    except nw.exceptions.DuplicateError as error:
        raise DataError(
            f"the table: several columns have one name: {str(error).splitlines()[-1].strip('- ')}"
        ) from error


def _table(one: object) -> Any:
    """The object as a narwhals table; None if it is not a table. A stream is read, which can be done once."""
    found = _known(one)
    if isinstance(found, nw.DataFrame | nw.LazyFrame):
        return found
    if isinstance(found, nw.Series) or not hasattr(one, _STREAM):
        return None
    if type(one).__module__.partition(".")[0] == "pyarrow":  # a record batch or a reader of batches
        return nw.from_arrow(one, backend="pyarrow")
    return nw.from_arrow(one, backend="polars")


def to_polars(frame: object, what: str = "the table") -> tuple[pl.DataFrame, str]:
    """(the table in Polars, name of its library).

    A lazy table is collected. Objects of `uuid.UUID` become text, and so do others without a type of Polars; a period of pandas
    becomes the time at which it begins, in UTC, and an interval its text. The index of a pandas table is left out, unless its
    levels have names: then they are columns.

    Args:
        what: name of the table, for messages.

    Raises:
        DataError: `frame` is not a table, has no columns, has two columns of one name, or periods outside any calendar.
    """
    found = _table(frame)
    if found is None:
        raise DataError(
            f"{what}: a table of pandas, Polars, PyArrow or one with the Arrow stream interface was expected, not "
            f"{type(frame).__name__}"
        )
    if isinstance(found, nw.LazyFrame):
        found = found.collect("polars")
    library = str(found.implementation.value)
    # `frame` is a pandas table here, as narwhals reports and mypy cannot know.
    if found.implementation.is_pandas_like() and any(name is not None for name in frame.index.names):  # type: ignore[attr-defined]
        found = nw.from_native(frame.reset_index(), eager_only=True)  # type: ignore[attr-defined]
    names = found.columns
    if not names:
        raise DataError(f"{what} has no columns")
    if odd := [name for name in names if not isinstance(name, str)]:
        raise DataError(f"{what}: names of columns must be text: {odd[0]!r}")
    found = _without_uuids(found)
    if found.implementation.is_pandas_like():
        found = nw.from_native(plain_pandas(found.to_native(), what), eager_only=True)
    try:
        table = found.to_polars()
    except (ImportError, TypeError, ValueError):  # no PyArrow, or values that it does not put into one column
        table = pl.DataFrame([_column(found[name]) for name in names])
    table = table.with_columns(plain_extension(table[name], what) for name in names if is_extension(table[name]))
    return table.with_columns(_text(table[name]) for name in names if table[name].dtype == pl.Object), library


def _without_uuids(found: "nw.DataFrame[Any]") -> "nw.DataFrame[Any]":
    """The table with UUIDs of pandas and PyArrow as text, which Polars would take for bytes."""
    native: Any = found.to_native()
    if found.implementation.is_pandas_like():
        text = {name: native[name].map(str, na_action="ignore") for name in native.columns if of_uuids(native[name])}
        return nw.from_native(native.assign(**text), eager_only=True) if text else found
    if found.implementation.is_pyarrow():
        for at, one in enumerate(native.schema):
            if str(one.type) == "extension<arrow.uuid>":
                ids = [None if value is None else str(value) for value in native[at].to_pylist()]
                native = native.set_column(at, one.name, [ids])
        return nw.from_native(native, eager_only=True)
    return found


def _text(column: pl.Series) -> pl.Series:
    """A column of objects as text."""
    return pl.Series(column.name, [None if one is None else str(one) for one in column.to_list()], dtype=pl.String)


def _column(column: "nw.Series[Any]") -> pl.Series:
    """A column, converted without PyArrow: numeric arrays at once, other values one by one, mixtures as text."""
    values = column.to_native()
    if isinstance(values.dtype, np.dtype) and values.dtype.kind in "iufb":
        return pl.Series(column.name, values.to_numpy())
    listed = values.astype(object).where(values.notna(), None).tolist()
    try:
        return pl.Series(column.name, listed)
    except TypeError:
        return pl.Series(column.name, [None if one is None else str(one) for one in listed])
