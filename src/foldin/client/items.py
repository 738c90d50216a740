"""Items as they are sent, and as the service knows them now."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any

__all__ = ["ItemChange", "ItemDetail", "ItemList", "ItemsReceipt", "ListedItem"]


@dataclass(frozen=True, slots=True)
class ItemChange:
    """An item to insert or to change; what is None stays as it is.

    Args:
        item: external id.
        title: title of the item.
        features: values by name of the feature, in the types of the catalogs' columns, in place of all that were sent before;
            None for an item without a value.
        is_active: whether the item may be listed; False retires it. A new item is active.
    """

    item: str
    _: KW_ONLY
    title: str | None = None
    features: Mapping[str, Any] | None = None
    is_active: bool | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ItemsReceipt:
    """The result of storing items, which are on disk.

    Args:
        accepted: number of items that were stored.
        revision: number of changes of items so far, the same in all processes.
    """

    accepted: int
    revision: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ItemDetail:
    """An item as it is known now.

    Args:
        item: external id.
        title: title of the item; the id if it has none.
        features: values by name of the feature; None without a value.
        is_active: whether the item may be listed.
        models: names of the models in service that have the item in their catalog.
        created: time at which it was sent first, in seconds since 1970; None if it never was.
        changed: time of its newest change, in seconds since 1970; None if there was none.
    """

    item: str
    title: str
    features: Mapping[str, Any]
    is_active: bool
    models: tuple[str, ...]
    created: int | None
    changed: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedItem:
    """An entry of a list for all users.

    Args:
        item: external id.
        title: title of the item; the id if it has none.
        score: by what the list is ordered: number of events of the last 30 days (`popular`), how many times more often
            than before the item was taken on the last day (`trending`), or time at which it was sent first (`recent`).
    """

    item: str
    title: str
    score: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ItemList:
    """A list for all users.

    Args:
        name: name of the list.
        time: when it was made, in seconds since 1970; None before the first time.
        items: active items, best first.
        note: why the list has no items; None if it has some.
    """

    name: str
    time: int | None
    items: tuple[ListedItem, ...]
    note: str | None = None
