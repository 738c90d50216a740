"""One of several processes that serve one port; see `workers`."""

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
import uvicorn

from foldin.errors import FoldinError
from foldin.serve.limits import Limits
from foldin.serve.log_lines import logged
from foldin.serve.server import configuration, steady
from foldin.serve.shared_limits import SharedBuckets
from foldin.serve.telemetry import share

__all__ = ["BACKLOG", "GRACE", "METRICS", "TABLE", "SharedSocket", "work"]

BACKLOG = 2048  # connections that may wait to be accepted
TABLE = "limits"  # file and folder of what the processes share
METRICS = "metrics"
GRACE = 15.0  # seconds for the last requests of a process that ends; uvicorn takes at most 10
PAUSE = (
    5e-4  # seconds for which a process that accepted a connection leaves the next one to others, which have to wake up
)


class SharedSocket(socket.socket):
    """A listening socket from which several processes accept connections: after each, this one leaves the next to the others.

    Otherwise the process that is awake first would have all connections of a burst, and keep them as long as they last.
    """

    _next = 0.0

    @classmethod
    def of(cls, opened: socket.socket) -> "SharedSocket":
        """Take over a socket, which is not to be used any more."""
        return cls(opened.family, opened.type, opened.proto, fileno=opened.detach())

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept a connection.

        Raises:
            BlockingIOError: there is none, or it is the others' turn; the event loop then tries again.
        """
        if time.monotonic() < self._next:
            raise BlockingIOError
        found = super().accept()
        self._next = time.monotonic() + PAUSE
        return found


class _Server(uvicorn.Server):
    """A server that accepts one connection at a time from a socket that other processes accept from too.

    Args:
        config: settings whose `backlog` is 1.
        started: called once connections are accepted.
    """

    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._called = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept connections."""
        await super().startup(sockets=sockets)
        # asyncio accepts as many connections at once as may wait. Here one, so that a burst is divided among the processes; and
        # afterwards, as many as before may wait again.
        for one in sockets or ():
            one.listen(BACKLOG)
        self._called()


def work(
    number: int,
    count: int,
    build: Callable[..., tuple[Any, ...]],
    opened: socket.socket,
    folder: Path,
    limits: Limits,
    pipe: Connection,
) -> None:
    """The life of a process: it waits for permission to begin, builds the application, and serves until it is told to end.

    It sends None once it serves, or the reason why it cannot. It also ends when the other end of `pipe` is closed: the process
    that started it has died, or has given it up and started another in its place.

    Args:
        number: number of this process, from 0.
        count: number of all processes, which share the cores.
        build: makes (application, service, watcher) for `force` and `buckets`.
        opened: the socket that listens.
        folder: folder of what the processes share: the table of the rate limits, and the metrics.
        limits: limits of requests.
        pipe: connection to the process that started this one, which sends whether to deploy the given runs in any case.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process; the first one ends the others
    try:
        force = bool(pipe.recv())
    except EOFError:
        return
    share(folder / METRICS)
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, _cores() // count))
    with logged():
        try:
            app, _, watcher = build(force=force, buckets=SharedBuckets(folder / TABLE, limits.rate, limits.burst))
        except FoldinError as error:
            _say(pipe, str(error))
            return
        steady()
        watcher.start()
        server = _Server(configuration(app, host="", port=0, backlog=1), lambda: _say(pipe, None))
        watching = (server, pipe)
        threading.Thread(target=_end_with_pipe, args=watching, name=f"foldin-parent-{number}", daemon=True).start()
        try:
            server.run(sockets=[SharedSocket.of(opened)])
        finally:
            watcher.stop()


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _say(pipe: Connection, message: str | None) -> None:
    """Send a message; nobody hears it any more if the other end is closed."""
    with contextlib.suppress(OSError):
        pipe.send(message)


def _end_with_pipe(server: uvicorn.Server, pipe: Connection) -> None:
    """End when the other end of the pipe is closed, so that nothing is left that nobody watches and that holds the port.

    If the process that started this one dies, the system closes the pipe. If the process that forks workers is killed, the one
    that started this one loses sight of it, closes the pipe, and starts another worker.
    """
    with contextlib.suppress(OSError):
        pipe.poll(None)  # nothing is sent any more: it returns when the other end is closed
    server.should_exit = True
    time.sleep(GRACE)  # this thread ends with the process
    os._exit(1)
