"""Random numbers of users that do not depend on the other users of a call: one stream each, keyed by (seed, use, user)."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from foldin.data import Histories
from foldin.tensors import Array, Float, Float64

__all__ = ["Streams", "history_key", "keys_of", "log_gammas", "stream", "streams", "user_key"]

_SHARED = 0  # the key of what is drawn once for all users


def history_key(items: Sequence[int] | Array) -> int:
    """A 128-bit key of a history: the same in any process, for equal items in equal order."""
    return _digest(b"history", np.asarray(items, dtype="<i8").tobytes())


def user_key(user: object) -> int:
    """A 128-bit key of a user's external id: the same in any process."""
    return _digest(b"user", str(user).encode())


def _digest(kind: bytes, content: bytes) -> int:
    return 1 + int.from_bytes(hashlib.blake2b(content, digest_size=16, person=kind).digest(), "little")


def stream(seed: int, use: str, key: int) -> np.random.Generator:
    """The random generator of one user for one use; those of other seeds, uses and users are independent of it."""
    return np.random.default_rng([seed, _digest(b"use", use.encode()), key])


@dataclass(frozen=True)
class Streams:
    """Random numbers of a block of users.

    Args:
        users: a generator for each user, for the user's latent variables.
        shared: a generator for the model's parameters, which are drawn once for all users.
    """

    users: Sequence[np.random.Generator]
    shared: np.random.Generator

    def normals(self, width: int) -> Float[Array, "users width"]:
        """Standard normal numbers in single precision; one row from each user's stream."""
        drawn = np.empty((len(self.users), width), dtype=np.float32)
        for row, rng in zip(drawn, self.users, strict=True):
            rng.standard_normal(out=row, dtype=np.float32)
        return drawn

    def uniforms(self, draws: int) -> Float64[Array, "draws users"]:
        """Uniform numbers in [0, 1); one column from each user's stream."""
        drawn = np.empty((draws, len(self.users)))
        for user, rng in enumerate(self.users):
            drawn[:, user] = rng.random(draws)
        return drawn

    def log_gammas(self, shape: Float[Array, "users parts"]) -> Float[Array, "users parts"]:
        """log of a draw from Gamma(shape, 1) for each shape; one row from each user's stream."""
        rows = [log_gammas(row, rng) for row, rng in zip(shape, self.users, strict=True)]
        return np.stack(rows) if rows else np.empty(shape.shape)


def streams(seed: int, use: str, keys: Sequence[int]) -> Streams:
    """The streams of a block of users, by their keys."""
    return Streams([stream(seed, use, key) for key in keys], stream(seed, use, _SHARED))


def keys_of(histories: Histories) -> list[int]:
    """The key of each user's history."""
    return [history_key(histories.of(user)) for user in range(len(histories))]


def log_gammas(shape: Float[Array, "..."], rng: np.random.Generator) -> Float[Array, "..."]:
    """log of a draw from Gamma(shape, 1) for each shape, however small: log G(a) = log G(a + 1) + log(U) / a.

    Source: marsaglia2000, section 6.
    """
    return np.log(rng.standard_gamma(shape + 1.0)) + np.log1p(-rng.random(shape.shape)) / shape
