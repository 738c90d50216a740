"""Both clients against a service that drops connections, is too slow, answers 503 and 429, and loses answers after its work."""

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from foldin.client import AsyncClient, Client, Event, Models, NoResponseError, RateLimitedError
from tests.client.conftest import QUICK

MODELS = b'{"models": [], "deployments": [], "revision": 0}'
NONE = Models(models=(), deployments=(), revision=0)


class Flaky(ThreadingHTTPServer):
    """Meets the requests with what is planned, in turn: a status, "drop", "half" an answer, "slow", or "work" and drop; then it
    passes them on to a service, or answers with no models."""

    def __init__(self, plan: list[str | int], service: str | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.plan, self.service = plan, service
        self.seen: list[tuple[str, str, str | None, bytes]] = []
        self.connections = 0
        self.leave = threading.Event()

    def handle_error(self, *_: object) -> None:
        """Connections that the client gave up are part of the plan."""


class Handler(BaseHTTPRequestHandler):
    protocol_version, server = "HTTP/1.1", None

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1

    def log_message(self, *_: object) -> None:
        pass

    def meet(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.server.seen.append((self.command, self.path, self.headers.get("idempotency-key"), body))
        turn = self.server.plan.pop(0) if self.server.plan else None
        if turn == "slow":
            self.server.leave.wait(10)
        if turn in ("work", None) and self.server.service is not None:
            headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
            with httpx.Client(base_url=self.server.service) as client:
                found = client.request(self.command, self.path, headers=headers, content=body)
            status, content = found.status_code, found.content
        else:
            status, content = (
                (turn, b'{"error": "as planned", "request_id": "r"}') if isinstance(turn, int) else (200, MODELS)
            )
        if turn in ("drop", "work", "slow"):
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.send_response(status)
        if isinstance(turn, int):
            self.send_header("retry-after", "0")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[:5] if turn == "half" else content)
        self.close_connection = turn == "half"

    do_GET = do_POST = do_DELETE = meet  # noqa: N815 - names of http.server


@contextmanager
def flaky(plan: list[str | int], service: str | None = None) -> Iterator[tuple[Flaky, str]]:
    server = Flaky(plan, service)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.leave.set()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(params=["waiting", "awaited"])
def way(request):
    """Makes one call of a client of an address."""

    async def awaited(address, name, args, settings):
        async with AsyncClient(address, retries=QUICK, **settings) as client:
            return await getattr(client, name)(*args)

    def call(address, name, *args, **settings):
        if request.param == "awaited":
            return asyncio.run(awaited(address, name, args, settings))
        with Client(address, retries=QUICK, **settings) as client:
            return getattr(client, name)(*args)

    return call


def test_calls_outlive_dropped_connections_half_answers_and_a_busy_service(way):
    for plan in (["drop", "drop", "drop"], ["half", 503], [429, 502, 504]):
        with flaky(list(plan)) as (server, address):
            assert way(address, "models") == NONE
        assert len(server.seen) == len(plan) + 1
        assert len(set(server.seen)) == 1


def test_a_service_that_stays_away_is_an_error_after_the_last_attempt(way):
    with flaky(["drop"] * 9) as (server, address), pytest.raises(NoResponseError) as gone:
        way(address, "models")
    assert gone.value.attempts == len(server.seen) == 4
    with flaky([429] * 9) as (server, address), pytest.raises(RateLimitedError, match="as planned") as busy:
        way(address, "models")
    assert (busy.value.attempts, busy.value.retry_after) == (4, 0.0)
    assert len(server.seen) == 4


def test_a_slow_service_is_given_up_and_asked_again(way):
    with flaky(["slow"]) as (server, address):
        assert way(address, "models", timeout=0.5) == NONE
    assert len(server.seen) == 2


def test_data_of_a_user_is_erased_at_most_once(way):
    with flaky(["drop"] * 2) as (server, address), pytest.raises(NoResponseError) as lost:
        way(address, "erase_user", "u")
    assert lost.value.attempts == len(server.seen) == 1


def test_events_whose_answer_is_lost_are_stored_once(way, address, plain):
    plain.delete("/v1/users/lost")
    events = [Event("lost", f"i{at}") for at in range(4)]
    with flaky(["work", 503, "work", None, "work"], address) as (server, where):
        receipt = way(where, "add_events", events)
        assert (receipt.accepted, receipt.duplicates, receipt.replayed) == (4, 0, True)
        assert len(set(server.seen)) == 1
        assert server.seen[0][2] is not None
    assert len(server.seen) == 4
    stored = plain.get("/v1/users/lost").json()["events"]
    assert sorted(one["item"] for one in stored) == ["i0", "i1", "i2", "i3"]
    sent = json.loads(server.seen[0][3])["events"]
    assert {one["time"] for one in stored} == {one["time"] for one in sent}


def test_calls_share_a_connection():
    with flaky([]) as (server, address):
        with Client(address) as client:
            for _ in range(5):
                client.models()
        assert server.connections == 1


def test_threads_share_a_client():
    with flaky([503, "drop", 503, "drop"]) as (server, address), Client(address, retries=QUICK) as client:
        found: list[object] = []
        threads = [threading.Thread(target=lambda: found.append(client.models())) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == [NONE] * 6
    assert len(server.seen) == 10
