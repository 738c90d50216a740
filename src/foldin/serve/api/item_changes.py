"""Changes of items: titles, features, and whether they may be listed."""

from fastapi import APIRouter

from foldin.errors import ConfigError
from foldin.serve.api.access import Access
from foldin.serve.api.parameters import Item
from foldin.serve.engine.service import Service
from foldin.serve.schemas import ItemBatch, ItemDetail, ItemFields, ItemsReceipt
from foldin.serve.storage.items import ItemChange

__all__ = ["item_changes"]


def item_changes(service: Service, access: Access) -> APIRouter:
    """`PUT /v1/items/{item}` and `POST /v1/items`."""
    router = APIRouter(tags=["items"], dependencies=access.after("write"))

    @router.put("/v1/items/{item:path}")
    def put(item: Item, fields: ItemFields) -> ItemDetail:
        """Insert an item, or change it. It is on disk when this returns, and all processes show it within a second."""
        service.items.put([ItemChange(item=item, **fields.model_dump())])
        return service.items.detail(item)

    @router.post("/v1/items")
    def put_many(batch: ItemBatch) -> ItemsReceipt:
        """Insert or change several items, all or none."""
        most = service.limits.batch
        if len(batch.items) > most:
            raise ConfigError(f"items: at most {most}, not {len(batch.items)}")
        revision = service.items.put([ItemChange(**one.model_dump()) for one in batch.items])
        return ItemsReceipt(accepted=len(batch.items), revision=revision)

    return router
