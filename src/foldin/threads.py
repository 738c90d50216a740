"""Threads of our own, as many as PyTorch uses.

BLAS libraries keep threads that go on spinning for some 25 ms after a product and take the processor away from what
follows. Here a product runs on one thread, and several of them at once on threads that sleep when they are done.
"""

import functools
import math
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import torch
from threadpoolctl import ThreadpoolController

from foldin.tensors import Array, Float

__all__ = ["on_threads", "scratch"]

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
        started.wait()

    pool = ThreadPoolExecutor(threads, thread_name_prefix="foldin", initializer=begin)
    list(pool.map(int, range(threads)))  # starts them all
    torch.set_num_threads(threads)  # PyTorch's BLAS has one setting for all threads
    return pool


_own = threading.local()  # each thread's scratch memory

os.register_at_fork(after_in_child=_pool.cache_clear)  # a forked process has none of its parent's threads


def on_threads(work: Callable[[A], B], parts: Sequence[A]) -> list[B]:
    """The result of `work` for each part, in their order; NumPy's BLAS and PyTorch take one thread in each."""
    with _openblas().limit(limits=1):
        if torch.get_num_threads() == 1:
            return [work(part) for part in parts]
        return list(_pool(torch.get_num_threads()).map(work, parts))


def scratch(name: str, shape: tuple[int, ...], dtype: np.dtype) -> Float[Array, "..."]:
    """This thread's memory of that name, of undefined content: fresh pages would cost as much as the arithmetic."""
    kept: dict[tuple[str, np.dtype], np.ndarray] = _own.__dict__.setdefault("kept", {})
    size, key = math.prod(shape), (name, dtype)
    if key not in kept or len(kept[key]) < size:
        kept[key] = np.empty(size, dtype)
    return kept[key][:size].reshape(shape)
