"""Several processes behind one port: one answer, one rate, one count, whoever of them is asked, and whoever of them dies."""

import asyncio
import contextlib
import functools
import json
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import Pipe
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from foldin.errors import ConfigError
from foldin.serve import Limits, worker, workers
from foldin.serve.server import address, build
from foldin.serve.worker import SharedSocket
from foldin.serve.workers import Workers, check_database, listening, serve
from tests.serve.kills import Serving
from tests.serve.processes import children, forking, runs_still

BURST = 60


def until(holds: Callable[[], bool], meanwhile: Callable[[], object] = lambda: time.sleep(0.02)) -> None:
    """Wait for something that another process brings about."""
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end, "it did not come about"
        meanwhile()


@contextmanager
def started(folder: Path, run: Path, *, count: int = 2, limits: Limits | None = None) -> Iterator[tuple[Workers, str]]:
    """(workers, their address)."""
    limits = limits or Limits()
    how = {"open_to_all": True, "host": "127.0.0.1", "limits": limits, "device": "cpu"}
    make = functools.partial(build, [run], f"sqlite:///{folder}/events.db", **how)
    shared = folder / "shared"
    shared.mkdir()
    with listening("127.0.0.1", 0) as opened:
        workers = Workers(count, make, opened, limits=limits, folder=shared)
        workers.start()
        try:
            yield workers, address("127.0.0.1", opened.getsockname()[1])
        finally:
            opened.close()
            workers.stop()


@contextmanager
def asleep(pid: int) -> Iterator[None]:
    """A context in which a process sleeps, so that another one answers."""
    time.sleep(0.5)  # its lists are written by then: stopped in the middle, it would keep the lock of the database
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_connections_of_the_shared_socket_send_at_once():
    """Otherwise the body of an answer waits for the client's acknowledgement of its headers, up to 40 ms."""

    async def delays() -> list[int]:
        found: asyncio.Future[socket.socket] = asyncio.get_running_loop().create_future()
        with SharedSocket.of(listening("127.0.0.1", 0)) as opened:
            server = await asyncio.start_server(lambda _, writer: found.set_result(writer), sock=opened)
            async with server:
                _, ours = await asyncio.open_connection(*opened.getsockname())
                theirs = await found
                options = [
                    one.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
                    for one in (ours, theirs)
                ]
                for one in (ours, theirs):
                    one.close()
                return options

    assert all(asyncio.run(delays()))


def test_a_process_that_has_accepted_leaves_the_next_connection_to_the_others(monkeypatch):
    with contextlib.ExitStack() as stack:
        opened = listening("127.0.0.1", 0)
        first, second = (stack.enter_context(SharedSocket.of(one)) for one in (opened.dup(), opened))
        for one in (first, second):
            one.setblocking(False)
        for _ in range(3):
            stack.enter_context(socket.create_connection(first.getsockname()))
        monkeypatch.setattr(worker, "PAUSE", 60.0)
        stack.enter_context(first.accept()[0])
        with pytest.raises(BlockingIOError):
            first.accept()
        monkeypatch.setattr(worker, "PAUSE", 0.0)
        stack.enter_context(second.accept()[0])
        stack.enter_context(second.accept()[0])
        with pytest.raises(BlockingIOError):  # there is none left
            second.accept()


