"""Sums of tensors over the workers of a training, in memory that is kept from step to step."""

import torch

from foldin.tensors import Tensor
from foldin.training.shared_memory import SharedRows
from foldin.workers import Group

__all__ = ["Sums"]


class Sums:
    """Sums of tensors over the workers of a group: in memory that workers of one machine share, where they can.

    Args:
        group: the workers, all of which must call this with the same names in the same order.
    """

    def __init__(self, group: Group) -> None:
        self.group = group
        self._memory: dict[tuple[str, torch.dtype, torch.device], SharedRows | Tensor] = {}

    def __call__(self, name: str, *values: Tensor) -> list[Tensor]:
        """The sum of each tensor over the workers, the same to the bit for all of them.

        It is in memory that the next call with that name overwrites; what is given stays as it is, and must not be the result of
        an earlier call with that name. A single worker gets what it gives.

        Args:
            name: what is summed.
            values: tensors of this worker, of one dtype and on one device; those of the others have the same shapes.
        """
        if self.group.size == 1:
            return list(values)
        vectors = [value.reshape(-1) for value in values]
        count = sum(map(len, vectors))
        memory = self._memory_of(name, count, values[0])
        if isinstance(memory, SharedRows):
            self.group.exchanged += count * values[0].element_size()
            found = memory.sums(vectors)
        else:
            flat = torch.cat(vectors, out=memory[:count])
            self.group.sum_(flat)
            found = list(torch.split(flat, [len(vector) for vector in vectors]))
        return [one.view(value.shape) for one, value in zip(found, values, strict=True)]

    def _memory_of(self, name: str, count: int, like: Tensor) -> SharedRows | Tensor:
        """Memory for so many numbers, which grows by a quarter at least: what has grown once will grow again."""
        key = (name, like.dtype, like.device)
        held = self._memory.get(key)
        room = 0 if held is None else len(held.own if isinstance(held, SharedRows) else held)
        if held is not None and room >= count:
            return held
        self._memory.pop(key, None)  # which need not be there beside the larger one
        del held
        room = max(count, room + room // 4)
        on_cpu = like.device.type == "cpu"
        shared = SharedRows.among(self.group.rank, self.group.size, room, like.dtype) if on_cpu else None
        self._memory[key] = found = like.new_empty(room) if shared is None else shared
        return found
