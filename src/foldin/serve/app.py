"""The HTTP application: routes over `Service`, who may call them, and what an error looks like."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, Query, Request
from fastapi import Path as InPath
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from fastapi.routing import APIRoute
from pydantic import ValidationError
from pydantic_core import to_json
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from foldin.errors import (
    ConfigError,
    EventStoreError,
    FoldinError,
    IdempotencyError,
    OverloadedError,
    RunError,
    UnknownItemError,
    UnknownModelError,
)
from foldin.serve import browse, studio
from foldin.serve.access import Access
from foldin.serve.keys import KeyRing
from foldin.serve.middleware import Middleware
from foldin.serve.schemas import (
    NAME,
    BatchAnswer,
    BatchQuestion,
    DeployQuestion,
    EventBatch,
    EventReceipt,
    ItemId,
    ItemsOut,
    ModelsOut,
    PersonErased,
    PersonOut,
    Problem,
    Question,
    Recommendations,
    SplitQuestion,
    UserId,
)
from foldin.serve.service import Service

__all__ = ["make_app"]

# The first that fits.
_STATUS: tuple[tuple[type[FoldinError], int], ...] = (
    (IdempotencyError, 409),
    (EventStoreError, 503),
    (OverloadedError, 503),
    (UnknownItemError, 404),
    (UnknownModelError, 404),
    (RunError, 422),
    (ConfigError, 422),
)
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": text}
    for status, text in (
        (401, "No key, or one that nobody has."),
        (403, "The key has not the scope."),
        (409, "The idempotency key came with other events before."),
        (413, "The body is too large."),
        (422, "Something in the request is not as described; the line says what."),
        (429, "Too many requests with this key; see Retry-After."),
        (503, "The queue is full, or the event store is away; see Retry-After."),
    )
}
_QUESTION = {"$ref": "#/components/schemas/Question"}
Person = Annotated[UserId, InPath(description="External id of the person.")]
Item = Annotated[ItemId, InPath(description="External id of the item.")]
Name = Annotated[str | None, Query(max_length=NAME, description="A model by name; the default one if not.")]
Limit = Annotated[int, Query(ge=1, le=100, description="Items at most.")]


class _Bare(APIRoute):
    """A route whose endpoint reads the request and writes the answer itself; what it takes and gives is only described."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        return self.endpoint


