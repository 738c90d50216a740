"""Data-parallel training: each worker computes its part of a batch, and gradients are summed before the optimizer's step.

The batches are those of one worker. Each worker weighs the mean loss of its part by the share of the batch that it has, so that
the sum over the workers is the gradient of the mean over the batch. All workers then take the same step of the same optimizer.
Of a table whose gradient is sparse, only the rows that the batch meets are exchanged (`row_exchange.py`).
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed

from foldin.errors import FitError
from foldin.kernels import Buffers
from foldin.rows import Rows
from foldin.tensors import Array, Int64
from foldin.training.row_exchange import sum_of_rows
from foldin.training.sums import Sums
from foldin.training.trainer import Divided, GradientPhase, Loss, Step, Trainer
from foldin.workers import Group, GroupGenerator, Span

__all__ = ["Gradients", "check_divided", "gradients", "joined", "launched"]

_PATIENCE = timedelta(hours=2)  # time that workers wait for the first one, which alone validates and saves

Gradients = Callable[[GradientPhase[Any], Rows, Step, torch.Generator], Loss]


def launched() -> bool:
    """Whether `torchrun`, or another launcher that sets the same variables of the environment, has started this process."""
    return {"RANK", "WORLD_SIZE", "MASTER_ADDR"} <= os.environ.keys()


@contextmanager
def joined(rank: int = 0, size: int = 1, *, meeting: Path | None = None, gpu: bool = False) -> Iterator[Group]:
    """A context with the group of workers of which this process is one, for the argument `group` of `fit` and `train`.

    Without arguments, in a process that `torchrun` has started, the group of all processes that it has started; elsewhere, a
    group of this process alone.

    Args:
        rank: number of this process, from 0; not used without `meeting`.
        size: number of processes; not used without `meeting`.
        meeting: file by which the processes find each other, which must not exist before the first one opens it; None for the
            variables of the environment that `torchrun` sets.
        gpu: whether each process trains on its own GPU; tensors are then exchanged by NCCL, else by Gloo.
    """
    if meeting is None and not launched():
        yield Group()
        return
    # Three names below are documented, though PyTorch's module does not list them.
    backend = "cpu:gloo,cuda:nccl" if gpu else "gloo"
    if meeting is None:
        found, rank, size = next(torch.distributed.rendezvous("env://", timeout=_PATIENCE))  # type: ignore[attr-defined]  # not in its stubs
        # torchrun keeps one store for all attempts, in which a new one would find the addresses of the processes that have died.
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        own = torch.distributed.PrefixStore(f"attempt {attempt}", found)  # type: ignore[attr-defined]  # not in its stubs
        torch.distributed.init_process_group(backend, store=own, rank=rank, world_size=size, timeout=_PATIENCE)
    else:
        store = torch.distributed.FileStore(str(meeting), size)  # type: ignore[attr-defined]  # not in its stubs
        torch.distributed.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=_PATIENCE)
    try:
        yield Group(torch.distributed.get_rank(), torch.distributed.get_world_size())
    finally:
        torch.distributed.destroy_process_group()


def check_divided(trainer: Trainer[Any], group: Group, what: str) -> None:
    """Raise an error if several workers cannot share this training.

    Args:
        what: name of the model.

    Raises:
        FitError: they cannot.
    """
    for phase in trainer.phases:
        if group.size > 1 and isinstance(phase, GradientPhase) and isinstance(phase.divided, str):
            raise FitError(f"{what} is trained by one worker, not by {group.size}: {phase.divided}")


def gradients(group: Group) -> Gradients:
    """The function that computes the gradients of a step and returns its loss, both of the whole batch."""
    return _alone if group.size == 1 else _Shared(group)


def _alone(phase: GradientPhase[Any], train: Rows, step: Step, generator: torch.Generator) -> Loss:
    loss = phase.loss(train.select(step.users), step, generator)
    loss.value.backward()
    return loss


class _Shared:
    """Gradients that several workers compute together."""

    def __init__(self, group: Group) -> None:
        self.group, self._sums, self._memory_of_rows = group, Sums(group), Buffers()

    def __call__(self, phase: GradientPhase[Any], train: Rows, step: Step, generator: torch.Generator) -> Loss:
        assert isinstance(phase.divided, Divided)
        assert isinstance(generator, GroupGenerator)
        batch = train.select(step.users)
        part = self.group.part(len(batch))
        # A worker without a row computes the first one, so that it draws as the others do, and gives it no weight.
        idle = part.start == part.stop
        own = slice(0, 1) if idle else part
        counts = {"users": np.ones(len(batch), np.int64), **phase.divided.counts(batch)}
        generator.batch, generator.spans = batch, {name: _span(each, own, idle=idle) for name, each in counts.items()}
        of_own = Step(number=step.number, planned=step.planned, users=step.users[own])
        loss = phase.loss(batch.rows(own.start, own.stop), of_own, generator)
        share = generator.spans[phase.divided.mean_over].share
        (loss.value * share).backward()
        return self._summed(phase, loss, share)

    def _summed(self, phase: GradientPhase[Any], loss: Loss, share: float) -> Loss:
        """The loss of the whole batch; the gradients of all parameters are set to those of the whole batch.

        They are summed in memory of their own, since a kernel may keep the memory of its gradient for the next step.
        """
        given = {name: one.grad for name, one in phase.parameters.items() if one.grad is not None}
        dense = {name: one for name, one in given.items() if not one.is_sparse}
        values = [share * value.detach() for value in (loss.value, *loss.terms.values())]
        pieces = self._sums(phase.name, *dense.values(), *values)
        summed = dict(zip(dense, pieces, strict=False))
        if len(dense) < len(given):
            sparse = {name: one for name, one in given.items() if one.is_sparse}
            summed |= sum_of_rows(self._sums, sparse, self._memory_of_rows)
        for name, gradient in summed.items():
            phase.parameters[name].grad = gradient
        terms = [piece.clone() for piece in pieces[len(dense) :]]
        return Loss(terms[0], dict(zip(loss.terms, terms[1:], strict=True)))


def _span(counts: Int64[Array, " rows"], own: slice, *, idle: bool) -> Span:
    """The part of an axis that belongs to some rows."""
    edges = np.concatenate(([0], np.cumsum(counts)))
    return Span(int(edges[own.start]), int(edges[own.stop]), int(edges[-1]), counts, idle)
