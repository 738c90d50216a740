"""The arrays of users' events, item indices in the order of time, as they are validated and read.

`items[offsets[u]:offsets[u + 1]]` are the items of user `u`, oldest first. The two arrays are also the indices and
offsets of an `EmbeddingBag`, the indices and indptr of a CSR matrix, and the packed sequences of a transformer.
"""

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse
import torch

from foldin.data.feature_rows import check_rows
from foldin.data.indices import count_of
from foldin.data.parts import many, user_windows
from foldin.errors import ShapeError
from foldin.tensors import Array, Float32, Int, Int32, Int64, Tensor, UInt8
from foldin.transfers import sent

if TYPE_CHECKING:
    from foldin.data.histories import Histories

__all__ = ["BESIDE", "HistoryArrays"]

# Optional attributes of each event, and their types.
BESIDE = {"times": np.int64, "kinds": np.uint8, "values": np.float32, "weights": np.float32}


@dataclass(frozen=True, eq=False, slots=True, kw_only=True, repr=False)
class HistoryArrays:
    """The arrays of `Histories`, which documents them: their checks, and what is read from them as they are."""

    items: Int32[Array, " events"]
    offsets: Int64[Array, " offsets"]
    n_items: int
    times: Int64[Array, " events"] | None = None
    kinds: UInt8[Array, " events"] | None = None
    values: Float32[Array, " events"] | None = None
    weights: Float32[Array, " events"] | None = None
    dislikes: "Histories | None" = None
    user_features: scipy.sparse.csr_array | None = None

    def __post_init__(self) -> None:
        for name in ("items", "offsets", *BESIDE):
            array = getattr(self, name)
            if not (isinstance(array, np.ndarray) or (name in BESIDE and array is None)):
                raise ShapeError(f"{name} must be a NumPy array, not {type(array).__name__}; see Histories.from_lists")
        count_of(self.n_items, "n_items", least=0)
        if self.items.ndim != 1:
            raise ShapeError(f"items must be one-dimensional, not of the shape {self.items.shape}")
        if self.items.dtype != np.int32 or self.offsets.dtype != np.int64:
            raise ShapeError(f"items must be int32 and offsets int64, not {self.items.dtype} and {self.offsets.dtype}")
        if self.offsets.ndim != 1 or len(self.offsets) == 0 or self.offsets[0] != 0:
            raise ShapeError("offsets must be one-dimensional, not empty, and start at 0")
        if self.offsets[-1] != len(self.items) or (np.diff(self.offsets) < 0).any():
            raise ShapeError(
                f"offsets must not decrease and must end at the {len(self.items)} events, not {self.offsets[-1]}"
            )
        for name, dtype in BESIDE.items():
            array = getattr(self, name)
            if array is not None and (array.dtype != dtype or array.shape != self.items.shape):
                raise ShapeError(
                    f"{name} must be {np.dtype(dtype)}, one for each of the {len(self.items)} events, not {array.dtype} of the "
                    f"shape {array.shape}"
                )
        if len(self.items) and (self.items.min() < 0 or self.items.max() >= self.n_items):
            raise ShapeError(
                f"item indices must be in [0, {self.n_items}), met {self.items.min()} to {self.items.max()}"
            )
        if self.dislikes is not None and (len(self.dislikes), self.dislikes.n_items) != (len(self), self.n_items):
            raise ShapeError(
                f"dislikes of {len(self.dislikes)} users over {self.dislikes.n_items} items came with histories of {len(self)} "
                f"users over {self.n_items} items"
            )
        if self.user_features is not None:
            check_rows(self.user_features, len(self), "user_features")

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __repr__(self) -> str:
        beside = [name for name in (*BESIDE, "dislikes", "user_features") if getattr(self, name) is not None]
        known = f", with {', '.join(beside)}" if beside else ""
        return f"Histories of {len(self):,} users: {self.n_events:,} events over {self.n_items:,} items{known}"

    @property
    def n_events(self) -> int:
        return len(self.items)

    @property
    def lengths(self) -> Int64[Array, " users"]:
        """Number of events of each user."""
        return np.diff(self.offsets)

    def of(self, user: int) -> Int32[Array, " history"]:
        """Items of one user, oldest first.

        Raises:
            ShapeError: no such user.
        """
        if not 0 <= user < len(self):
            raise ShapeError(f"user {user}: there are histories of {len(self)} users, counted from 0")
        return self.items[self.offsets[user] : self.offsets[user + 1]]

    def users(self) -> Int64[Array, " events"]:
        """The user of each event."""
        return np.repeat(np.arange(len(self), dtype=np.int64), self.lengths)

    @property
    def on_disk(self) -> bool:
        """Whether the events are mapped into memory and are many: what is made of them is then made in parts, on disk."""
        return isinstance(self.items, np.memmap) and many(self.n_events) and len(self) > 1

    def windows(self, rng: np.random.Generator) -> list[Int64[Array, " _window"]]:
        """All users in groups that are read together: a single one in memory, some parts drawn at random on disk."""
        return user_windows(self.offsets, rng) if self.on_disk else [np.arange(len(self))]

    def arrays(self) -> dict[str, Array | None]:
        """The arrays with an entry for each event, by name; None for what these histories lack."""
        return {name: getattr(self, name) for name in ("items", *BESIDE)}

    def pair_keys(self) -> Int64[Array, " events"]:
        """A number for each event, equal for two events exactly if user and item are the same."""
        return self.users() * self.n_items + self.items

    def csr(self, values: Float32[Array, " events"] | None = None) -> scipy.sparse.csr_matrix:
        """The users × items matrix, float32: ones, or the given value of each event. It shares memory with the histories."""
        entries = np.ones(self.n_events, dtype=np.float32) if values is None else values
        return scipy.sparse.csr_matrix((entries, self.items, self.offsets), shape=(len(self), self.n_items))

    def tensors(self, device: torch.device | str = "cpu") -> tuple[Int[Tensor, " events"], Int[Tensor, " offsets"]]:
        """(items, offsets) as int64 tensors on `device`."""
        return sent(self.items, device, torch.int64), sent(self.offsets, device)

    def fingerprint(self) -> str:
        """SHA-256 of the items, times and weights of all users' events, of dislikes, features, and the size of the catalog.

        Kinds and values, which no training reads, are not part of it. The digest is in hexadecimal.
        """
        digest = hashlib.sha256(f"{len(self)} {self.n_items} ".encode())
        digest.update(np.ascontiguousarray(self.offsets).data)
        digest.update(np.ascontiguousarray(self.items).data)
        if self.times is not None:
            digest.update(np.ascontiguousarray(self.times).data)
        if self.weights is not None:
            digest.update(b"weights" + np.ascontiguousarray(self.weights).tobytes())
        if self.dislikes is not None:
            digest.update(f"dislikes {self.dislikes.fingerprint()}".encode())
        if self.user_features is not None:
            rows = self.user_features
            parts = (rows.indptr.astype(np.int64), rows.indices.astype(np.int64), rows.data)
            digest.update(b"features" + b"".join(one.tobytes() for one in parts))
        return digest.hexdigest()

    def _beside(self, at: Any) -> dict[str, Any]:
        return {name: None if (array := getattr(self, name)) is None else array[at] for name in BESIDE}
