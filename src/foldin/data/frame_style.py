"""The library and the id types of a caller's table, which results have too.

Polars has fewer types than the libraries around it: `Int64` and `int64` of pandas, or `string` and `large_string` of Arrow, are
one type there. The caller's type is therefore kept beside that of Polars, and restored in results.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

import narwhals.stable.v2 as nw
import numpy as np
import polars as pl

from foldin.errors import MissingExtraError

__all__ = ["FrameStyle", "id_type", "of_uuids"]

_INTEGERS = ("Int8", "Int16", "Int32", "Int64", "Int128", "UInt8", "UInt16", "UInt32", "UInt64", "UInt128")
_STORED = (*_INTEGERS, "Float32", "Float64", "Decimal", "Categorical", "Enum")
_WIDE = ("Int128", "UInt128")  # which neither Arrow nor pandas has
_ROLES = ("user", "item")
_UUID = "uuid"


@dataclass(frozen=True, kw_only=True)
class FrameStyle:
    """The library and the id types of a caller's tables, which results have too.

    Args:
        library: `polars`, or another that narwhals knows, such as `pandas` or `pyarrow`.
        user, item: Polars types of the external ids; inside foldin ids are text.
        native_user, native_item: types of the ids in the caller's library where the Polars type does not determine them: a dtype
            of pandas, a type of Arrow, the name of one, or `uuid` for objects of `uuid.UUID`. None otherwise.
    """

    library: str = "polars"
    user: Any = field(default_factory=pl.String)
    item: Any = field(default_factory=pl.String)
    native_user: Any = None
    native_item: Any = None

    @classmethod
    def of(cls, frame: Any, table: pl.DataFrame, library: str, *, user: str, item: str) -> "FrameStyle":
        """The style of a table.

        Args:
            frame: the caller's table.
            table, library: what `to_polars` returns for it.
            user, item: names of its columns of ids.
        """
        users, items = table[user], table[item]
        return cls(
            library=library,
            user=id_type(users),
            item=id_type(items),
            native_user=_native_type(frame, library, users),
            native_item=_native_type(frame, library, items),
        )

    def with_items_of(self, other: "FrameStyle") -> "FrameStyle":
        """The style, with the item type of another one if its own items are text, which ids of every type can be written as."""
        if self.item != pl.String() or self.native_item == _UUID or other.item == pl.String():
            return self
        native = other.native_item if other.library == self.library else None
        return replace(self, item=other.item, native_item=native)

    def as_dict(self) -> dict[str, Any]:
        """The style as a JSON object.

        An `Enum` of user ids becomes `Categorical`: its categories are ids of users, which only a run with histories contains.
        """
        found: dict[str, Any] = {"library": self.library}
        for role in _ROLES:
            kind, native = getattr(self, role), getattr(self, f"native_{role}")
            name = type(kind).__name__
            if name == "Enum" and role == "user":
                name = "Categorical"
            found[role] = name if name in _STORED else "String"
            if name == "Decimal":
                found[f"{role}_args"] = [kind.precision, kind.scale]
            elif name == "Enum":
                found[f"{role}_args"] = [kind.categories.to_list()]
            if native is not None:
                found[f"native_{role}"] = str(native)
        return found

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "FrameStyle":
        """The style that `as_dict` returned; ids of an unknown type become text."""
        kinds = {role: _stored_type(stored.get(role), stored.get(f"{role}_args", ())) for role in _ROLES}
        native = {f"native_{role}": stored.get(f"native_{role}") for role in _ROLES}
        return cls(library=str(stored.get("library", "polars")), **kinds, **native)

    def native(self, table: pl.DataFrame) -> Any:
        """The table in the caller's library, with ids of the caller's types in the columns `user` and `item`.

        Raises:
            MissingExtraError: the library is not installed here.
        """
        roles = [role for role in _ROLES if role in table.columns]
        table = table.with_columns(_of_type(table[role], self._polars_type(role)) for role in roles)
        types = {role: getattr(self, f"native_{role}") for role in roles}
        if self.library == "polars":
            return table.with_columns(_objects(table[role]) for role in roles if types[role] == _UUID)
        try:
            return _arrow(table, types) if self.library == "pyarrow" else _by_narwhals(table, self.library, types)
        except ImportError as error:
            raise MissingExtraError(self.library, "frames", f"a table of {self.library}") from error

    def _polars_type(self, role: str) -> Any:
        kind = getattr(self, role)
        return pl.Int64() if self.library != "polars" and type(kind).__name__ in _WIDE else kind


def id_type(ids: pl.Series) -> Any:
    """The type to which ids can be cast back from text; floating-point ids with gaps were whole numbers."""
    if ids.dtype.is_float() and ids.null_count() + int(ids.is_nan().sum()):
        return pl.Int64()
    return ids.dtype if type(ids.dtype).__name__ in _STORED else pl.String()


def _stored_type(name: Any, args: Any) -> Any:
    """The Polars type of a name; text if there is none."""
    kind = getattr(pl, name, None) if name in _STORED else None
    try:
        return pl.String() if kind is None else kind(*args)
    except (TypeError, ValueError):
        return pl.String()


def _native_type(frame: Any, library: str, ids: pl.Series) -> Any:
    """The type of a column in the caller's library, if the Polars type of its ids does not determine it."""
    name = ids.name
    if library == "polars" and isinstance(frame, pl.DataFrame | pl.LazyFrame):
        return _UUID if frame.collect_schema()[name] == pl.Object else None
    if library == "pyarrow":
        kind = frame.schema.field(name).type
        if str(kind) == "extension<arrow.uuid>":
            return _UUID
    elif library == "pandas":
        column = frame[name] if name in frame.columns else frame.index.get_level_values(name).to_series()
        kind = column.dtype
        if of_uuids(column):
            return _UUID
        if isinstance(kind, np.dtype) and kind.kind != "O":
            return None
    else:
        return None
    # Whole numbers with gaps are no floating-point numbers.
    return None if ids.dtype.is_float() and not id_type(ids).is_float() else kind


