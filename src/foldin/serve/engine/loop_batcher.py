"""Micro-batches inside the event loop, for models so fast that passing a batch to a thread costs more than computing it.

A batch waits while every iteration of the loop adds requests, and is computed when it is full or an iteration added none. The
global interpreter lock then never moves between the loop and a computing thread, which at thousands of requests per second takes
longer than the matrix products.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from foldin.errors import OverloadedError

__all__ = ["LoopBatcher"]

A = TypeVar("A")
B = TypeVar("B")


class LoopBatcher(Generic[A, B]):
    """Runs work in batches, in the event loop of the caller.

    Args:
        work: function that returns the results of a list of requests, in their order.
        most: maximum number of requests in a batch.
        free: acquires what the work needs, and returns whether it could do so at once.
        release: releases what `free` acquired.
        elsewhere: takes a request and its future if the loop cannot compute it.
        queued: maximum number of waiting requests.
    """

    def __init__(
        self,
        work: Callable[[Sequence[A]], Sequence[B]],
        *,
        free: Callable[[], bool],
        release: Callable[[], None],
        elsewhere: "Callable[[A, asyncio.Future[B]], None]",
        most: int = 64,
        queued: int = 1024,
    ) -> None:
        self._work, self._most, self._queued = work, most, queued
        self._free, self._release, self._elsewhere = free, release, elsewhere
        self._waiting: list[tuple[A, asyncio.Future[B]]] = []
        self._before = 0  # number of requests that waited one iteration ago
        self.sizes: deque[int] = deque(maxlen=1000)  # sizes of the newest batches

    def ask(self, request: A) -> "asyncio.Future[B]":
        """A future of the result, in the running event loop.

        Raises:
            OverloadedError: too many requests wait.
        """
        if len(self._waiting) >= self._queued:
            raise OverloadedError(f"{self._queued} requests are waiting; try again")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[B] = loop.create_future()
        self._waiting.append((request, future))
        if len(self._waiting) == 1:
            loop.call_soon(self._flush, loop)
        return future

    def waiting(self) -> int:
        """Number of waiting requests."""
        return len(self._waiting)

    def _flush(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._before < len(self._waiting) < self._most:  # this iteration added some; the next may add more
            self._before = len(self._waiting)
            loop.call_soon(self._flush, loop)
            return
        self._before = 0
        batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
        if self._waiting:
            loop.call_soon(self._flush, loop)
        batch = [one for one in batch if not one[1].done()]
        if not self._free():  # the model is in use, perhaps for long, and the loop must not wait
            for request, future in batch:
                try:
                    self._elsewhere(request, future)
                except OverloadedError as error:
                    future.set_exception(error)
            return
        try:
            self._serve(batch)
        finally:
            self._release()

    def _serve(self, batch: "Sequence[tuple[A, asyncio.Future[B]]]") -> None:
        if not batch:
            return
        self.sizes.append(len(batch))
        try:
            results = self._work([request for request, _ in batch])
        except Exception as error:  # the error becomes the result of the requests
            if len(batch) == 1:
                batch[0][1].set_exception(error)
                return
            for one in batch:  # so that one bad request does not fail the others
                self._serve([one])
            return
        for (_, future), result in zip(batch, results, strict=True):
            future.set_result(result)
