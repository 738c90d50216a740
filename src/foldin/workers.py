"""Workers: processes that share the computation of one training, and random numbers that do not depend on their number.

Every worker has all training data and the same model. It computes its part of each batch and of each pass over the data; sums
over the parts then make all models equal again. Noise is drawn for the whole batch by every worker, from generators in the same
state, and each keeps its part: k workers see what one sees.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.distributed

from foldin.rows import R
from foldin.tensors import Array, Int64, Tensor

__all__ = ["ALONE", "Group", "GroupGenerator", "Span", "drawn", "gathered", "group_of", "longest", "span_of"]


class Group:
    """A worker among the workers of one training; by default, the only one.

    Args:
        rank: number of this worker, from 0. The first one also validates, saves and reports.
        size: number of workers. If there are several, the process group of `torch.distributed` connects them (see
            `training.joined`), and all workers must call the same methods in the same order.

    `exchanged` is the number of bytes of what this worker has given to sums and gathers.
    """

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size, self.exchanged = rank, size, 0

    @property
    def first(self) -> bool:
        """Whether this is the worker that validates, saves and reports."""
        return self.rank == 0

    def part(self, count: int) -> slice:
        """This worker's part of `count` rows: parts are contiguous, in the order of the workers, and of nearly equal size."""
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def rows(self, data: R) -> R:
        """This worker's part of some rows; `data` itself for a single worker."""
        part = self.part(len(data))
        return data if self.size == 1 else data.rows(part.start, part.stop)

    def sum_(self, *values: Tensor | Array) -> None:
        """Replace each tensor or array by its sum over the workers, which is the same to the bit for all of them."""
        if self.size > 1:
            for value in values:
                self.exchanged += value.nbytes
                _in_place(value, torch.distributed.all_reduce)

    def total(self, value: float) -> float:
        """The sum of a number over the workers."""
        if self.size == 1:
            return value
        found = torch.tensor([value], dtype=torch.float64)
        self.sum_(found)
        return float(found)

    def gather(self, own: Tensor, count: int, start: int | None = None) -> Tensor:
        """The rows of all workers in their order.

        Args:
            own: rows of this worker.
            count: number of rows of all workers.
            start: place of the first of `own` among them; None for the start of `part`.
        """
        if self.size == 1:
            return own
        first = self.part(count).start if start is None else start
        found = own.new_zeros((count, *own.shape[1:]))
        found[first : first + len(own)] = own
        self.sum_(found)
        return found

    def gather_uneven(self, own: Tensor) -> list[Tensor]:
        """The tensors of all workers, in their order.

        Args:
            own: tensor of this worker; those of the others may have another length.
        """
        if self.size == 1:
            return [own]
        lengths = torch.zeros(self.size, dtype=torch.int64)
        lengths[self.rank] = len(own)
        self.sum_(lengths)
        longest = int(lengths.max())
        if longest == 0:
            return [own] * self.size
        padded = own.new_zeros((longest, *own.shape[1:]))
        padded[: len(own)] = own
        found = [torch.empty_like(padded) for _ in range(self.size)]
        self.exchanged += padded.nbytes
        torch.distributed.all_gather(found, padded)
        return [one[:length] for one, length in zip(found, lengths.tolist(), strict=True)]

    def same_(self, *values: Tensor | Array) -> None:
        """Replace each tensor or array by that of the first worker."""
        if self.size > 1:
            for value in values:
                _in_place(value, lambda tensor: torch.distributed.broadcast(tensor, src=0))

    def of_first(self, value: Callable[[], float]) -> float:
        """A number that the first worker computes, for all of them."""
        if self.size == 1:
            return value()
        found = torch.tensor([value() if self.first else 0.0], dtype=torch.float64)
        self.same_(found)
        return float(found)

    def wait(self) -> None:
        """Return when all workers have called this."""
        self.total(0.0)


ALONE = Group()


def _in_place(value: Tensor | Array, change: Callable[[Tensor], Any]) -> None:
    """Change a tensor or an array by a collective operation, which needs contiguous memory."""
    tensor = torch.from_numpy(value) if isinstance(value, np.ndarray) else value.detach()
    flat = tensor.contiguous()
    change(flat)
    if flat.data_ptr() != tensor.data_ptr():
        tensor.copy_(flat)


@dataclass(frozen=True, eq=False)
class Span:
    """The entries of a worker along an axis of a batch, such as its users or their events.

    Args:
        start: index of the first entry.
        stop: index after the last one.
        total: number of entries of the whole batch.
        counts: number of entries of each row of the whole batch.
        idle: whether they are entries of another worker, computed only so that there is something to compute.
    """

    start: int
    stop: int
    total: int
    counts: Int64[Array, " rows"]
    idle: bool

    @property
    def share(self) -> float:
        """Share of the whole batch, in [0, 1]."""
        return 0.0 if self.idle else (self.stop - self.start) / self.total


class GroupGenerator(torch.Generator):
    """A random generator that is in the same state in all workers of a group, as long as all draw the same from it.

    Args:
        device: device of the generator.
        group: the workers.

    In a gradient step, `batch` is the whole batch and `spans` are the parts of this worker, by the name of the axis.
    """

    group: Group
    batch: Any
    spans: Mapping[str, Span]

    def __new__(cls, device: torch.device | str, group: Group) -> "GroupGenerator":
        made = super().__new__(cls, device)  # type: ignore[call-arg]  # the stubs of PyTorch have its __init__ alone
        made.group, made.batch, made.spans = group, None, {}
        return made


def group_of(generator: torch.Generator) -> Group:
    """The workers that share a training, from the generator that the training hands to its passes."""
    return generator.group if isinstance(generator, GroupGenerator) else ALONE


def span_of(generator: torch.Generator | None, axis: str) -> Span | None:
    """This worker's part of an axis of the batch; None if one worker computes the whole batch."""
    return generator.spans.get(axis) if isinstance(generator, GroupGenerator) else None


def longest(generator: torch.Generator | None, axis: str) -> int:
    """Largest number of entries of a row of the whole batch; 0 if one worker computes it."""
    span = span_of(generator, axis)
    return 0 if span is None else int(span.counts.max(initial=0))


def drawn(
    shape: Sequence[int],
    generator: torch.Generator,
    draw: Callable[[tuple[int, ...]], Tensor],
    axis: str = "users",
) -> Tensor:
    """`draw(shape)`; in a batch that several workers share, this worker's part of a draw for the whole batch.

    Args:
        shape: shape of the wanted tensor; its first axis has one entry for each entry of `axis`.
        generator: the generator that `draw` draws from.
        draw: function of a shape.
        axis: name of the axis of the batch.
    """
    span = span_of(generator, axis)
    if span is None:
        return draw(tuple(shape))
    assert span.stop - span.start == shape[0], f"{shape[0]} draws along {axis}, not {span.stop - span.start}"
    return draw((span.total, *shape[1:]))[span.start : span.stop]


def gathered(own: Tensor, generator: torch.Generator, axis: str) -> Tensor:
    """The entries of the whole batch along an axis, from those of each worker; `own` if one worker computes the batch."""
    span = span_of(generator, axis)
    if span is None:
        return own
    return group_of(generator).gather(own[:0] if span.idle else own, span.total, 0 if span.idle else span.start)
