"""Vectors of items of a sequence model that are free vectors plus a linear map of features, as input and as output.

    E[i] = k_i v_i + Wᵀ f_i

Both the events that are read and the items that are scored have these vectors, so that W learns from either. Losses are those
over the items with training events alone: other items are neither in the softmax nor among the negatives.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from foldin.models.feature_map import FeatureMap
from foldin.models.feature_vectors import FeatureVectors
from foldin.tensors import Float, Tensor

__all__ = ["VectorTable"]


class VectorTable(FeatureMap):
    """The vectors of all items, in a training step with gradients and otherwise without.

    Args:
        free: v, the free vectors.
        option: the settings.
        seed: seed of the initial W, whose entries are as large as those of v.
    """

    def __init__(self, free: nn.Parameter, option: FeatureVectors, seed: int) -> None:
        sd = float(free.detach().std())
        super().__init__(len(free), free.shape[1], option.cold_factor, free.device, initial_sd=sd, seed=seed)
        self.free, self.option = free, option
        self._of_step: Tensor | None = None
        self._combined: Tensor | None = None  # until training changes it

    def table(self) -> Float[Tensor, "items width"]:
        """E, the vector of each item."""
        if self._of_step is not None:
            return self._of_step
        if self._combined is None:
            with torch.no_grad():
                self._combined = self.free + self.rows()
        return self._combined

    def forget(self) -> None:
        """Compute the vectors anew when they are next read."""
        self._combined = None

    @contextmanager
    def step(self, generator: torch.Generator) -> Iterator[None]:
        """Within it, the vectors are those of a training step."""
        kept = self.kept(self.option.dropout, generator).to(self.free.dtype)
        self._of_step = self.free * kept.unsqueeze(1) + self.rows()
        try:
            yield
        finally:
            self._of_step = None
            self.forget()  # the gradient changes them
