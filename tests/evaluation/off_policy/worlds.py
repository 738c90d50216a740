"""Small worlds in which every list and its probability can be written down."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np

Reward = Callable[[Sequence[int], int], float]


def list_probability(weights: Sequence[float], items: Sequence[int]) -> float:
    """P(list) when items are drawn one by one in proportion to the weights of those that are left."""
    left, found = list(range(len(weights))), 1.0
    for item in items:
        found *= weights[item] / sum(weights[one] for one in left)
        left.remove(item)
    return found


@dataclass(frozen=True)
class World:
    """All lists of k items, with the probability of each under a policy with weights of items."""

    weights: tuple[float, ...]
    k: int

    @property
    def lists(self) -> list[tuple[int, ...]]:
        return list(permutations(range(len(self.weights)), self.k))

    def probability(self, items: Sequence[int]) -> float:
        return list_probability(self.weights, items)

    def given_above(self, items: Sequence[int]) -> list[float]:
        return [self.probability(items[: j + 1]) / self.probability(items[:j]) for j in range(len(items))]

    def at_place(self, item: int, place: int) -> float:
        return sum(self.probability(one) for one in self.lists if one[place] == item)

    def in_list(self, item: int) -> float:
        return sum(self.probability(one) for one in self.lists if item in one)

    def value(self, reward: Reward) -> float:
        """Expected sum of the rewards of a list."""
        return sum(self.probability(one) * sum(reward(one, j) for j in range(self.k)) for one in self.lists)


def arrays(lists: Sequence[Sequence[int]], of: Callable[[Sequence[int], int], float]) -> np.ndarray:
    """A number for each place of each list."""
    return np.array([[of(one, j) for j in range(len(one))] for one in lists])