def test_two_workers_are_one_service(tmp_path, runs):
    with started(tmp_path, runs["multvae"], limits=Limits(rate=1e-6, burst=BURST)) as (workers, home):
        taken = 0

        def call(method: str, path: str, **body: object) -> httpx.Response:
            nonlocal taken
            taken += path.startswith(("/v1", "/metrics"))
            return httpx.request(method, home + path, timeout=60, json=body or None)  # each on a connection of its own

        def listed() -> list[dict]:
            return call("GET", "/v1/models").json()["models"]

        def pause() -> None:
            time.sleep(0.3)

        # Random lists: by whichever worker, the same.
        questions = [
            {"history": ["i0", "i2"], "explore": "temperature", "seed": 1, "temperature": 3.0},
            {"user": "anna", "explore": "thompson", "seed": 2, "draws": 10},
        ]
        answers = []
        for pid in workers.pids.values():
            with asleep(pid):
                answers.append(
                    [call("POST", "/v1/recommendations", **question).json()["items"] for question in questions]
                )
        assert len(answers) == 2
        assert answers[0] == answers[1]
        assert all(len(one) == 10 for one in answers[0])
        # A change through one is served by the other. First their logs of lists are written: a process that sleeps while it
        # writes holds the lock of SQLite.
        time.sleep(1.0)
        first, second = workers.pids.values()
        with asleep(second):
            told = call("POST", "/v1/models", run=str(runs["multvae"]), name="other", default=True)
            assert told.json()["revision"] == 2
        with asleep(first):
            until(lambda: {one["name"]: one["default"] for one in listed()} == {"multvae": False, "other": True}, pause)
            assert call("POST", "/v1/recommendations", **questions[0]).json()["model"] == "other"
        # Counts are those of both, whoever is asked.
        for pid in (first, second):
            with asleep(pid):
                lists = re.findall(r"^foldin_lists_total\{.*\} (\S+)$", call("GET", "/metrics").text, re.MULTILINE)
                assert sum(map(float, lists)) == 5
        # A worker that is killed is started again; meanwhile the other one answers, and the counts of the dead one stay.
        os.kill(first, signal.SIGKILL)
        until(lambda: first not in workers.pids.values(), lambda: workers.look(0.05))
        assert call("GET", "/healthz").status_code == 200
        until(lambda: len(workers.pids) == 2, lambda: workers.look(0.2))
        with asleep(second):
            text = call("GET", "/metrics").text
            lists = re.findall(r"^foldin_lists_total\{.*\} (\S+)$", text, re.MULTILINE)
            assert sum(map(float, lists)) == 5
            assert "foldin_revision 2.0" in text
        # The rate is that of both together, and a restart does not renew it.
        codes = [call("GET", "/v1/models").status_code for _ in range(BURST - taken + 5)]
        assert codes == [200] * (len(codes) - 5) + [429] * 5


def test_what_cannot_be_served_is_said_in_one_line(tmp_path, runs):
    for url in (
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///file:x?mode=memory&uri=true",
        "sqlite:///file::memory:?uri=true",
    ):
        with pytest.raises(ConfigError, match=r"^[^\n]*memory[^\n]*$"):
            check_database(url)
    check_database(f"sqlite:///{tmp_path}/memory/events.db")
    with listening("127.0.0.1", 0) as opened:
        port = opened.getsockname()[1]
        with pytest.raises(ConfigError, match=f"--port {port}: cannot listen on 127.0.0.1: "):
            listening("127.0.0.1", port)
    how = {"limits": Limits(), "host": "127.0.0.1", "port": 0, "force": False, "ready": lambda _: None}
    with pytest.raises(ConfigError, match="in memory"):
        serve(2, build, "sqlite://", **how)


@pytest.mark.long
def test_a_worker_that_cannot_serve_ends_the_start(tmp_path, runs):
    with pytest.raises(ConfigError, match="no such run directory"), started(tmp_path, tmp_path / "none"):
        pass


@contextmanager
def command(run: Path, folder: Path, *more: str) -> Iterator[Serving]:
    """`foldin serve` with two workers."""
    serving = Serving(run, f"sqlite:///{folder}/events.db", "--workers", "2", *more)
    try:
        yield serving
    finally:
        if serving.process.poll() is None:
            serving.end(signal.SIGTERM)


def answers(address: str) -> bool:
    """Whether a service answers."""
    try:
        return httpx.get(f"{address}/healthz").status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.long
def test_told_to_end_the_workers_answer_what_they_have_begun(tmp_path, runs):
    with command(runs["multvae"], tmp_path) as serving:
        body = {"requests": [{"history": ["i0"], "explore": "thompson", "draws": 500}] * 30}
        found = []
        with httpx.Client(base_url=serving.address, timeout=60) as client:
            asking = threading.Thread(target=lambda: found.append(client.post("/v1/recommendations:batch", json=body)))
            asking.start()
            time.sleep(0.3)
            serving.end(signal.SIGTERM)
            asking.join()
        assert [len(one.json()["answers"]) for one in found] == [30]
        assert serving.process.returncode == 0
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{serving.address}/healthz")


