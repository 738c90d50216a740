"""Rows of a tensor: what models of pictures and of vectors learn from."""

import hashlib
from dataclasses import dataclass

import numpy as np
import torch

from foldin.data.indices import Indices, check_indices
from foldin.errors import ShapeError
from foldin.tensors import Tensor

__all__ = ["Examples"]


@dataclass(frozen=True, eq=False)
class Examples:
    """Independent examples of one shape; the memory is shared, not copied.

    Args:
        values: (rows, …); pictures as whole numbers 0–255 of type uint8, codes as int64, or floating-point numbers.

    Raises:
        ShapeError: a single number, or rows without a shape.
    """

    values: Tensor

    def __post_init__(self) -> None:
        if not isinstance(self.values, Tensor):
            raise ShapeError(f"examples are rows of a tensor, not of {type(self.values).__name__}; see torch.as_tensor")
        if self.values.ndim < 2:
            raise ShapeError(f"examples need rows of some shape, not a tensor of shape {tuple(self.values.shape)}")

    def __len__(self) -> int:
        return len(self.values)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one example."""
        return tuple(self.values.shape[1:])

    def select(self, which: Indices) -> "Examples":
        """The given examples, in the given order (a copy); of a mask with an entry for each, those where it is true.

        Raises:
            ShapeError: no indices of examples, or a mask of another size.
        """
        which = check_indices(which, len(self), "examples", "example")
        return Examples(self.values.index_select(0, torch.from_numpy(which).to(self.values.device)))

    def rows(self, start: int, stop: int) -> "Examples":
        """Examples `start` to `stop`, sharing memory with these."""
        return Examples(self.values[start:stop])

    def fingerprint(self) -> str:
        """SHA-256 over type, shape and content."""
        digest = hashlib.sha256(f"{self.values.dtype} {tuple(self.values.shape)} ".encode())
        digest.update(np.ascontiguousarray(self.values.cpu().numpy()).data)
        return digest.hexdigest()
