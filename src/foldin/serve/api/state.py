"""Health and metrics of the process, for orchestration and monitoring."""

from fastapi import APIRouter
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from foldin.serve.api.access import Access
from foldin.serve.engine import status
from foldin.serve.engine.fleet import Fleet
from foldin.serve.engine.service import Service

__all__ = ["OPEN", "measure", "state"]

OPEN = ("/healthz", "/readyz")  # answered without a key


def measure(service: Service, fleet: Fleet) -> None:
    """Set the gauges: requests in queues, and how far this process is from what the database says."""
    found, told, problems = service.registry.all(), service.telemetry, status.problems(fleet)
    waiting = {one.name: one.waiting() for one in found}
    told.revision.set(fleet.state.revision)
    for name, row in fleet.state.rows.items():
        told.waiting.labels(name).set(waiting.pop(name, 0))
        told.generation.labels(name).set(row.generation)
        told.problem.labels(name).set(name in problems)
        told.changed.labels(name).set(0 if row.retired else row.changed)
    for name, count in waiting.items():
        told.waiting.labels(name).set(count)


def state(service: Service, fleet: Fleet, access: Access) -> APIRouter:
    """`/healthz`, `/readyz` and `/metrics`."""
    router = APIRouter(tags=["state"])

    @router.get("/healthz")
    def healthy() -> dict[str, str]:
        """Whether the process is running."""
        return {"status": "ok"}

    @router.get("/readyz", response_model=None)
    def ready() -> Response:
        """Whether the default model is in service and the event store answers; and whether every model is the wanted one.

        A model that is not the wanted one does not make the process unready: the one before it serves.
        """
        registry = service.registry
        default = registry.default
        served = bool(registry.all()) if default is None else registry.serving(default) is not None
        found = {"models": served, "events": service.events.ready()}
        code = 200 if all(found.values()) else 503
        return JSONResponse({**found, "deployments": not status.problems(fleet)}, status_code=code)

    @router.get("/metrics", dependencies=access.after("read"))
    def metrics() -> PlainTextResponse:
        """Metrics for Prometheus, of all workers of the service."""
        measure(service, fleet)
        return PlainTextResponse(service.telemetry.text(), media_type="text/plain; version=0.0.4")

    return router