@pytest.mark.long
def test_no_worker_outlives_the_process_that_started_it(tmp_path, runs):
    with command(runs["popularity"], tmp_path) as serving:
        workers = children(serving.process.pid)
        assert len(workers) == 2
        serving.end(signal.SIGKILL)  # which waits until no process is left that could write
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{serving.address}/healthz")


@pytest.mark.long
def test_workers_end_with_the_process_that_forks_them_and_others_take_their_place(tmp_path, runs):
    with command(runs["popularity"], tmp_path) as serving:
        before = children(serving.process.pid)
        assert len(before) == 2
        os.kill(forking(serving.process.pid)[0], signal.SIGKILL)
        until(lambda: not any(map(runs_still, before)))
        until(lambda: len(children(serving.process.pid)) == 2)
        assert not set(children(serving.process.pid)) & set(before)
        until(lambda: answers(serving.address))
        serving.end(signal.SIGTERM)
        assert serving.process.returncode == 0
        assert not answers(serving.address)


def test_a_worker_ends_when_the_other_end_of_its_pipe_is_closed(monkeypatch):
    server, ended = SimpleNamespace(should_exit=False), []
    monkeypatch.setattr(worker, "GRACE", 0.0)
    monkeypatch.setattr(worker.os, "_exit", ended.append)
    here, there = Pipe()
    watching = threading.Thread(target=worker._end_with_pipe, args=(server, there))
    watching.start()
    there.send(None)  # that it serves, as a worker says meanwhile
    assert here.recv() is None
    assert not server.should_exit
    here.close()
    watching.join(10)
    assert server.should_exit
    assert ended == [1]  # what does not end by itself in time


def test_a_worker_that_cannot_be_forked_at_the_moment_is_forked_later(tmp_path, monkeypatch, caplog):
    class Killed:
        def start(self) -> None:
            raise EOFError  # as when the process that forks workers dies while it is asked

    monkeypatch.setattr(workers, "_context", lambda: SimpleNamespace(Pipe=Pipe, Process=lambda **_: Killed()))
    found = Workers(1, build, None, limits=Limits(), folder=tmp_path)
    with pytest.raises(OSError, match="forks workers was killed"):
        found.start()
    for pause in (1.0, 2.0):
        found._again[0] = 0.0
        with caplog.at_level("WARNING", logger="foldin.serve"):
            found.look(0.0)
        assert 0.0 < found._again[0] - time.monotonic() <= pause
        assert json.loads(caplog.records[-1].message)["starts_again_in"] == pause


@pytest.mark.long
def test_workers_killed_again_and_again_are_back_and_nothing_acknowledged_is_lost(tmp_path, runs):
    with command(runs["popularity"], tmp_path) as serving:
        acknowledged, stop = [], threading.Event()

        def write(writer: int) -> None:
            at = 0
            while not stop.is_set():
                batch = {"events": [{"user": f"p{writer}", "item": f"i{at}", "time": at}]}
                try:
                    response = httpx.post(f"{serving.address}/v1/events", json=batch, timeout=60, verify=False)
                    if response.status_code == 200:
                        acknowledged.append((writer, at))
                        at += 1
                except httpx.TransportError:
                    pass  # its worker was killed; sent again

        writers = [threading.Thread(target=write, args=(writer,)) for writer in range(3)]
        for writer in writers:
            writer.start()
        for _ in range(6):
            begun = len(acknowledged)
            until(lambda begun=begun: len(acknowledged) > begun + 5)
            workers = children(serving.process.pid)
            os.kill(workers[0], signal.SIGKILL)
            until(lambda gone=workers[0]: gone not in children(serving.process.pid))
            until(lambda: len(children(serving.process.pid)) == 2)
        stop.set()
        for writer in writers:
            writer.join()
        for writer in range(3):
            kept = httpx.get(f"{serving.address}/v1/users/p{writer}", timeout=60).json()["events"]
            times = [event["time"] for event in kept]
            assert times == sorted(set(times))
            assert {at for who, at in acknowledged if who == writer} <= set(times)
