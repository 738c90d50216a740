"""Lists drawn item by item from the model's distribution, flattened or sharpened by a temperature."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from foldin.data import Histories
from foldin.errors import ConfigError
from foldin.models import Recommender, stream
from foldin.ranking.eligibility import Eligibility
from foldin.ranking.exact import masked_logits
from foldin.ranking.lists import RankedLists
from foldin.tensors import Array, Float, Float64, Tensor

__all__ = ["Gumbel"]

_MOST = 700.0  # nats, beyond which exp overflows
_LEAST = 1e-100  # smallest temperature by which log p may be divided


@dataclass(frozen=True)
class Gumbel:
    """k items drawn without replacement in proportion to p(item)^{1/T}: the k largest of log p / T + Gumbel noise.

    The propensity of each item is exact: its probability given the items above it.

    Source: kool2019, section 2.

    Args:
        temperature: T, at least 1e-100.
        seed: seed of the draws; a user's list depends on it and on the user's key, and is the same in any batch.

    Raises:
        ConfigError: a temperature below 1e-100, or not finite.
    """

    random: ClassVar[bool] = True

    temperature: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not (np.isfinite(self.temperature) and self.temperature >= _LEAST):
            raise ConfigError(
                f"a temperature must be a positive number of at least {_LEAST:g}, not {self.temperature:g}"
            )

    def check(self, model: Recommender[Any]) -> None:
        """Check that the model has a density.

        Raises:
            ConfigError: it has none.
        """
        if not model.has_likelihood:
            raise ConfigError(f"drawing by temperature needs a model with a density; {type(model).__name__} has none")

    def block(self, model: Recommender[Any], k: int) -> int:
        """Number of users to score at once."""
        return model.block()

    def rank(
        self, model: Recommender[Any], histories: Histories, eligible: Eligibility, k: int, keys: Sequence[int]
    ) -> RankedLists:
        """The lists of a block of users."""
        return self.order(masked_logits(model, histories, eligible), k, keys)

    def noise(self, items: int, key: int) -> Float64[Array, " items"]:
        """The Gumbel noise of a user's draw, by the user's key."""
        return stream(self.seed, "temperature", key).gumbel(size=items)

    def order(self, logits: Float[Tensor, "users items"], k: int, keys: Sequence[int]) -> RankedLists:
        """Lists of k items drawn by the given scores, which are −∞ for items that may not be listed."""
        users = len(logits)
        items = np.full((users, k), -1, dtype=np.int64)
        values = np.full((users, k), -np.inf, dtype=np.float32)
        propensity, inverse = np.zeros((users, k)), np.zeros((users, k))
        for user, key in enumerate(keys):
            logp = torch.log_softmax(logits[user].double(), dim=0).cpu().numpy()
            scaled = logp / self.temperature
            noisy = scaled + self.noise(len(scaled), key)
            possible = np.flatnonzero(np.isfinite(logp))
            drawn = possible[np.argsort(-noisy[possible], kind="stable")[:k]]
            if not len(drawn):
                continue
            # Log of the mass left before each draw, summed from the end, where nothing cancels: undrawn items, last one, …
            others = np.setdiff1d(possible, drawn)
            rest = np.logaddexp.reduce(scaled[others]) if len(others) else -np.inf
            left = np.logaddexp.accumulate(np.append(rest, scaled[drawn][::-1]))[1:][::-1]
            chance, at = scaled[drawn] - left, slice(len(drawn))
            items[user, at], values[user, at] = drawn, logp[drawn]
            propensity[user, at] = np.exp(chance)
            inverse[user, at] = np.exp(np.minimum(-chance, _MOST))
        return RankedLists(items, values, normalized=True, propensity=propensity, inverse_propensity=inverse)
