"""Threads of our own, as many as PyTorch uses.

BLAS libraries keep threads that go on spinning for some 25 ms after a product and take the processor away from what
follows. Here a product runs on one thread, and several of them at once on threads that sleep when they are done.
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
    """Threads in each of which PyTorch's own operations take one thread."""
    started = threading.Barrier(threads)

    def begin() -> None:
        torch.set_num_threads(1)
        torch.get_num_threads()  # else the thread's first operation takes the setting that all have by then
        _own.works = True
        started.wait()

    outside = torch.get_num_threads()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="foldin", initializer=begin)
    list(pool.map(int, range(threads)))  # starts them all
    torch.set_num_threads(outside)  # PyTorch's BLAS has one setting for all threads
    return pool


_own = threading.local()  # each thread's scratch memory, and its part in the settings below
_blas = threading.RLock()  # OpenBLAS has one number of threads for all


def thread_count() -> int:
    """How many threads `on_threads` has: as many as PyTorch has, or had outside `operations_on_one_thread`; 1 in one of them."""
    if getattr(_own, "works", False):
        return 1
    outside: int | None = getattr(_own, "outside", None)
    return torch.get_num_threads() if outside is None else outside


@contextmanager
def operations_on_one_thread() -> Iterator[None]:
    """PyTorch's operations take one thread, those on threads of our own as many as before.

    PyTorch's second thread goes on spinning for some 8 ms after each operation and slows down what follows on threads of our
    own; among small operations that costs more than it saves. It is a setting of the thread that asks; blocks may overlap.
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
    """A forked process has none of its parent's threads, and no lock that one of them held."""
    global _blas  # noqa: PLW0603
    _pool.cache_clear()
    _blas = threading.RLock()


os.register_at_fork(after_in_child=_after_fork)


@contextmanager
def blas_on_one_thread() -> Iterator[None]:
    """NumPy's BLAS takes one thread inside; who else asks for it waits."""
    if getattr(_own, "works", False):
        yield  # it has one there already
        return
    with _blas, _openblas().limit(limits=1):
        yield


def on_threads(work: Callable[[A], B], parts: Sequence[A]) -> list[B]:
    """The result of `work` for each part, in their order; NumPy's BLAS and PyTorch take one thread in each."""
    with blas_on_one_thread():
        if thread_count() == 1:
            return [work(part) for part in parts]
        return list(_pool(thread_count()).map(work, parts))


def scratch(name: str, shape: tuple[int, ...], dtype: np.dtype) -> Float[Array, "..."]:
    """This thread's memory of that name, of undefined content: fresh pages would cost as much as the arithmetic."""
    kept: dict[tuple[str, np.dtype], np.ndarray] = _own.__dict__.setdefault("kept", {})
    size, key = math.prod(shape), (name, dtype)
    if key not in kept or len(kept[key]) < size:
        kept[key] = np.empty(size, dtype)
    return kept[key][:size].reshape(shape)
