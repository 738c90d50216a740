"""Middleware of every request: an id, limits on the body, a log line, security headers for browsers, metrics for Prometheus."""

import asyncio
import json
import logging
import re
import time
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.requests import ClientDisconnect

from foldin.serve.ids import unique_ids
from foldin.serve.telemetry import Telemetry

__all__ = ["DATA_HEADERS", "HEADERS", "Middleware", "logger"]

logger = logging.getLogger("foldin.serve")

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

# Pages load everything from this service, must not be framed, and execute only the modules of this service.
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
# Data is neither executed nor embedded, and needs fewer headers; each of them costs one to three microseconds.
DATA_HEADERS = {
    name: HEADERS[name] for name in ("x-content-type-options", "cross-origin-resource-policy", "cache-control")
}
_OF_PAGES = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
_OF_DATA = [(name.encode(), value.encode()) for name, value in DATA_HEADERS.items()]
_JSON = (b"content-type", b"application/json")
_METHODS = frozenset(("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"))  # clients may send any method
_REQUEST_ID = re.compile(rb"[A-Za-z0-9_.-]{1,64}")


class _RefusedError(Exception):
    """A body that is too large or takes too long."""


class Middleware:
    """An ASGI application around another.

    Args:
        app: the inner one.
        body: maximum size of a request's body, in bytes.
        patience: maximum number of seconds to wait for a body.
        telemetry: counters of requests.
    """

    def __init__(self, app: App, *, body: int, telemetry: Telemetry, patience: float = 30.0) -> None:
        self.app, self.body, self.telemetry, self.patience = app, body, telemetry, patience
        self.new_id = unique_ids()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = _Exchange(self, scope, receive, send)
        try:
            if exchange.announced > self.body:
                await exchange.refuse(413, exchange.too_large)
            else:
                await self.app(scope, exchange.receive, exchange.send)
        except _RefusedError:
            pass
        except ClientDisconnect:
            exchange.status = 499  # the client has gone
        except Exception:  # a bug: the process continues to serve, and the log has the trace
            logger.error(json.dumps({"request_id": exchange.request_id, "error": traceback.format_exc()}))
            await exchange.refuse(500, "internal error of the service; its log has the details")
        finally:
            exchange.note()


class _Exchange:
    """One request and its response: the body limited in size and time, the response with security headers."""

    def __init__(self, outer: Middleware, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        self.outer, self.scope, self._receive, self._send = outer, scope, receive, send
        self.started, self.status = time.perf_counter(), 500
        headers = dict(scope["headers"])  # the names are in lower case, by ASGI
        given = headers.get(b"x-request-id", b"")
        self.request_id = given.decode() if _REQUEST_ID.fullmatch(given) else outer.new_id()
        scope.setdefault("state", {})["request_id"] = self.request_id
        length = headers.get(b"content-length", b"0")
        self.announced = int(length) if length.isdigit() else outer.body + 1
        self.too_large = f"body: at most {outer.body:,} bytes"
        self._taken, self._begun, self._refused, self._whole = 0, False, False, False

    async def refuse(self, code: int, error: str) -> None:
        """Send an error unless a response has started; what the inner application sends afterwards is dropped."""
        if not self._begun:
            body = json.dumps({"error": error, "request_id": self.request_id}).encode()
            headers = [_JSON, (b"content-length", str(len(body)).encode())]
            await self.send({"type": "http.response.start", "status": code, "headers": headers})
            await self.send({"type": "http.response.body", "body": body})
        self._refused = True

    async def receive(self) -> Message:
        """The next part of the body; an error if the body is too large or takes too long."""
        if self._whole:  # only a disconnect of the client can follow
            return await self._receive()
        patience = self.outer.patience
        try:
            async with asyncio.timeout(max(0.0, patience - (time.perf_counter() - self.started))):
                message = await self._receive()
        except TimeoutError:
            await self.refuse(408, f"body: it did not arrive within {patience:g} s")
            raise _RefusedError from None
        self._taken += len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        if self._taken > self.outer.body:
            await self.refuse(413, self.too_large)
            raise _RefusedError
        return message

    async def send(self, message: Message) -> None:
        """Send a part of the response, with the headers of this middleware."""
        if self._refused:
            return
        if message["type"] == "http.response.start":
            self.status, self._begun = message["status"], True
            present = message["headers"]
            own = _OF_DATA if _JSON in present else _OF_PAGES
            names = {name for name, _ in present}
            extra = [one for one in own if one[0] not in names]
            message = {**message, "headers": [*present, *extra, (b"x-request-id", self.request_id.encode())]}
        await self._send(message)

    def note(self) -> None:
        """Count the request and log it."""
        seconds, scope = time.perf_counter() - self.started, self.scope
        route = scope.get("route")
        path = getattr(route, "path", "unmatched")
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self.outer.telemetry.request(method, path, self.status, seconds)
        line = {
            "request_id": self.request_id,
            "method": scope["method"],
            "path": path if route is not None else scope["path"][:200],  # the pattern, without users' ids
            "status": self.status,
            "milliseconds": round(1000 * seconds, 3),
            **scope["state"].get("log", {}),
        }
        if logger.isEnabledFor(logging.INFO):
            # A record of its own: `logger.info` looks for the calling line too, which takes as long as all else here.
            logger.handle(logging.LogRecord(logger.name, logging.INFO, __file__, 0, json.dumps(line), None, None))
