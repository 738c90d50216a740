"""The calls of the routes on items, one function a route."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from foldin.client.items import ItemChange, ItemDetail, ItemList, ItemsReceipt
from foldin.client.reading import Call, read_as
from foldin.client.requests import encoded

__all__ = ["item", "list_for_all", "put_item", "put_items"]


def item(item: str) -> Call[ItemDetail]:
    """An item as it is known now: its title and features, whether it may be listed, and the models that know it.

    Args:
        item: external id of the item.
    """
    route = "/v1/items/{item}"
    return Call(method="GET", route=route, read=read_as(ItemDetail), values={"item": item}, repeatable=True)


def put_item(
    item: str,
    *,
    title: str | None = None,
    features: Mapping[str, Any] | None = None,
    is_active: bool | None = None,
) -> Call[ItemDetail]:
    """Insert an item, or change it; returns it as it is known now. All processes of the service show it within a second.

    Args:
        item: external id of the item.
        title: title of the item; None to leave it as it is.
        features: values by name of the feature, in place of all that were sent before; None to leave them as they are.
        is_active: whether the item may be listed; False retires it; None to leave it as it is.
    """
    given = {"title": title, "features": features, "is_active": is_active}
    return Call(
        method="PUT",
        route="/v1/items/{item}",
        read=read_as(ItemDetail),
        values={"item": item},
        content=encoded({name: value for name, value in given.items() if value is not None}),
        repeatable=True,
    )


def put_items(items: Iterable[ItemChange]) -> Call[ItemsReceipt]:
    """Insert or change several items of different ids, all or none; the service takes up to 1,000 by default.

    Args:
        items: the items.
    """
    return Call(
        method="POST",
        route="/v1/items",
        read=read_as(ItemsReceipt),
        content=encoded({"items": list(items)}),
        repeatable=True,
    )


def list_for_all(name: Literal["popular", "trending", "recent"], *, limit: int = 10) -> Call[ItemList]:
    """A list for all users, as it was computed last.

    Args:
        name: `popular`, `trending` or `recent`.
        limit: maximum number of items.
    """
    return Call(
        method="GET",
        route="/v1/lists/{name}",
        read=read_as(ItemList),
        values={"name": name},
        query={"limit": limit},
        repeatable=True,
    )
