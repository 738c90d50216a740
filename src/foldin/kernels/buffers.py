"""Large tensors that are allocated once and reused.

A fresh tensor of tens of megabytes costs as much time in page faults as in arithmetic; these live as long as the module that
holds the `Buffers` object.
"""

import math

import torch

from foldin.tensors import Tensor

__all__ = ["Buffers"]


class Buffers:
    """Scratch tensors by name, which grow when a larger one is requested. Their content is undefined between uses."""

    def __init__(self) -> None:
        self._flat: dict[str, Tensor] = {}
        self._touched: dict[str, Tensor] = {}

    def get(self, name: str, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """A contiguous tensor of `shape`, with the dtype and device of `like`, in the same memory at each call."""
        size = math.prod(shape)
        flat = self._flat.get(name)
        if flat is None or flat.numel() < size or flat.dtype != like.dtype or flat.device != like.device:
            flat = torch.zeros(size, dtype=like.dtype, device=like.device)
            self._flat[name] = flat
            self._touched.pop(name, None)
        return flat[:size].view(shape)

    def gradient(self, name: str, weight: Tensor) -> Tensor:
        """A tensor for the gradient of `weight`: the buffer, or fresh zeros while `weight.grad` still uses the buffer."""
        buffer = self.get(name, tuple(weight.shape), weight)
        if weight.is_leaf and weight.grad is not None and weight.grad.data_ptr() == buffer.data_ptr():
            return torch.zeros_like(weight)
        return buffer

    def row_gradient(self, name: str, weight: Tensor, rows: Tensor) -> Tensor:
        """A tensor as from `gradient` with all rows zero except possibly `rows`, which the caller must overwrite."""
        before = self._flat.get(name)
        buffer = self.gradient(name, weight)
        mine = self._flat[name]
        if buffer.data_ptr() != mine.data_ptr():
            return buffer
        if before is mine and name in self._touched:
            buffer.index_fill_(0, self._touched[name], 0.0)
        self._touched[name] = rows
        return buffer
