"""Several processes that serve one port: started, watched, restarted when they die, and ended together.

All of them accept connections from one socket, which the first process opens and keeps open: a worker that dies takes only those
connections with it that it had accepted, and the others go on. Each accepts one connection at a time, so that a burst is divided
among those that have time. What they share is in the database (models, events, keys) and in mapped memory (rate limits, metrics).
"""

import contextlib
import functools
import json
import logging
import multiprocessing
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from prometheus_client.multiprocess import mark_process_dead

from foldin.errors import ConfigError
from foldin.serve.limits import Limits
from foldin.serve.server import address
from foldin.serve.shared_limits import SharedBuckets
from foldin.serve.storage.event_store import connect
from foldin.serve.worker import BACKLOG, GRACE, METRICS, TABLE, work

__all__ = ["Workers", "check_database", "listening", "serve"]

logger = logging.getLogger("foldin.serve")

_LONGEST = 30.0  # seconds between two restarts of a worker that does not come to serve


@functools.cache
def _context() -> ForkServerContext:
    """How processes are started: as copies of one that has imported everything and done nothing.

    A worker is there in the time that it takes to load its models; and it has no locks, threads or devices of this process.
    """
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload(["__main__", work.__module__])
    return found


@dataclass
class _Worker:
    """A process, and what is known of it."""

    number: int
    process: ForkServerProcess
    pipe: Connection
    serving: bool = False


class Workers:
    """Processes that serve one socket.

    Args:
        count: number of processes.
        build: makes the application in each process: `server.build` with all arguments but `force` and `buckets`.
        opened: the socket, which listens.
        limits: limits of requests; the rate limits hold for all processes together.
        folder: folder for what the processes share.
        force: whether the given runs are deployed in any case, once.
    """

    def __init__(
        self,
        count: int,
        build: Callable[..., tuple[Any, ...]],
        opened: socket.socket,
        *,
        limits: Limits,
        folder: Path,
        force: bool = False,
    ) -> None:
        self.count, self.ending = count, threading.Event()
        self._build, self._opened, self._limits, self._force = build, opened, limits, force
        self._folder = folder
        SharedBuckets.create(folder / TABLE)
        (folder / METRICS).mkdir()
        self._workers: dict[int, _Worker] = {}
        self._failures: dict[int, int] = dict.fromkeys(range(count), 0)
        self._again: dict[int, float] = {}  # time of the restart of workers that ended

    @property
    def pids(self) -> dict[int, int]:
        """Ids of the processes that serve, by number of the worker."""
        return {one.number: one.process.pid for one in self._workers.values() if one.serving and one.process.pid}

    def start(self) -> None:
        """Start all processes; returns when all of them serve.

        The first one deploys what is to be deployed; the others, which start meanwhile, then find it in the database.

        Raises:
            ConfigError: a process cannot serve; the message gives the reason.
            OSError: the system starts no process.
        """
        for number in range(self.count):
            self._launch(number)
        try:
            self._admit([0], force=self._force)
            self._admit(range(1, self.count))
        except ConfigError:
            self.stop()
            raise

    def look(self, seconds: float) -> None:
        """Wait for a process that ends, and start it again.

        Args:
            seconds: maximum time to wait.
        """
        found = list(self._workers.values())
        wait([*(one.process.sentinel for one in found), *(one.pipe for one in found if not one.serving)], seconds)
        if self.ending.is_set():
            return
        for one in found:
            alive, reason = one.process.is_alive(), self._hear(one)
            if not alive:
                self._bury(one, reason)
        for number in [number for number, at in self._again.items() if time.monotonic() >= at]:
            del self._again[number]
            try:
                self._launch(number)
            except OSError as error:
                self._postpone(number, served=False, error=str(error))
            else:
                self._permit(self._workers[number])

    def stop(self) -> None:
        """End all processes; requests that they have accepted are answered."""
        self.ending.set()
        found = list(self._workers.values())
        for one in found:
            one.process.terminate()
        until = time.monotonic() + GRACE
        for one in found:
            one.process.join(max(0.0, until - time.monotonic()))
            if one.process.is_alive():
                one.process.kill()
                one.process.join()
            one.pipe.close()
        self._workers.clear()

    def _launch(self, number: int) -> None:
        here, there = _context().Pipe()
        arguments = (number, self.count, self._build, self._opened, self._folder, self._limits, there)
        process = _context().Process(target=work, args=arguments, name=f"foldin-worker-{number}", daemon=True)
        try:
            process.start()
        except (EOFError, OSError) as error:  # another process that forks workers is started with the next one
            here.close()
            raise OSError(str(error) or "the process that forks workers was killed") from error
        finally:
            there.close()
        self._workers[number] = _Worker(number, process, here)

    def _admit(self, numbers: Iterable[int], *, force: bool = False) -> None:
        """Let processes go on, and wait until they serve."""
        waiting = [self._workers[number] for number in numbers]
        for one in waiting:
            self._permit(one, force=force)
        while waiting and not self.ending.is_set():
            wait([*(one.pipe for one in waiting), *(one.process.sentinel for one in waiting)], 0.2)
            for one in list(waiting):
                alive, reason = one.process.is_alive(), self._hear(one)
                if reason is not None:
                    raise ConfigError(reason)
                if one.serving:
                    waiting.remove(one)
                elif not alive:
                    raise ConfigError(
                        f"worker {one.number} ended with status {one.process.exitcode} before it could serve; its output says why"
                    )

    def _permit(self, one: _Worker, *, force: bool = False) -> None:
        """Let a process build its application."""
        with contextlib.suppress(OSError):  # it has ended, which is seen when it is looked at next
            one.pipe.send(force)

    def _hear(self, one: _Worker) -> str | None:
        """Read what a process sent: that it serves, or why it cannot, which is returned."""
        reason = None
        try:
            while one.pipe.poll():
                message = one.pipe.recv()
                one.serving, reason = message is None, message
        except (EOFError, OSError):  # it has ended
            pass
        return reason

    def _bury(self, one: _Worker, reason: str | None) -> None:
        """Note that a process has ended, and when to start it again: at once, or later if it never came to serve."""
        self._postpone(one.number, served=one.serving, ended=one.process.exitcode, error=reason)
        # prometheus_client gives this function no types.
        mark_process_dead(one.process.pid, str(self._folder / METRICS))  # type: ignore[no-untyped-call]
        one.pipe.close()
        del self._workers[one.number]

    def _postpone(self, number: int, *, served: bool, ended: int | None = None, error: str | None = None) -> None:
        """Say when a process is started again, and let it be so."""
        failures = self._failures[number] = 0 if served else self._failures[number] + 1
        pause = min(_LONGEST, 2.0 ** (failures - 1)) if failures else 0.0
        self._again[number] = time.monotonic() + pause
        status: dict[str, Any] = {"worker": number, "ended": ended, "starts_again_in": pause}
        logger.warning(json.dumps(status if error is None else {**status, "error": error}))


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        ConfigError: the address is not available.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.create_server((host, port), family=family, backlog=BACKLOG) as made:
            # asyncio sends at once (TCP_NODELAY) on connections of a socket that names its protocol, which this one does not: the
            # body of an answer would wait until the client has acknowledged the headers, for up to 40 ms.
            return socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, fileno=made.detach())
    except OSError as error:
        raise ConfigError(f"--port {port}: cannot listen on {host}: {error.strerror or error}") from error


