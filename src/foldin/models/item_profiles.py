"""The features of all items as tensors of a model, so that they are stored with it."""

from collections.abc import Mapping

import numpy as np
import scipy.sparse
import torch

from foldin.tensors import Tensor

__all__ = ["ItemProfiles"]


class ItemProfiles:
    """A sparse matrix, items × columns, whose number of values is not known before training; without values until it is set."""

    def __init__(self, n_items: int, device: torch.device) -> None:
        self.device = device
        self.offsets = torch.zeros(n_items + 1, dtype=torch.int64, device=device)
        self.columns = torch.zeros(0, dtype=torch.int64, device=device)
        self.values = torch.zeros(0, device=device)

    def set(self, matrix: scipy.sparse.csr_array) -> None:
        """Take the values of a matrix."""
        self.offsets.copy_(torch.from_numpy(matrix.indptr.astype(np.int64)))
        self.columns = torch.from_numpy(matrix.indices.astype(np.int64)).to(self.device)
        self.values = torch.from_numpy(matrix.data.astype(np.float32)).to(self.device)

    def tensors(self) -> dict[str, Tensor]:
        """The tensors by name."""
        return {"profiles.offsets": self.offsets, "profiles.columns": self.columns, "profiles.values": self.values}

    def with_items(self, matrix: scipy.sparse.csr_array) -> dict[str, Tensor]:
        """The tensors by name, with those of further items after those that are there.

        Args:
            matrix: features of the further items.
        """
        values = torch.from_numpy(matrix.data.astype(np.float32)).to(self.device)
        columns = torch.from_numpy(matrix.indices.astype(np.int64)).to(self.device)
        ends = torch.from_numpy(matrix.indptr[1:].astype(np.int64)).to(self.device)
        return {
            "profiles.offsets": torch.cat((self.offsets, self.offsets[-1] + ends)),
            "profiles.columns": torch.cat((self.columns, columns)),
            "profiles.values": torch.cat((self.values, values)),
        }

    def make_room(self, state: Mapping[str, Tensor]) -> None:
        """Take the number of values of a stored matrix, so that its tensors can be copied."""
        columns, values = state.get("profiles.columns"), state.get("profiles.values")
        if columns is not None and values is not None and columns.shape == values.shape:
            self.columns = torch.zeros(columns.shape, dtype=torch.int64, device=self.device)
            self.values = torch.zeros(values.shape, device=self.device)

    def matrix(self) -> scipy.sparse.csr_array:
        """The values as a sparse matrix; columns after the last one that has a value are left out."""
        columns = self.columns.cpu().numpy()
        shape = (len(self.offsets) - 1, int(columns.max()) + 1 if len(columns) else 1)
        return scipy.sparse.csr_array((self.values.cpu().numpy(), columns, self.offsets.cpu().numpy()), shape=shape)
