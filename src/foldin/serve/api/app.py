"""The HTTP application: a router for each resource, access control, and errors."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from foldin.serve.api.access import Access
from foldin.serve.api.changes import changes
from foldin.serve.api.direct import Direct
from foldin.serve.api.drift import drift
from foldin.serve.api.events import events
from foldin.serve.api.experiments import experiments
from foldin.serve.api.item_changes import item_changes
from foldin.serve.api.items import items
from foldin.serve.api.lists import lists
from foldin.serve.api.middleware import Middleware
from foldin.serve.api.models import models
from foldin.serve.api.problems import PROBLEMS, handle_problems
from foldin.serve.api.recommendations import recommendations
from foldin.serve.api.state import OPEN, measure, state
from foldin.serve.engine.drift import DriftWatch
from foldin.serve.engine.fleet import Fleet
from foldin.serve.engine.service import Service
from foldin.serve.limits import Buckets
from foldin.serve.storage.deployments import DeploymentStore
from foldin.serve.storage.keys import KeyRing
from foldin.serve.studio.routes import lab_routes, pages, routes

__all__ = ["make_app"]


def make_app(
    service: Service,
    keys: KeyRing | None,
    *,
    roots: Sequence[str | Path] = (),
    fleet: Fleet | None = None,
    buckets: Buckets | None = None,
    watch: DriftWatch | None = None,
) -> FastAPI:
    """The application. When it starts, the models in service become those of the database of events.

    Models that the registry has and the database does not know are written to it; of the others, the database decides.

    Args:
        service: the service that answers requests.
        keys: keys of the clients; None allows every request from this machine.
        roots: folders and URLs below which runs may be deployed over HTTP.
        fleet: keeps the models in service as the database says; made for the service's registry and database if omitted.
        buckets: what is left of the keys' rate limits; those of this process alone if omitted.
        watch: measures the drift of the models in service; if omitted, what others measured is shown.
    """
    kept = fleet or Fleet(service.registry, DeploymentStore(service.events.engine))
    kept.looked = lambda: measure(service, kept)
    access = Access(keys, service.limits, buckets)
    watched = watch or DriftWatch(service, seconds=0)

    app = FastAPI(
        title="foldin",
        summary="Generative recommendation: users are folded in at request time.",
        version="1",
        lifespan=_lifespan(service, kept, watched),
        docs_url=None,
        redoc_url=None,
        responses=PROBLEMS,
        redirect_slashes=False,
    )
    handle_problems(app)
    answered = recommendations(service, access)
    app.add_middleware(Direct, routes=answered.routes, handlers=app.exception_handlers)
    app.add_middleware(Middleware, body=service.limits.body, telemetry=service.telemetry)
    for router in (
        answered,
        lists(service, access),
        events(service, access),
        items(service, access),
        item_changes(service, access),
        models(kept, access, roots),
        changes(kept, access),
        drift(service, watched.reports, access),
        experiments(service, access),
        routes(service, access.needs("read")),
        lab_routes(access.needs("read")),
        pages(),
        state(service, kept, access),
    ):
        app.include_router(router)
    if keys is not None:
        _describe_keys(app)
    return app


def _lifespan(
    service: Service, fleet: Fleet, watch: DriftWatch
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """What starts and stops with the application: the threads beside the requests, and at the end the models."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.items.start()  # before the models, so that they are shown without retired items at once
        service.lists.start()
        fleet.start()
        service.new_scores.start()
        watch.start()
        if service.impressions is not None:
            service.impressions.start()
        yield
        watch.stop()
        service.new_scores.stop()
        fleet.stop()
        service.items.stop()
        service.lists.stop()
        service.registry.close()
        if service.impressions is not None:
            service.impressions.stop()

    return lifespan


def _describe_keys(app: FastAPI) -> None:
    """Add to the description that every request needs a key, except those of the state."""
    plain = app.openapi

    def described() -> dict[str, Any]:
        content = plain()
        content["components"]["securitySchemes"] = {
            "key": {"type": "http", "scheme": "bearer", "description": "API key, created with `foldin keys add`."}
        }
        for path, calls in content["paths"].items():
            for call in calls.values():
                call["security"] = [] if path in OPEN else [{"key": []}]
        return content

    # FastAPI's own way to extend the description is to replace this method.
    app.openapi = described  # type: ignore[method-assign]
