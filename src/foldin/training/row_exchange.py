"""Sums over workers of gradients that have values for some rows of a table only.

The workers tell each other the rows that they have, and then sum the values of the rows that any of them has. What a step sends
is in proportion to the rows that its batch meets, whatever the size of the tables.
"""

from collections.abc import Mapping

import torch

from foldin.kernels import Buffers, row_gradient, rows_of
from foldin.tensors import Tensor
from foldin.training.sums import Sums
from foldin.workers import Group

__all__ = ["sum_of_rows"]


def sum_of_rows(sums: Sums, gradients: Mapping[str, Tensor], memory: Buffers) -> dict[str, Tensor]:
    """The sum over the workers of each sparse gradient, by the name of its table; the same to the bit for all workers.

    Rows are in ascending order, each once, as those of one worker that has the whole batch. The next call overwrites them.

    Args:
        sums: those of the workers.
        gradients: sparse gradients of this worker; those of the others have the same names and shapes.
        memory: memory of what this worker adds, by the names of the tables.
    """
    own = {name: rows_of(gradient) for name, gradient in gradients.items()}
    rows = _rows_of_any(sums.group, [rows for rows, _ in own.values()], [len(one) for one in gradients.values()])
    found = {}
    for (name, (places, values)), of_any in zip(own.items(), rows, strict=True):
        added = memory.get(name, (len(of_any), *values.shape[1:]), values)
        added.zero_().index_copy_(0, torch.searchsorted(of_any, places), values)
        (summed,) = sums(f"rows of {name}", added) if len(of_any) else (added,)
        found[name] = row_gradient(of_any, summed, gradients[name].shape)
    return found


def _rows_of_any(group: Group, own: list[Tensor], sizes: list[int]) -> list[Tensor]:
    """The rows of each table that any worker has, in ascending order.

    Rows are numbered through all tables, so that all are exchanged at once.

    Args:
        own: rows of this worker, by table.
        sizes: number of rows of each table.
    """
    ends = torch.tensor(sizes).cumsum(0)
    starts = (ends - torch.tensor(sizes)).tolist()
    numbered = torch.cat([rows + start for rows, start in zip(own, starts, strict=True)])
    of_any = torch.unique(torch.cat(group.gather_uneven(numbered)))
    counts = torch.searchsorted(of_any, ends.to(of_any.device)).diff(prepend=of_any.new_zeros(1)).tolist()
    return [part - start for part, start in zip(torch.split(of_any, counts), starts, strict=True)]
