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
from contextlib import AbstractContextManager, contextmanager
from typing import TypeVar

import numpy as np
import torch
from threadpoolctl import ThreadpoolController

from foldin.tensors import Array, Float

__all__ = ["on_threads", "openblas_threads", "operations_on_one_thread", "scratch", "thread_count"]

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


_own = threading.local()  # each thread's scratch memory
_lock = threading.Lock()


class _Setting:
    kept: int | None = None  # threads of our own, while PyTorch has one
    inside = 0  # how many blocks of `operations_on_one_thread` are open


def thread_count() -> int:
    """How many threads `on_threads` has: as many as PyTorch has, or had outside `operations_on_one_thread`; 1 in one of them."""
    if getattr(_own, "works", False):
        return 1
    return torch.get_num_threads() if _Setting.kept is None else _Setting.kept


@contextmanager
def operations_on_one_thread() -> Iterator[None]:
    """PyTorch's operations take one thread, those on threads of our own as many as before.

    PyTorch's second thread goes on spinning for some 8 ms after each operation and slows down what follows on threads of our
    own; among small operations that costs more than it saves. Blocks may overlap, in one thread or in several.
    """
    with _lock:
        if _Setting.inside == 0:
            _Setting.kept = torch.get_num_threads()
        _Setting.inside += 1
        torch.set_num_threads(1)
    try:
        yield
    finally:
        with _lock:
            _Setting.inside -= 1
            if _Setting.inside == 0:
                assert _Setting.kept is not None
                torch.set_num_threads(_Setting.kept)
                _Setting.kept = None


os.register_at_fork(after_in_child=_pool.cache_clear)  # a forked process has none of its parent's threads


def openblas_threads(count: int) -> AbstractContextManager[object]:
    """NumPy's BLAS takes so many threads inside."""
    limited: AbstractContextManager[object] = _openblas().limit(limits=count)
    return limited


def on_threads(work: Callable[[A], B], parts: Sequence[A]) -> list[B]:
    """The result of `work` for each part, in their order; NumPy's BLAS and PyTorch take one thread in each."""
    with openblas_threads(1):
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
