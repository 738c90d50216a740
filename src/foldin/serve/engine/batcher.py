"""Micro-batches: requests that wait together share one forward pass.

One thread serves one model. It takes up to `most` waiting requests: with an empty queue a request is served alone at once, and
requests that arrive meanwhile are served together. Waiting for more, up to `wait` seconds, pays for models whose batch costs
little more than one request. The queue is bounded: if it is full, a request is refused at once.
"""

import asyncio
import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Generic, TypeAlias, TypeVar

from foldin.errors import OverloadedError

__all__ = ["Batcher"]

A = TypeVar("A")
B = TypeVar("B")
Waiting: TypeAlias = "Future[B] | asyncio.Future[B]"


class Batcher(Generic[A, B]):
    """Runs work in batches, on a separate thread.

    Args:
        work: function that returns the results of a list of requests, in their order.
        most: maximum number of requests in a batch.
        wait: seconds for which a batch waits for more requests.
        queued: maximum number of waiting requests.
    """

    def __init__(
        self, work: Callable[[Sequence[A]], Sequence[B]], *, most: int = 64, wait: float = 0.0, queued: int = 1024
    ) -> None:
        self._work, self._most, self._wait = work, most, wait
        self._queue: queue.Queue[tuple[A, Waiting[B]] | None] = queue.Queue(queued)
        self._closed = threading.Lock()
        self._open = True
        self.sizes: deque[int] = deque(maxlen=1000)  # sizes of the newest batches
        self._thread = threading.Thread(target=self._run, name="foldin-batches", daemon=True)
        self._thread.start()

    def submit(self, request: A) -> "Future[B]":
        """A future of the result, for a thread that waits.

        Raises:
            OverloadedError: the queue is full, or the batcher is closed.
        """
        future: Future[B] = Future()
        self.put(request, future)
        return future

    def ask(self, request: A) -> "asyncio.Future[B]":
        """A future of the result, for the running event loop. A loop is woken once for all results of a batch.

        Raises:
            OverloadedError: the queue is full, or the batcher is closed.
        """
        future: asyncio.Future[B] = asyncio.get_running_loop().create_future()
        self.put(request, future)
        return future

    def put(self, request: A, future: "Waiting[B]") -> None:
        """Queue a request whose result is set on an existing future.

        Raises:
            OverloadedError: the queue is full, or the batcher is closed.
        """
        with self._closed:
            if not self._open:
                raise OverloadedError("the model is being replaced; try again")
            try:
                self._queue.put_nowait((request, future))
            except queue.Full:
                raise OverloadedError(f"{self._queue.maxsize} requests are waiting; try again") from None

    @property
    def open(self) -> bool:
        """Whether the batcher accepts requests."""
        return self._open

    def waiting(self) -> int:
        """Number of requests in the queue."""
        return self._queue.qsize()

    def close(self) -> None:
        """Serve the waiting requests, accept no others, and stop."""
        with self._closed:
            was_open, self._open = self._open, False
        if was_open:
            self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        last = False
        while not last:
            first = self._queue.get()
            if first is None:
                return
            batch = [first]
            until = time.monotonic() + self._wait
            while len(batch) < self._most:
                left = until - time.monotonic()
                try:
                    # Requests that wait already join. Only a batch of several waits for more: a single one gains nothing.
                    one = self._queue.get(timeout=left) if left > 0 and len(batch) > 1 else self._queue.get_nowait()
                except queue.Empty:
                    break
                if one is None:
                    last = True
                    break
                batch.append(one)
            self._serve([one for one in batch if _wanted(one[1])])

    def _serve(self, batch: "Sequence[tuple[A, Waiting[B]]]") -> None:
        if not batch:
            return
        self.sizes.append(len(batch))
        try:
            results = self._work([request for request, _ in batch])
        except Exception as error:  # the error becomes the result of the requests; the thread continues
            if len(batch) == 1:
                _deliver([(batch[0][1], error)])
                return
            for one in batch:  # so that one bad request does not fail the others
                self._serve([one])
            return
        _deliver([(future, result) for (_, future), result in zip(batch, results, strict=True)])


def _wanted(future: "Waiting[B]") -> bool:
    """Whether the result of a request is still awaited."""
    return not future.done() if isinstance(future, asyncio.Future) else future.set_running_or_notify_cancel()


def _deliver(found: "Sequence[tuple[Waiting[B], B | Exception]]") -> None:
    loops: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[B], B | Exception]]] = {}
    for future, result in found:
        if isinstance(future, asyncio.Future):
            loops.setdefault(future.get_loop(), []).append((future, result))
        elif isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)
    for loop, own in loops.items():
        with contextlib.suppress(RuntimeError):  # the loop has ended, and with it the requests that waited
            loop.call_soon_threadsafe(_settle, own)


def _settle(found: "Sequence[tuple[asyncio.Future[B], B | Exception]]") -> None:
    for future, result in found:
        if future.done():
            continue
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)