def make_app(service: Service, keys: KeyRing | None, *, roots: tuple[Path, ...] = ()) -> FastAPI:
    """The application.

    Args:
        service: what answers.
        keys: who may call; None lets everybody, which is for the own machine.
        roots: folders from whose runs models may be put in service over HTTP.
    """
    limits = service.limits
    access = Access(keys, limits)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> Any:
        yield
        service.registry.close()

    app = FastAPI(
        title="foldin",
        summary="Generative recommendation: people are folded in at request time.",
        version="1",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        responses=_PROBLEMS,
        redirect_slashes=False,
    )
    app.add_middleware(Middleware, body=limits.body, telemetry=service.telemetry)

    def problem(request: Request, status: int, error: str, headers: dict[str, str] | None = None) -> JSONResponse:
        content = {"error": error, "request_id": request.state.request_id}
        return JSONResponse(content, status_code=status, headers=headers)

    @app.exception_handler(FoldinError)
    async def _ours(request: Request, error: FoldinError) -> JSONResponse:
        status = next((status for kind, status in _STATUS if isinstance(error, kind)), 422)
        return problem(request, status, str(error), {"retry-after": "1"} if status == 503 else None)

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        more = f" (and {len(error.errors()) - 1} more)" if len(error.errors()) > 1 else ""
        return problem(request, 422, f"{where}: {first['msg']}{more}")

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> JSONResponse:
        return problem(request, error.status_code, str(error.detail), dict(error.headers or {}))

    may_read = access.needs("read")
    read, write, admin = ([Depends(access.needs(scope))] for scope in ("read", "write", "admin"))

    async def recommend(request: Request) -> Response:
        """A list for a known person, for a history, or for nobody in particular."""
        # Checked, read and written without FastAPI's way to these, which costs as much as the list.
        await may_read(request)
        try:
            question = Question.model_validate_json(await request.body())
        except ValidationError as error:
            raise RequestValidationError([{**one, "loc": ("body", *one["loc"])} for one in error.errors()]) from None
        # Only what may take long leaves the loop: the event store, and reasons.
        taken = (
            service.history(question) if question.person is None else await run_in_threadpool(service.history, question)
        )
        placed, future = service.begin(question, taken, lambda one: one.deployment.ask(one.request))
        request.state.log |= placed.note()
        try:
            async with asyncio.timeout(limits.wait):
                answer = await future
        except TimeoutError:
            raise service.too_late() from None
        if question.explain:
            found = await run_in_threadpool(service.finish, placed, answer)
        else:
            found = service.finish(placed, answer)
        return Response(to_json(found), media_type="application/json")

    app.router.add_api_route(
        "/v1/recommendations",
        recommend,
        methods=["POST"],
        route_class_override=_Bare,
        tags=["lists"],
        response_model=Recommendations,
        openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": _QUESTION}}}},
    )

    @app.post("/v1/recommendations:batch", dependencies=read, tags=["lists"])
    def recommend_batch(questions: BatchQuestion, request: Request) -> BatchAnswer:
        """Lists for many; all or none. Each counts as a request of its key."""
        # One token is spent by now, on whatever came; a full bucket is enough for any batch.
        access.spend(request.state.log["key"], min(len(questions.requests), limits.burst) - 1)
        answers = service.recommend(questions.requests)
        request.state.log |= {"lists": dict(Counter(one["model"] for one in answers))}
        return BatchAnswer(answers=answers)

    @app.post("/v1/events", dependencies=write, tags=["events"])
    def append(
        request: Request,
        batch: EventBatch,
        idempotency_key: Annotated[str | None, Header(description="Sent again, a batch counts once.")] = None,
    ) -> EventReceipt:
        """Keep events. Once acknowledged they are on disk, and the next list of these people knows them."""
        receipt = service.append(batch.events, idempotency_key, sender=request.state.log["key"])
        return EventReceipt(accepted=receipt.accepted, duplicates=receipt.duplicates, replayed=receipt.replayed)

    @app.get("/v1/people/{person:path}", dependencies=write, tags=["people"])
    def export(person: Person) -> PersonOut:
        """Everything that is kept of a person."""
        return service.person(person)

    @app.delete("/v1/people/{person:path}", dependencies=write, tags=["people"])
    def erase(person: Person) -> PersonErased:
        """Delete everything that is kept of a person."""
        return PersonErased(person=person, erased_events=service.events.erase(person))

    @app.get("/v1/items", dependencies=read, tags=["items"])
    def search(
        q: Annotated[str, Query(description="Part of a title, or an id.")] = "",
        limit: Limit = 20,
        model: Name = None,
    ) -> ItemsOut:
        """Items by title."""
        return browse.search(service.registry, q, limit, model)

    @app.get("/v1/items/{item:path}/similar", dependencies=read, tags=["items"], responses={404: {"model": Problem}})
    def similar(item: Item, limit: Limit = 10, model: Name = None) -> ItemsOut:
        """Items like one."""
        return browse.similar(service.registry, item, limit, model)

    @app.get("/v1/models", dependencies=read, tags=["models"])
    def models() -> ModelsOut:
        """The models in service."""
        return browse.models(service.registry)

    @app.post("/v1/models", dependencies=admin, tags=["models"])
    def deploy(wanted: DeployQuestion) -> ModelsOut:
        """Put a run in service; the one that had its name goes on until the new one has answered, and is kept for roll back."""
        try:
            folder = Path(wanted.run).resolve()
            inside = any(folder.is_relative_to(root.resolve()) for root in roots) and folder.is_dir()
        except (OSError, ValueError):  # no name that a folder can have
            inside = False
        if not inside:
            raise ConfigError(f"run: {wanted.run!r} is not inside a folder that this service may read")
        found = service.registry.deploy(folder, wanted.name)
        if wanted.default:
            service.registry.make_default(found.name)
        return browse.models(service.registry)

    @app.post("/v1/models/{name}:rollback", dependencies=admin, tags=["models"])
    def roll_back(name: Annotated[str, InPath(max_length=NAME, description="A model in service.")]) -> ModelsOut:
        """Back to what served under this name before."""
        service.registry.roll_back(name)
        return browse.models(service.registry)

    @app.put("/v1/split", dependencies=admin, tags=["models"])
    def split(wanted: SplitQuestion) -> ModelsOut:
        """Divide those who name no model among models: the same person always to the same."""
        service.registry.split(wanted.shares)
        return browse.models(service.registry)

    app.include_router(studio.routes(service, access.needs("read")))
    app.include_router(studio.pages())

    @app.get("/healthz", tags=["state"])
    def healthy() -> dict[str, str]:
        """The process runs."""
        return {"status": "ok"}

    @app.get("/readyz", tags=["state"], response_model=None)
    def ready() -> Response:
        """A model is in service and the event store answers."""
        state = {"models": bool(service.registry.all()), "events": service.events.ready()}
        return JSONResponse(state, status_code=200 if all(state.values()) else 503)

    @app.get("/metrics", dependencies=read, tags=["state"])
    def metrics() -> PlainTextResponse:
        """Figures for Prometheus."""
        for one in service.registry.all():
            service.telemetry.waiting.labels(one.name).set(one.waiting())
        return PlainTextResponse(service.telemetry.text(), media_type="text/plain; version=0.0.4")

    plain = app.openapi

    def described() -> dict[str, Any]:
        """The description, and that every call but these of the state needs a key."""
        content = plain()
        if keys is not None:
            content["components"]["securitySchemes"] = {
                "key": {"type": "http", "scheme": "bearer", "description": "From `foldin keys add`."}
            }
            for path, calls in content["paths"].items():
                for call in calls.values():
                    call["security"] = [] if path in ("/healthz", "/readyz") else [{"key": []}]
        return content

    # FastAPI's own way to extend the description is to replace this method.
    app.openapi = described  # type: ignore[method-assign]
    return app
