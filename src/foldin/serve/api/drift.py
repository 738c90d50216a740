"""The drift of the models in service."""

from typing import Annotated

from fastapi import APIRouter, Query

from foldin.serve.api.access import Access
from foldin.serve.engine.service import Service
from foldin.serve.schemas import NAME, DriftOut, DriftsOut
from foldin.serve.storage.drift_reports import DriftReports

__all__ = ["drift"]


def drift(service: Service, reports: DriftReports, access: Access) -> APIRouter:
    """`/v1/drift`."""
    router = APIRouter(tags=["models"])

    @router.get("/v1/drift", dependencies=access.after("read"))
    def newest(
        model: Annotated[
            str | None, Query(max_length=NAME, description="Name of a model in service; all models if omitted.")
        ] = None,
        limit: Annotated[int, Query(ge=1, le=1000, description="Maximum number of measurements of each model.")] = 1,
    ) -> DriftsOut:
        """How far the latest events are from what the models were trained on, as measured last; empty before that."""
        chosen = (
            [one.name for one in service.registry.all()]
            if model is None
            else [service.registry.choose(model, None).name]
        )
        found = [one for name in chosen for one in reports.newest(name, limit=limit)]
        return DriftsOut(drift=[DriftOut(model=one.model, run=one.run, time=one.time, **one.figures) for one in found])

    return router
