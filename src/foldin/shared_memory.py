"""Sums over processes on one machine, in memory that all of them map.

Gloo sends what it sums through the network of the machine, which takes several times as long as reading it. Here each worker has
a row of numbers that the others can read and write: it adds its part of all rows and writes the sums to all of them. Gloo only
tells the workers when the rows are there.
"""

import mmap
import os
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.distributed

from foldin.tensors import Tensor

__all__ = ["SharedRows"]

_BLOCK = 1 << 17  # numbers that are added and written while they are in the cache
_BOOT = Path("/proc/sys/kernel/random/boot_id")


class SharedRows:
    """A row of numbers for each worker of the process group of `torch.distributed`, in memory that all of them map.

    Args:
        rows: the rows of all workers, of the same length.
        rank: number of this worker.
    """

    def __init__(self, rows: list[Tensor], rank: int) -> None:
        self.rows, self.rank, self._signal = rows, rank, torch.zeros(1)

    @classmethod
    def among(cls, rank: int, size: int, numbers: int, dtype: torch.dtype) -> "SharedRows | None":
        """Rows of zeros; None where the workers cannot share memory, as those of several machines.

        All workers call this with the same arguments but for their rank.
        """
        length = numbers * dtype.itemsize
        own = os.memfd_create("foldin") if hasattr(os, "memfd_create") and _BOOT.exists() and length else None
        about = torch.zeros((size, 5), dtype=torch.int64)
        try:
            if own is not None:
                os.ftruncate(own, length)
                status = os.fstat(own)
                about[rank] = torch.tensor([_machine(), os.getpid(), own, status.st_dev, status.st_ino])
            torch.distributed.all_reduce(about)
            rows = [_row(*one, length=length, dtype=dtype) for one in about.tolist()]
            seen = torch.tensor(sum(row is not None for row in rows))
            torch.distributed.all_reduce(seen)
        finally:
            if own is not None:
                os.close(own)
        return cls([row for row in rows if row is not None], rank) if int(seen) == size**2 else None

    @property
    def own(self) -> Tensor:
        """The row of this worker."""
        return self.rows[self.rank]

    def sums(self, vectors: Sequence[Tensor]) -> list[Tensor]:
        """The sum of each vector over the workers, in this worker's row, which the next call overwrites.

        All workers call this with vectors of the same lengths, together not longer than the row. Each sums its part of all
        entries, of which it needs only those of the others in their rows.
        """
        count, size = sum(map(len, vectors)), len(self.rows)
        first, last = count * self.rank // size, count * (self.rank + 1) // size
        found, parts, start = [], [], 0
        for vector in vectors:
            here = self.own[start : start + len(vector)]
            begin, end = (min(max(edge - start, 0), len(vector)) for edge in (first, last))
            here[:begin].copy_(vector[:begin])
            here[end:].copy_(vector[end:])
            found.append(here)
            parts.append((start + begin, vector[begin:end]))
            start += len(vector)
        self._wait()
        others = [row for rank, row in enumerate(self.rows) if rank != self.rank]
        for start, part in parts:
            for at, own in zip(range(start, start + len(part), _BLOCK), torch.split(part, _BLOCK), strict=False):
                places = slice(at, at + len(own))
                total = torch.add(own, others[0][places], out=self.own[places])
                for other in others[1:]:
                    total.add_(other[places])
                for other in others:
                    other[places].copy_(total)
        self._wait()
        return found

    def _wait(self) -> None:
        """Return when all workers have called this, and see what they wrote before."""
        torch.distributed.all_reduce(self._signal)


def _machine() -> int:
    """A number of this start of this machine."""
    return zlib.crc32(_BOOT.read_bytes())


def _row(
    machine: int, process: int, descriptor: int, device: int, number: int, *, length: int, dtype: torch.dtype
) -> Tensor | None:
    """The row in a file of a process; None if it is not of this machine, or not to be seen from here."""
    if not process or machine != _machine():
        return None
    try:
        file = os.open(f"/proc/{process}/fd/{descriptor}", os.O_RDWR)
    except OSError:
        return None
    try:
        status = os.fstat(file)
        if (status.st_dev, status.st_ino) != (device, number):  # a process of another container, of the same number
            return None
        # The tensor keeps the array and the array the mapping, which outlives the descriptor.
        return torch.from_numpy(np.frombuffer(mmap.mmap(file, length), dtype=np.uint8)).view(dtype)
    finally:
        os.close(file)
