"""Events, and the stored data of a user."""

from typing import Annotated

from fastapi import APIRouter, Header, Request

from foldin.serve.api.access import Access
from foldin.serve.api.parameters import User
from foldin.serve.engine.service import Service
from foldin.serve.schemas import EventBatch, EventReceipt, UserErased, UserOut

__all__ = ["events"]


def events(service: Service, access: Access) -> APIRouter:
    """`/v1/events` and `/v1/users/{user}`."""
    router = APIRouter(dependencies=access.after("write"))

    @router.post("/v1/events", tags=["events"])
    def append(
        http: Request,
        batch: EventBatch,
        idempotency_key: Annotated[
            str | None,
            Header(description="Unique key of the batch; a batch that is sent again with the same key is stored once."),
        ] = None,
    ) -> EventReceipt:
        """Store events. After the response they are on disk, and the next lists of these users use them."""
        receipt = service.append(batch.events, idempotency_key, sender=http.state.log["key"])
        return EventReceipt(accepted=receipt.accepted, duplicates=receipt.duplicates, replayed=receipt.replayed)

    @router.get("/v1/users/{user:path}", tags=["users"])
    def export(user: User) -> UserOut:
        """Export all stored data of a user."""
        return service.user(user)

    @router.delete("/v1/users/{user:path}", tags=["users"])
    def erase(user: User) -> UserErased:
        """Delete all stored data of a user."""
        return UserErased(user=user, erased_events=service.events.erase(user))

    return router
