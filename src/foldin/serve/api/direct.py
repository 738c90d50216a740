"""Routes whose requests go straight to their endpoints, since FastAPI's router and dependencies are a good part of a list's time.

Below another application, whose prefix the path then has, they go through the router, with the same result.
"""

from collections.abc import Awaitable, Callable, Coroutine, Mapping, MutableMapping, Sequence
from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

__all__ = ["BareRoute", "Direct"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Scope]]
Send = Callable[[Scope], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class BareRoute(APIRoute):
    """A route whose endpoint reads the request and writes the response itself; its schemas are only for the description."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        return self.endpoint


class Direct:
    """An ASGI application that answers the requests of some routes itself, and leaves all others to another application.

    Errors are answered by the handlers that the application inside has for them.

    Args:
        app: the application inside.
        routes: routes, of which those that are a `BareRoute` without parameters in the path are answered.
        handlers: coroutine functions of a request and its error that return a response, by the type of the error; those of status
            codes are not used.
    """

    def __init__(
        self,
        app: App,
        *,
        routes: Sequence[BaseRoute],
        handlers: Mapping[Any, Callable[[Request, Any], Any]],
    ) -> None:
        self.app, self._handlers = app, handlers
        self._routes = {
            (method, one.path): one
            for one in routes
            if isinstance(one, BareRoute) and not one.param_convertors
            for method in one.methods or ()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self._routes.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if route is None:
            await self.app(scope, receive, send)
            return
        scope["route"] = route
        request = Request(scope, receive)
        try:
            response = await route.endpoint(request)
        except Exception as error:  # each that the application inside has a handler for; the others are raised again
            handler = next((self._handlers[kind] for kind in type(error).__mro__ if kind in self._handlers), None)
            if handler is None:
                raise
            response = await handler(request, error)
        await response(scope, receive, send)
