"""Search of items by title, similar items, and an item as it is known now."""

from typing import Annotated

from fastapi import APIRouter, Query

from foldin.serve.api.access import Access
from foldin.serve.api.parameters import Item, Limit, ModelName
from foldin.serve.engine import browse
from foldin.serve.engine.service import Service
from foldin.serve.schemas import ItemDetail, ItemId, ItemsOut, Problem

__all__ = ["items"]


def items(service: Service, access: Access) -> APIRouter:
    """`/v1/items`, `/v1/items/{item}/similar` and `/v1/items/{item}`."""
    router = APIRouter(tags=["items"], dependencies=access.after("read"))

    @router.get("/v1/items")
    def search(
        q: Annotated[
            str, Query(description="Words of a title in any order, or an id; the last word may be incomplete.")
        ] = "",
        limit: Limit = 20,
        model: ModelName = None,
        item: Annotated[
            list[ItemId] | None,
            Query(
                max_length=100,
                description="Ids of the only items to return, in this order, instead of a search; unknown ids are left out.",
            ),
        ] = None,
    ) -> ItemsOut:
        """Items by title, with typing errors if nothing else fits, or by id; the most popular ones for an empty text."""
        if item:
            return browse.listed(service.registry, item, model)
        return browse.search(service.registry, q, limit, model)

    @router.get("/v1/items/{item:path}/similar", responses={404: {"model": Problem}})
    def similar(item: Item, limit: Limit = 10, model: ModelName = None) -> ItemsOut:
        """Items that are similar to an item."""
        return browse.similar(service.registry, item, limit, model)

    # After the route of similar items, whose path begins alike.
    @router.get("/v1/items/{item:path}", responses={404: {"model": Problem}})
    def known(item: Item) -> ItemDetail:
        """An item as it is known now: its title and features, and whether it may be listed."""
        return service.items.detail(item)

    return router
