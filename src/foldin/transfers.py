"""Copies of arrays to the device of a model."""

import numpy as np
import torch

from foldin.tensors import Array, Shaped, Tensor

__all__ = ["sent"]


def sent(
    values: Shaped[Array, "*shape"], device: torch.device | str, dtype: torch.dtype | None = None
) -> Shaped[Tensor, "*shape"]:
    """A tensor of some values on a device, which on the CPU may share their memory.

    A GPU copies them while the processor goes on: from ordinary memory, it would first finish all that it was given to do.

    Args:
        dtype: type of the tensor; None for that of the values.
    """
    found = torch.from_numpy(np.ascontiguousarray(values))
    if torch.device(device).type == "cuda":
        found = found.pin_memory()
    return found.to(device, non_blocking=True).to(dtype or found.dtype)
