"""Synthetic logs of the shape of public ones."""

import numpy as np

from foldin.data import Histories

__all__ = ["synthetic_log"]


def synthetic_log(users: int = 116_677, items: int = 20_108, events: int = 8_500_000, seed: int = 0) -> Histories:
    """A synthetic log of the shape of ML-20M's training part: log-normal users, power-law items, distinct pairs."""
    rng = np.random.default_rng(seed)
    events = round(events * users / 116_677)
    lengths = rng.lognormal(0.0, 1.0, users)
    lengths = np.clip(lengths * events / lengths.sum(), 5, items // 4).astype(np.int64)
    shares = np.cumsum(1.0 / (20 + np.arange(items)) ** 1.0)
    shares /= shares[-1]
    # Draw, drop repeated pairs, draw again for what is missing: three rounds leave a few per mille to be short.
    keys = np.empty(0, dtype=np.int64)
    missing = lengths.copy()
    for _ in range(4):
        of_event = np.repeat(np.arange(users), missing)
        drawn = np.searchsorted(shares, rng.random(len(of_event))).clip(max=items - 1)
        keys = np.unique(np.concatenate((keys, of_event * items + drawn)))
        missing = np.maximum(lengths - np.bincount(keys // items, minlength=users), 0)
    of_event = keys // items
    offsets = np.zeros(users + 1, dtype=np.int64)
    np.cumsum(np.bincount(of_event, minlength=users), out=offsets[1:])
    return Histories(items=(keys % items).astype(np.int32), offsets=offsets, n_items=items)
