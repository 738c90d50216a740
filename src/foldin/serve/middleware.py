"""Around every request: an id, a bound on the body, a log line, headers that keep a browser strict, figures for Prometheus."""

import asyncio
import json
import logging
import re
import secrets
import time
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.requests import ClientDisconnect

from foldin.serve.telemetry import Telemetry

__all__ = ["DATA_HEADERS", "HEADERS", "Middleware", "logger"]

logger = logging.getLogger("foldin.serve")

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

# Everything a page needs comes from here; nothing may be framed, and nothing but our own modules is executed.
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
        "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}
# What is data runs nothing, embeds nothing and cannot be read from elsewhere; each header costs a microsecond or three.
DATA_HEADERS = {
    name: HEADERS[name] for name in ("x-content-type-options", "cross-origin-resource-policy", "cache-control")
}
_OF_PAGES = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
_OF_DATA = [(name.encode(), value.encode()) for name, value in DATA_HEADERS.items()]
_JSON = (b"content-type", b"application/json")
_METHODS = frozenset(("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"))  # anybody may send anything
_REQUEST_ID = re.compile(rb"[A-Za-z0-9_.-]{1,64}")


class _RefusedError(Exception):
    """A body that is not waited for."""


class Middleware:
    """An ASGI application around another.

    Args:
        app: the inner one.
        body: bytes of a request's body at most.
        patience: seconds for which a body is waited for.
        telemetry: where requests are counted.
    """

    def __init__(self, app: App, *, body: int, telemetry: Telemetry, patience: float = 30.0) -> None:
        self.app, self.body, self.telemetry, self.patience = app, body, telemetry, patience

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start, status, taken = time.perf_counter(), 500, 0
        headers = dict(scope["headers"])  # the names are in lower case, by ASGI
        given = headers.get(b"x-request-id", b"")
        request_id = given.decode() if _REQUEST_ID.fullmatch(given) else secrets.token_hex(16)
        scope.setdefault("state", {})["request_id"] = request_id
        begun = refused = whole = False
        too_large = f"body: at most {self.body:,} bytes"

        async def refuse(code: int, error: str) -> None:
            nonlocal refused
            # The inner application may make an answer of its own of what follows; ours takes its place.
            if not begun:
                await self._refuse(dressed, code, error, request_id)
            refused = True

        async def bounded() -> Message:
            nonlocal taken, whole
            if whole:  # all that can come is that the client goes away
                return await receive()
            try:
                async with asyncio.timeout(max(0.0, self.patience - (time.perf_counter() - start))):
                    message = await receive()
            except TimeoutError:
                await refuse(408, f"body: it did not come within {self.patience:g} s")
                raise _RefusedError from None
            taken += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            if taken > self.body:
                await refuse(413, too_large)
                raise _RefusedError
            return message

        async def dressed(message: Message) -> None:
            nonlocal status, begun
            if refused:
                return
            if message["type"] == "http.response.start":
                status, begun = message["status"], True
                present = message["headers"]
                own = _OF_DATA if _JSON in present else _OF_PAGES
                names = {name for name, _ in present}
                extra = [one for one in own if one[0] not in names]
                message = {**message, "headers": [*present, *extra, (b"x-request-id", request_id.encode())]}
            await send(message)

        try:
            length = headers.get(b"content-length", b"0")
            if not length.isdigit() or int(length) > self.body:
                await refuse(413, too_large)
            else:
                await self.app(scope, bounded, dressed)
        except _RefusedError:
            pass
        except ClientDisconnect:
            status = 499  # nobody is there to be told
        except Exception:  # a bug of ours: the process serves on, and the log has the trace
            logger.error(json.dumps({"request_id": request_id, "error": traceback.format_exc()}))
            if not begun:
                await self._refuse(dressed, 500, "an error of the service; its log has the details", request_id)
        finally:
            seconds = time.perf_counter() - start
            route = scope.get("route")
            path = getattr(route, "path", "unmatched")
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self.telemetry.request(method, path, status, seconds)
            line = {
                "request_id": request_id,
                "method": scope["method"],
                "path": path if route is not None else scope["path"][:200],  # by its pattern: people's ids stay out
                "status": status,
                "milliseconds": round(1000 * seconds, 3),
                **scope["state"].get("log", {}),
            }
            logger.info(json.dumps(line))

    @staticmethod
    async def _refuse(send: Send, status: int, error: str, request_id: str) -> None:
        body = json.dumps({"error": error, "request_id": request_id}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