def check_database(url: str) -> None:
    """Raise unless several processes can share a database.

    Raises:
        ConfigError: an invalid URL, or a database in memory.
    """
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError as error:
        raise ConfigError(f"events: {url!r} is not the URL of a database") from error
    name = parsed.database or ""
    if parsed.query.get("mode") == "memory" or (name.startswith("file:") and "memory" in name):
        raise ConfigError(f"--workers: each process would have a separate database in memory; {name!r} must be a file")
    connect(url).dispose()


def serve(
    count: int,
    build: Callable[..., tuple[Any, ...]],
    url: str,
    *,
    limits: Limits,
    host: str,
    port: int,
    force: bool,
    ready: Callable[[str], None],
) -> None:
    """Serve with several processes until interrupted; waiting requests are still answered.

    Args:
        count, build, limits, force: see `Workers`.
        url: URL of the database.
        ready: called with the address once all processes serve.

    Raises:
        ConfigError: the address is not available, the database cannot be shared, or a process cannot serve.
    """
    if sys.platform == "win32":
        raise ConfigError("--workers: processes cannot share a port on this system; start one worker")
    check_database(url)
    with listening(host, port) as opened, tempfile.TemporaryDirectory(prefix="foldin-serve-") as folder:
        workers = Workers(count, build, opened, limits=limits, folder=Path(folder), force=force)
        before = {
            kind: signal.signal(kind, lambda *_: workers.ending.set()) for kind in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            workers.start()
            if not workers.ending.is_set():
                ready(address(host, opened.getsockname()[1]))
            while not workers.ending.is_set():
                workers.look(0.2)
        finally:
            opened.close()  # from here on, connections are refused instead of waiting
            workers.stop()
            for kind, handler in before.items():
                signal.signal(kind, handler)
