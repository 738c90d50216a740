"""Workers in threads of one process, whose collective operations are those of `torch.distributed`."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pytest
import torch

from foldin.workers import Group

T = TypeVar("T")


class Workers:
    """Workers of a group, each in a thread.

    Args:
        size: number of workers.
        monkeypatch: puts their collective operations in the place of those of `torch.distributed`.
    """

    def __init__(self, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.size = size
        self._rank, self._barrier, self._places = threading.local(), threading.Barrier(size), [torch.empty(0)] * size
        for name in ("all_reduce", "all_gather", "broadcast"):
            monkeypatch.setattr(torch.distributed, name, getattr(self, name))

    def run(self, work: Callable[[Group], T]) -> list[T]:
        """What `work` returns in each worker."""

        def of(rank: int) -> T:
            self._rank.value = rank
            try:
                return work(Group(rank, self.size))
            except BaseException:
                self._barrier.abort()
                raise

        with ThreadPoolExecutor(self.size) as pool:
            return list(pool.map(of, range(self.size)))

    def _of_all(self, own: torch.Tensor) -> list[torch.Tensor]:
        self._places[self._rank.value] = own.clone()
        self._barrier.wait(timeout=60)
        found = list(self._places)
        self._barrier.wait(timeout=60)
        assert len({(one.shape, one.dtype) for one in found}) == 1, "collective operations of different tensors"
        return found

    def all_reduce(self, tensor: torch.Tensor, op: Any = torch.distributed.ReduceOp.SUM) -> None:
        of_all = torch.stack(self._of_all(tensor))
        tensor.copy_(of_all.amax(dim=0) if op == torch.distributed.ReduceOp.MAX else sum(of_all[1:], of_all[0]))

    def all_gather(self, into: list[torch.Tensor], tensor: torch.Tensor) -> None:
        for place, one in zip(into, self._of_all(tensor), strict=True):
            place.copy_(one)

    def broadcast(self, tensor: torch.Tensor, **source: Any) -> None:
        tensor.copy_(self._of_all(tensor)[source["src"]])
