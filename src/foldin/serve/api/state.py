"""Health and metrics of the process, for orchestration and monitoring."""

from fastapi import APIRouter
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from foldin.serve.api.access import Access
from foldin.serve.engine.service import Service

__all__ = ["OPEN", "state"]

OPEN = ("/healthz", "/readyz")  # answered without a key


def state(service: Service, access: Access) -> APIRouter:
    """`/healthz`, `/readyz` and `/metrics`."""
    router = APIRouter(tags=["state"])

    @router.get("/healthz")
    def healthy() -> dict[str, str]:
        """Whether the process is running."""
        return {"status": "ok"}

    @router.get("/readyz", response_model=None)
    def ready() -> Response:
        """Whether a model is in service and the event store answers."""
        found = {"models": bool(service.registry.all()), "events": service.events.ready()}
        return JSONResponse(found, status_code=200 if all(found.values()) else 503)

    @router.get("/metrics", dependencies=access.after("read"))
    def metrics() -> PlainTextResponse:
        """Metrics for Prometheus."""
        for one in service.registry.all():
            service.telemetry.waiting.labels(one.name).set(one.waiting())
        return PlainTextResponse(service.telemetry.text(), media_type="text/plain; version=0.0.4")

    return router
