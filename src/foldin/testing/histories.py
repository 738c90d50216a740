"""Small logs whose structure is known."""

import numpy as np

from foldin.data import Histories

__all__ = ["two_tastes"]


def two_tastes(users: int = 60, items: int = 20, seed: int = 0) -> Histories:
    """Histories of users of two tastes: those at even places took most of the even items, the others most of the odd ones."""
    rng = np.random.default_rng(seed)
    lists = []
    for user in range(users):
        own = np.arange(user % 2, items, 2)
        lists.append(rng.permutation(own)[: len(own) - 3])
    return Histories.from_lists(lists, items)
