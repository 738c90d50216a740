"""A real service to call, over a socket and in process."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Literal

import httpx
import pytest
import uvicorn

from foldin.client import AsyncClient, Client, Retries
from foldin.experiment import Drift, Likelihood
from foldin.serve import EventStore, Limits, Registry, Service, Telemetry, connect, make_app
from foldin.serve.storage.drift_reports import DriftReports
from tests.serve.conftest import make_run

OF_A_DAY = Likelihood(users=9, mean=-3.5, low=-4.0, high=-3.0, popularity=-4.0, error=0.25)
DRIFT = Drift(
    **{"since": 100, "events": 40, "users": 10, "new_users": 0.1, "unknown_items": 0.25, "age": 2.5},
    likelihood=OF_A_DAY,
    first=replace(OF_A_DAY, mean=-3.0, error=None),
)
QUICK = Retries(first_pause=0.001, longest_pause=0.01)


@contextmanager
def serving(app: Any, lifespan: Literal["on", "off"] = "off") -> Iterator[str]:
    """The address of an application that is served in a thread; with a lifespan, its models are those of the database."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", ws="none", lifespan=lifespan))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.005)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="session")
def served_runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    return {name: make_run(root / name, name) for name in ("multvae", "ease")}


@pytest.fixture(scope="session")
def service(served_runs, tmp_path_factory) -> Iterator[Service]:
    engine = connect(f"sqlite:///{tmp_path_factory.mktemp('events')}/events.db")
    registry = Registry()
    for folder in served_runs.values():
        registry.deploy(folder)
    made = Service(registry, EventStore(engine), Limits(batch=20, body=20_000), Telemetry())
    reports = DriftReports(engine)
    assert reports.claim("multvae", 3600, "digest")
    reports.put("multvae", 3600, {**DRIFT.as_dict(), "alarms": list(DRIFT.alarms())})
    yield made
    registry.close()
    engine.dispose()


@pytest.fixture(scope="session")
def app(service, served_runs):
    return make_app(service, None, roots=(served_runs["ease"].parent,))


@pytest.fixture(scope="session")
def address(app) -> Iterator[str]:
    with serving(app, "on") as found:
        yield found


@pytest.fixture(scope="session")
def plain(address) -> Iterator[httpx.Client]:
    """HTTP without the client under test."""
    with httpx.Client(base_url=address) as found:
        yield found


@pytest.fixture(params=["waiting", "awaited"])
def ask(request, app, address) -> Iterator[Callable[..., Any]]:
    """Calls a method by name: of `Client` over a socket, and of `AsyncClient` in process."""
    if request.param == "waiting":
        with Client(address, retries=QUICK) as client:
            yield lambda name, /, *args, **kwargs: getattr(client, name)(*args, **kwargs)
        return

    async def awaited(name: str, /, *args: Any, **kwargs: Any) -> Any:
        transport = httpx.ASGITransport(app)
        async with AsyncClient("http://localhost", retries=QUICK, transport=transport) as client:
            return await getattr(client, name)(*args, **kwargs)

    yield lambda name, /, *args, **kwargs: asyncio.run(awaited(name, *args, **kwargs))
