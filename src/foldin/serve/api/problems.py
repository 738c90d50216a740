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
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        more = f" (and {len(error.errors()) - 1} more)" if len(error.errors()) > 1 else ""
        return _problem(request, 422, f"{where}: {first['msg']}{more}")

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> JSONResponse:
        return _problem(request, error.status_code, str(error.detail), dict(error.headers or {}))


def _problem(
    request: Request, status: int, error: str, headers: dict[str, str] | None = None, **more: int
) -> JSONResponse:
    content = {"error": error, "request_id": request.state.request_id, **more}
    return JSONResponse(content, status_code=status, headers=headers)
