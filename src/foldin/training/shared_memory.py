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

from foldin.errors import FitError
from foldin.tensors import Tensor

__all__ = ["SharedRows"]

_BLOCK = 1 << 17  # numbers that are added and written while they are in the cache
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_TOKEN = 8  # bytes at the start of a new row, by which the other workers see that it is that row


class SharedRows:
    """A row of numbers for each worker of the process group of `torch.distributed`, in memory that all of them map.

    Args:
        rows: the rows of all workers, of the same length.
        rank: number of this worker.
    """

    def __init__(self, rows: list[Tensor], rank: int) -> None:
        self.rows, self.rank = rows, rank

    @classmethod
    def among(cls, rank: int, size: int, numbers: int, dtype: torch.dtype) -> "SharedRows | None":
        """Rows of any content; None for all workers if one of them cannot see all rows, as on several machines.

        All workers call this with the same arguments but for their rank.
        """
        length = max(_TOKEN, numbers * dtype.itemsize)
        token = int.from_bytes(os.urandom(_TOKEN), "little") >> 1
        file = _created(length, token)
        try:
            # Machine, process, descriptor and token of each worker's row; zeros if it has none.
            about = torch.zeros((size, 4), dtype=torch.int64)
            if file is not None:
                about[rank] = torch.tensor([_machine(), os.getpid(), file, token])
            torch.distributed.all_reduce(about)
            found = [_mapped(*one, length=length) for one in about.tolist()]
            rows = [row[: numbers * dtype.itemsize].view(dtype) for row in found if row is not None]
            seen = torch.tensor(len(rows))
            torch.distributed.all_reduce(seen)
        finally:
            if file is not None:
                os.close(file)
        return cls(rows, rank) if int(seen) == size**2 else None

    @property
    def own(self) -> Tensor:
        """The row of this worker."""
        return self.rows[self.rank]

    def sums(self, vectors: Sequence[Tensor]) -> list[Tensor]:
        """The sum of each vector over the workers, in this worker's row, which the next call overwrites.

        All workers call this with vectors of the same lengths, together not longer than the row. Each sums one part of the
        entries: its own numbers it reads where they are, those of the others in their rows.

        Raises:
            FitError: the workers have different numbers of entries.
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
        self._wait(count)
        others = [row for rank, row in enumerate(self.rows) if rank != self.rank]
        for start, part in parts:
            for at, own in zip(range(start, start + len(part), _BLOCK), torch.split(part, _BLOCK), strict=False):
                places = slice(at, at + len(own))
                total = torch.add(own, others[0][places], out=self.own[places])
                for other in others[1:]:
                    total.add_(other[places])
                for other in others:
                    other[places].copy_(total)
        self._wait(count)
        return found

    def _wait(self, count: int) -> None:
        """Return when all workers have called this, and see what they wrote before.

        Raises:
            FitError: they do not all have the same count; it is raised in all of them.
        """
        ends = torch.tensor([count, -count])
        torch.distributed.all_reduce(ends, op=torch.distributed.ReduceOp.MAX)
        if (most := int(ends[0])) != (least := -int(ends[1])):
            raise FitError(
                f"a step of several workers: one has gradients of {least:,} numbers, another one of {most:,}"
            )


def _machine() -> int:
    """A number of this start of this machine; 0 if it does not say which it is."""
    try:
        return zlib.crc32(_BOOT.read_bytes())
    except OSError:
        return 0


def _created(length: int, token: int) -> int | None:
    """The descriptor of a new file in memory that begins with a token; None if there can be none."""
    if not hasattr(os, "memfd_create") or not _machine():
        return None
    try:
        file = os.memfd_create("foldin")
    except OSError:
        return None
    try:
        os.posix_fallocate(file, 0, length)  # now: where memory is missing, the first write would end the process
        os.pwrite(file, token.to_bytes(_TOKEN, "little"), 0)
    except OSError:
        os.close(file)
        return None
    return file


def _mapped(machine: int, process: int, descriptor: int, token: int, *, length: int) -> Tensor | None:
    """The bytes of a file of another process; None if it is not of this machine, or not to be seen from here."""
    if not machine or machine != _machine():
        return None
    try:
        file = os.open(f"/proc/{process}/fd/{descriptor}", os.O_RDWR)
    except OSError:
        return None
    try:
        # A process of another container may have that number, and a copy of this machine all numbers: the token has to be there.
        if os.pread(file, _TOKEN, 0) != token.to_bytes(_TOKEN, "little"):
            return None
        # The tensor keeps the array, and the array the mapping, which keeps a descriptor of its own.
        return torch.from_numpy(np.frombuffer(mmap.mmap(file, length), dtype=np.uint8))
    except (OSError, ValueError):
        return None
    finally:
        os.close(file)
