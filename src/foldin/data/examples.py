"""Rows of a tensor: the training data of models of pictures and of vectors."""

import hashlib
from dataclasses import dataclass

import numpy as np
import torch

from foldin.data.indices import Indices, check_indices
from foldin.errors import ShapeError
from foldin.tensors import Array, Int64, Tensor

__all__ = ["Examples"]


@dataclass(frozen=True, eq=False)
class Examples:
    """Independent examples of one shape. The tensor is not copied.

    Args:
        values: (rows, …); pictures as uint8 from 0 to 255, codes as int64, or floating-point numbers.

    Raises:
        ShapeError: `values` is not a tensor, or has fewer than two dimensions.
    """

    values: Tensor

    def __post_init__(self) -> None:
        if not isinstance(self.values, Tensor):
            raise ShapeError(
                f"examples must be the rows of a tensor, not of {type(self.values).__name__}; see torch.as_tensor"
            )
        if self.values.ndim < 2:
            raise ShapeError(
                f"examples need a tensor of at least two dimensions, not of the shape {tuple(self.values.shape)}"
            )

    def __len__(self) -> int:
        return len(self.values)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one example."""
        return tuple(self.values.shape[1:])

    def select(self, which: Indices) -> "Examples":
        """The examples at the given indices, in that order, or those where a mask is true; a copy.

        Raises:
            ShapeError: an index out of range, or a mask of another size.
        """
        which = check_indices(which, len(self), "examples", "example")
        return Examples(self.values.index_select(0, torch.from_numpy(which).to(self.values.device)))

    def rows(self, start: int, stop: int) -> "Examples":
        """Examples `start` to `stop`, sharing memory with these."""
        return Examples(self.values[start:stop])

    def windows(self, rng: np.random.Generator) -> list[Int64[Array, " _window"]]:
        """All examples as a single group, since they are in memory; nothing is drawn."""
        return [np.arange(len(self))]

    def fingerprint(self) -> str:
        """SHA-256 of type, shape and content, in hexadecimal."""
        digest = hashlib.sha256(f"{self.values.dtype} {tuple(self.values.shape)} ".encode())
        digest.update(np.ascontiguousarray(self.values.cpu().numpy()).data)
        return digest.hexdigest()
