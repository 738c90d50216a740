"""A thread pool with as many threads as PyTorch uses.

The threads of BLAS libraries keep spinning for some 25 ms after a product and take the processor away from what follows. Here
each product runs on one thread, and several products run at once on threads that sleep when they are done.
"""

import functools
import math
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
import torch
from threadpoolctl import ThreadpoolController

from foldin.tensors import Array, Float

__all__ = ["blas_on_one_thread", "on_threads", "operations_on_one_thread", "scratch", "thread_count"]

A = TypeVar("A")
B = TypeVar("B")


@functools.cache
def _openblas() -> ThreadpoolController:
    return ThreadpoolController().select(internal_api="openblas")


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """A pool of threads, in each of which PyTorch's operations use one thread."""
    started = threading.Barrier(threads)

    def begin() -> None:
        torch.set_num_threads(1)
        torch.get_num_threads()  # otherwise the first operation of the thread would take the later global setting
        _own.works = True
        started.wait()

    outside = torch.get_num_threads()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="foldin", initializer=begin)
    list(pool.map(int, range(threads)))  # starts all threads
    torch.set_num_threads(outside)  # PyTorch's BLAS has a single setting for all threads
    return pool


_own = threading.local()  # each thread's scratch memory, and its state for the functions below
_blas = threading.RLock()  # the number of threads of OpenBLAS is global


def thread_count() -> int:
    """Number of threads of `on_threads`: PyTorch's, as it was outside `operations_on_one_thread`; 1 inside a pool thread."""
    if getattr(_own, "works", False):
        return 1
    outside: int | None = getattr(_own, "outside", None)
    return torch.get_num_threads() if outside is None else outside


@contextmanager
def operations_on_one_thread() -> Iterator[None]:
    """Context in which PyTorch's operations use one thread, and `on_threads` as many as before.

    PyTorch's second thread keeps spinning for some 8 ms after each operation and slows down what then runs on this pool; with
    small operations that costs more than it saves. The setting belongs to the calling thread, and contexts may overlap.
    """
    if getattr(_own, "inside", 0) == 0:
        _own.outside = torch.get_num_threads()
    _own.inside = getattr(_own, "inside", 0) + 1
    torch.set_num_threads(1)
    try:
        yield
    finally:
        _own.inside -= 1
        if _own.inside == 0:
            torch.set_num_threads(_own.outside)
            _own.outside = None


def _after_fork() -> None:
    """Reset pool and lock in a forked process: it has none of its parent's threads, one of which may have held the lock."""
    global _blas  # noqa: PLW0603
    _pool.cache_clear()
    _blas = threading.RLock()


os.register_at_fork(after_in_child=_after_fork)


@contextmanager
def blas_on_one_thread() -> Iterator[None]:
    """Context in which NumPy's BLAS uses one thread; another thread that enters it waits."""
    if getattr(_own, "works", False):
        yield  # already on one thread inside the pool
        return
    with _blas, _openblas().limit(limits=1):
        yield


def on_threads(work: Callable[[A], B], parts: Sequence[A]) -> list[B]:
    """The results of `work` for the parts, in their order; within each, NumPy's BLAS and PyTorch use one thread."""
    with blas_on_one_thread():
        if thread_count() == 1:
            return [work(part) for part in parts]
        return list(_pool(thread_count()).map(work, parts))


def scratch(name: str, shape: tuple[int, ...], dtype: np.dtype) -> Float[Array, "..."]:
    """Scratch array of this thread by name, with undefined content; fresh pages would cost as much as the arithmetic."""
    kept: dict[tuple[str, np.dtype], np.ndarray] = _own.__dict__.setdefault("kept", {})
    size, key = math.prod(shape), (name, dtype)
    if key not in kept or len(kept[key]) < size:
        kept[key] = np.empty(size, dtype)
    return kept[key][:size].reshape(shape)
