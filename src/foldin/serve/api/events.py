"""Events, and the stored data of a user."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from starlette.concurrency import run_in_threadpool

from foldin.serve.api.access import Access
from foldin.serve.api.bulk import BulkRoute, lines_of
from foldin.serve.api.parameters import User
from foldin.serve.engine.service import Service
from foldin.serve.schemas import EventBatch, EventReceipt, UserErased, UserOut

__all__ = ["events"]

IdempotencyKey = Annotated[
    str | None,
    Header(description="Unique key of the batch; a batch that is sent again with the same key is stored once."),
]
_PART = 1 << 16  # bytes that are read at a time
# Beside JSON, which FastAPI describes.
_BULK: dict[str, Any] = {
    "text/csv": {
        "schema": {"type": "string"},
        "example": "user,item,time,kind,value\n1,1,1600000000,view,\n1,1,2020-09-13T12:26:40Z,buy,19.5\n",
    },
    "application/x-ndjson": {
        "schema": {"type": "string"},
        "example": '{"user": "1", "item": "1", "time": 1600000000, "kind": "view"}\n{"user": "1", "item": "7"}\n',
    },
}


def events(service: Service, access: Access) -> APIRouter:
    """`/v1/events` and `/v1/users/{user}`. Who may read a user's lists may read the events that they are based on."""
    router, write = APIRouter(), access.after("write")

    async def append_lines(http: Request, idempotency_key: IdempotencyKey = None) -> EventReceipt:
        """Store the events of a body in CSV or NDJSON."""
        found, arrived = lines_of(http.scope, service.limits.bulk), bytearray()
        async for part in http.stream():
            arrived += part
            if len(arrived) >= _PART:
                await run_in_threadpool(found.take, bytes(arrived))
                arrived.clear()
        await run_in_threadpool(found.take, bytes(arrived), last=True)
        sender = http.state.log["key"]
        receipt = await run_in_threadpool(service.append, found.events, idempotency_key, sender, lines=found.lines)
        return EventReceipt(accepted=receipt.accepted, duplicates=receipt.duplicates, replayed=receipt.replayed)

    # Before the route for JSON, which takes any other body and describes both.
    router.add_api_route(
        "/v1/events",
        append_lines,
        methods=["POST"],
        include_in_schema=False,
        route_class_override=BulkRoute,
        dependencies=write,
    )

    @router.post("/v1/events", tags=["events"], dependencies=write, openapi_extra={"requestBody": {"content": _BULK}})
    def append(http: Request, batch: EventBatch, idempotency_key: IdempotencyKey = None) -> EventReceipt:
        """Store events, all or none. After the response they are on disk, and the next lists of these users use them.

        Many events are sent as `text/csv`, with a header of `user`, `item` and optionally `time`, `kind`, `value` and
        `list_id`, or with usual spellings of these such as `userId,movieId,rating,timestamp`; or as `application/x-ndjson`,
        with an object of these fields in each line. An error names the line.
        """
        receipt = service.append(batch.events, idempotency_key, sender=http.state.log["key"])
        return EventReceipt(accepted=receipt.accepted, duplicates=receipt.duplicates, replayed=receipt.replayed)

    @router.get("/v1/users/{user:path}", tags=["users"], dependencies=access.after("read", "write"))
    def export(user: User) -> UserOut:
        """Export all stored data of a user."""
        return service.user(user)

    @router.delete("/v1/users/{user:path}", tags=["users"], dependencies=write)
    def erase(user: User) -> UserErased:
        """Delete all stored data of a user."""
        return UserErased(user=user, erased_events=service.events.erase(user))

    return router