def of_uuids(column: Any) -> bool:
    """Whether a column of pandas holds objects of `uuid.UUID`, by the first of them."""
    if not (isinstance(column.dtype, np.dtype) and column.dtype.kind == "O"):
        return False
    at = column.first_valid_index()
    return at is not None and isinstance(column.dropna().iloc[0], UUID)


def _of_type(ids: pl.Series, kind: Any) -> pl.Series:
    """Text ids as values of a type; unchanged if any id has no value of that type."""
    try:
        return ids.cast(kind)
    except pl.exceptions.PolarsError:
        return ids


def _uuids(ids: list[str | None]) -> list[UUID | None] | None:
    """Ids as objects; None if any is no UUID."""
    try:
        return [None if one is None else UUID(one) for one in ids]
    except ValueError:
        return None


def _objects(ids: pl.Series) -> pl.Series:
    """Text ids as a Polars column of `uuid.UUID`; unchanged if any is no UUID."""
    found = _uuids(ids.to_list())
    return ids if found is None else pl.Series(ids.name, found, dtype=pl.Object)


def _arrow(table: pl.DataFrame, types: Mapping[str, Any]) -> Any:
    """The table in PyArrow, with the types of the oldest Arrow format, in which tables can be joined and filtered."""
    found: Any = table.to_arrow(compat_level=pl.CompatLevel.oldest())
    for role, kind in types.items():
        found = found.set_column(found.schema.get_field_index(role), role, _of_arrow_type(found[role], kind))
    return found


def _of_arrow_type(ids: Any, kind: Any) -> Any:
    """A column with another Arrow type; unchanged if any id has no value of that type."""
    import pyarrow as pa

    if kind == _UUID:
        found = _uuids(ids.to_pylist())
        if found is None or not hasattr(pa, "uuid"):  # before PyArrow 18
            return ids
        return pa.chunked_array([pa.array([None if one is None else one.bytes for one in found], pa.uuid())])
    try:
        wanted = pa.type_for_alias(kind) if isinstance(kind, str) else kind
    except ValueError:  # types with parameters have no name
        wanted = None
    if wanted is None and pa.types.is_dictionary(ids.type):
        wanted = pa.dictionary(pa.int32(), pa.string())
    if wanted is None or wanted == ids.type:
        return ids
    try:
        if pa.types.is_dictionary(wanted):
            return ids.cast(wanted.value_type).dictionary_encode().cast(wanted)
        return ids.cast(wanted)
    except pa.ArrowException:
        return ids


def _by_narwhals(table: pl.DataFrame, library: str, types: Mapping[str, Any]) -> Any:
    """The table in pandas, or in another library that narwhals knows."""
    backend: Any = nw.Implementation.from_string(library)
    try:
        found = nw.from_arrow(table, backend=backend).to_native()
    except ImportError:  # without PyArrow, columns are converted through lists
        found = nw.from_dict(table.to_dict(as_series=False), backend=backend).to_native()
    if library == "pandas":
        for role, kind in types.items():
            if kind is not None:
                found[role] = _of_pandas_type(found[role], kind)
    return found


def _of_pandas_type(ids: Any, kind: Any) -> Any:
    """A column with another dtype; unchanged if any id has no value of that dtype."""
    if kind == _UUID:
        objects = _uuids(ids.tolist())
        return ids if objects is None else type(ids)(objects, index=ids.index, name=ids.name, dtype=object)
    categories = getattr(kind, "categories", None)
    if categories is not None and not ids.isin(categories).all():
        return ids
    try:
        return ids.astype(kind)
    except (TypeError, ValueError, ImportError):
        return ids
