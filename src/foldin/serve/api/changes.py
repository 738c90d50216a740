"""The log of changes of the models in service."""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Query

from foldin.serve.api.access import Access
from foldin.serve.engine.fleet import Fleet
from foldin.serve.schemas import ChangeOut, ChangesOut
from foldin.serve.storage.changes import Changes

__all__ = ["changes"]


def changes(fleet: Fleet, access: Access) -> APIRouter:
    """`/v1/changes`."""
    router = APIRouter(tags=["models"])

    @router.get("/v1/changes", dependencies=access.after("admin"))
    def listed(
        limit: Annotated[int, Query(ge=1, le=1000, description="Maximum number of changes.")] = 100,
        before: Annotated[
            int | None, Query(ge=1, lt=2**63, description="Only changes of a lower revision, for reading on.")
        ] = None,
    ) -> ChangesOut:
        """List the changes of the models in service, newest first: who changed what, when, from what to what."""
        found = Changes(fleet.store.engine).newest(limit, before=before)
        return ChangesOut(changes=[ChangeOut(**asdict(one)) for one in found])

    return router
