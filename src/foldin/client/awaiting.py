"""The client whose answers are awaited."""

import random
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeVar

from foldin.client import experiment_routes, item_routes, model_routes, routes, studio_routes
from foldin.client.connecting import Connection, as_method_of, failure_of, httpx_module, response_of
from foldin.client.reading import Call, Calls, Failure, Request, Response, exchange
from foldin.client.retries import Retries

if TYPE_CHECKING:
    import httpx

__all__ = ["AsyncClient"]

P = ParamSpec("P")
T = TypeVar("T")


def _method(build: Callable[P, Call[T] | Calls[T]]) -> "Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]]":
    async def method(self: "AsyncClient", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.call(build(*args, **kwargs))

    return as_method_of(build, method)


class AsyncClient:
    """A client of a foldin service for asyncio and Trio: the methods of `Client`, to await. Tasks may share it.

    Args:
        address: URL of the service, such as `http://127.0.0.1:8000`.
        api_key: API key; None for the environment variable `FOLDIN_API_KEY`, and for no key if that is not set.
        timeout: seconds to wait for each part of a response.
        connect_timeout: seconds to wait for a connection.
        connections: largest number of connections.
        retries: how often a request is sent; None for four times at most.
        transport: transport of HTTPX; None for the network.

    Raises:
        MissingExtraError: HTTPX is not installed.
        ConfigError: the address is no URL of HTTP, the key is no printable ASCII, or a number is not positive.
    """

    def __init__(
        self,
        address: str,
        *,
        api_key: str | None = None,
        timeout: float = 35.0,
        connect_timeout: float = 5.0,
        connections: int = 20,
        retries: Retries | None = None,
        transport: "httpx.AsyncBaseTransport | None" = None,
    ) -> None:
        self.connection = Connection(address, api_key, timeout, connect_timeout, connections)
        self.retries = retries or Retries()
        self._rng = random.Random()
        self._http = httpx_module().AsyncClient(transport=transport, **self.connection.options())

    def __repr__(self) -> str:
        return f"AsyncClient({self.connection.address!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def call(self, plan: Call[T] | Calls[T]) -> T:
        """The answer of a call; the other methods make their calls with it.

        Raises:
            ConfigError: a value cannot be sent.
            ClientError: the call failed, after the last retry.
        """
        from anyio import sleep  # HTTPX brings it

        steps = exchange(plan, self.retries, self._rng)
        outcome: Response | Failure | None = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as stop:
                answer: T = stop.value
                return answer
            if isinstance(step, Request):
                outcome = await self._send(step)
            else:
                await sleep(step.seconds)
                outcome = None

    async def _send(self, request: Request) -> Response | Failure:
        httpx, url = httpx_module(), self.connection.url(request.target)
        headers = dict(request.headers)
        try:
            found = await self._http.request(request.method, url, headers=headers, content=request.content)
        except httpx.RequestError as error:
            return failure_of(error)
        return response_of(found)

    recommend = _method(routes.recommend)
    recommend_many = _method(routes.recommend_many)
    add_event = _method(routes.add_event)
    add_events = _method(routes.add_events)
    user = _method(routes.user)
    erase_user = _method(routes.erase_user)
    items = _method(routes.items)
    similar = _method(routes.similar)
    item = _method(item_routes.item)
    put_item = _method(item_routes.put_item)
    put_items = _method(item_routes.put_items)
    list_for_all = _method(item_routes.list_for_all)
    models = _method(model_routes.models)
    deploy = _method(model_routes.deploy)
    roll_back = _method(model_routes.roll_back)
    make_default = _method(model_routes.make_default)
    retire = _method(model_routes.retire)
    split = _method(model_routes.split)
    changes = _method(model_routes.changes)
    drift = _method(model_routes.drift)
    experiments = _method(experiment_routes.experiments)
    experiment = _method(experiment_routes.experiment)
    health = _method(routes.health)
    ready = _method(routes.ready)
    metrics = _method(routes.metrics)
    report = _method(studio_routes.report)
    codes = _method(studio_routes.codes)
    item_map = _method(studio_routes.item_map)
    user_on_map = _method(studio_routes.user_on_map)
    book = _method(studio_routes.book)
    film = _method(studio_routes.film)
    lab_em = _method(studio_routes.lab_em)
    lab_vi = _method(studio_routes.lab_vi)
    lab_diffusion = _method(studio_routes.lab_diffusion)
