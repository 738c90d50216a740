"""Tables of pandas, Polars, PyArrow and others with the Arrow stream interface; results are tables of the same library.

Inside foldin, all tables are Polars tables. pandas tables are converted through PyArrow if it is installed, otherwise column
by column.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
import polars as pl

from foldin.errors import DataError, MissingExtraError

__all__ = ["FrameStyle", "is_frame", "to_polars"]

_STREAM = "__arrow_c_stream__"
_NUMBERS = (pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64, pl.Float32, pl.Float64)
_STORED = {kind.__name__: kind for kind in _NUMBERS}


@dataclass(frozen=True, kw_only=True)
class FrameStyle:
    """The library and the id types of a caller's tables, which results have too.

    Args:
        library: `polars`, or another that narwhals knows, such as `pandas` or `pyarrow`.
        user, item: types of the external ids; inside foldin ids are text.
    """

    library: str = "polars"
    user: Any = field(default_factory=pl.String)
    item: Any = field(default_factory=pl.String)

    def as_dict(self) -> dict[str, str]:
        """The style as a JSON object."""
        return {"library": self.library, "user": _type_name(self.user), "item": _type_name(self.item)}

    @classmethod
    def from_dict(cls, stored: Mapping[str, str]) -> "FrameStyle":
        """The style that `as_dict` returned; ids of an unknown type become text."""
        user, item = (_STORED.get(stored.get(role, ""), pl.String)() for role in ("user", "item"))
        return cls(library=str(stored.get("library", "polars")), user=user, item=item)

    def native(self, table: pl.DataFrame) -> Any:
        """The table in the caller's library, with ids of the caller's types in the columns `user` and `item`.

        Raises:
            MissingExtraError: the library is not installed here.
        """
        table = table.with_columns(
            _of_type(table[role], getattr(self, role)) for role in ("user", "item") if role in table.columns
        )
        if self.library == "polars":
            return table
        backend: Any = nw.Implementation.from_string(self.library)
        try:
            return nw.from_arrow(table, backend=backend).to_native()
        except ImportError:
            pass  # without PyArrow, columns are converted through lists
        try:
            return nw.from_dict(table.to_dict(as_series=False), backend=backend).to_native()
        except ImportError as error:
            raise MissingExtraError(self.library, "frames", f"a table of {self.library}") from error


def _type_name(kind: Any) -> str:
    """The name of a numeric type; other ids, such as categories, are stored as text."""
    return type(kind).__name__ if type(kind).__name__ in _STORED else "String"


def _of_type(ids: pl.Series, kind: Any) -> pl.Series:
    """Text ids as values of a type; unchanged if any id has no value of that type."""
    try:
        return ids.cast(kind)
    except pl.exceptions.PolarsError:
        return ids


def is_frame(one: object) -> bool:
    """Whether an object is a table of a library that narwhals knows, or has the Arrow stream interface.

    Raises:
        DataError: two columns of the table have one name.
    """
    return _table(one) is not None


def _table(one: object) -> Any:
    """The object as a narwhals table; None if it is not a table."""
    try:
        found = nw.from_native(one, pass_through=True, allow_series=True)
    except nw.exceptions.DuplicateError as error:
        raise DataError(
            f"the table: several columns have one name: {str(error).splitlines()[-1].strip('- ')}"
        ) from error
    if isinstance(found, nw.DataFrame | nw.LazyFrame):
        return found
    if isinstance(found, nw.Series) or not hasattr(one, _STREAM):
        return None
    return nw.from_arrow(one, backend="polars")


def to_polars(frame: object, what: str = "the table") -> tuple[pl.DataFrame, str]:
    """(the table in Polars, name of its library).

    A lazy table is collected. The index of a pandas table is left out, unless its levels have names: then they are columns.

    Args:
        what: name of the table, for messages.

    Raises:
        DataError: `frame` is not a table, has no columns, or has two columns of one name.
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
    try:
        table = found.to_polars()
    except (ImportError, TypeError, ValueError):  # no PyArrow, or values that it does not put into one column
        table = pl.DataFrame([_column(found[name]) for name in names])
    return table, library


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
