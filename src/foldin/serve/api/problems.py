"""Errors over HTTP."""

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from foldin.errors import (
    ConfigError,
    EventStoreError,
    FoldinError,
    IdempotencyError,
    OutdatedError,
    OverloadedError,
    RunError,
    UnknownItemError,
    UnknownModelError,
)
from foldin.serve.api.bulk import media_type
from foldin.serve.api.wording import invalid
from foldin.serve.schemas import Problem

__all__ = ["PROBLEMS", "handle_problems"]

# The first entry that fits gives the status.
_STATUS: tuple[tuple[type[FoldinError], int], ...] = (
    (IdempotencyError, 409),
    (OutdatedError, 409),
    (EventStoreError, 503),
    (OverloadedError, 503),
    (UnknownItemError, 404),
    (UnknownModelError, 404),
    (RunError, 422),
    (ConfigError, 422),
)
PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": text}
    for status, text in (
        (401, "The key is missing or unknown."),
        (403, "The key lacks the required scope."),
        (409, "The idempotency key was used with other events before, or a model changed since it was read."),
        (413, "The body is too large."),
        (422, "The request is invalid; the error says in which part."),
        (429, "Too many requests were sent with this key; see Retry-After."),
        (503, "The queue of the model is full, or the event store cannot be reached; see Retry-After."),
    )
}


def handle_problems(app: FastAPI) -> None:
    """Register handlers that answer every error with a `Problem`."""

    @app.exception_handler(FoldinError)
    async def _ours(request: Request, error: FoldinError) -> JSONResponse:
        status = next((status for kind, status in _STATUS if isinstance(error, kind)), 422)
        met = {"expected": error.expected, "found": error.found} if isinstance(error, OutdatedError) else {}
        return _problem(request, status, str(error), {"retry-after": "1"} if status == 503 else None, **met)

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        media = media_type(request.scope)[0]
        found, body = error.errors(), getattr(request.scope.get("route"), "body_field", None)
        if found[0]["loc"] == ("body",) and media != "application/json":  # whatever else was sent was not read
            return _problem(request, 422, _wrong_media(request, media))
        model = None if body is None else body.field_info.annotation
        inside = [{**one, "loc": one["loc"][1:]} for one in found if one["loc"][0] == found[0]["loc"][0]]
        return _problem(request, 422, invalid(inside, model, str(found[0]["loc"][0])))

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> JSONResponse:
        return _problem(request, error.status_code, str(error.detail), dict(error.headers or {}))


def _wrong_media(request: Request, media: str) -> str:
    """The error for a body of another type than those that the route reads."""
    more = (getattr(request.scope.get("route"), "openapi_extra", None) or {}).get("requestBody", {}).get("content", {})
    read = " or ".join(dict.fromkeys(("application/json", *more)))
    return f"Content-Type: {read} was expected, not {media or 'none'}"


def _problem(
    request: Request, status: int, error: str, headers: dict[str, str] | None = None, **more: int
) -> JSONResponse:
    content = {"error": error, "request_id": request.state.request_id, **more}
    return JSONResponse(content, status_code=status, headers=headers)
