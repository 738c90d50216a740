"""Lists that are the same for all users."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from foldin.serve.api.access import Access
from foldin.serve.engine.fallbacks import why_empty
from foldin.serve.engine.service import Service
from foldin.serve.schemas import Fallback, ListedItemOut, ListOut

__all__ = ["lists"]


def lists(service: Service, access: Access) -> APIRouter:
    """`/v1/lists/{name}`."""
    router = APIRouter(tags=["lists"])

    @router.get("/v1/lists/{name}", dependencies=access.after("read"))
    def newest(
        name: Annotated[Fallback, Path(description="Name of the list.")],
        limit: Annotated[int, Query(ge=1, le=1000, description="Maximum number of items.")] = 10,
    ) -> ListOut:
        """Popular, trending or recent items, as they were computed last; empty before that."""
        entries = service.lists.get(name)
        titles = service.items.titles([one.item for one in entries])
        shown = [one for one in entries if one.item in titles][:limit]
        found = [ListedItemOut(item=one.item, title=titles[one.item], score=one.score) for one in shown]
        computed = service.lists.time
        note = (
            None
            if found
            else "all of its items are retired"
            if entries
            else why_empty(name, is_computed=computed is not None)
        )
        return ListOut(name=name, time=computed, note=note, items=found)

    return router
