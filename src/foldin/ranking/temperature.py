"""Lists drawn item by item from the model's own distribution, flattened or sharpened by a temperature."""

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
from foldin.tensors import Float, Tensor

__all__ = ["Gumbel"]

_MOST = 700.0  # nats: beyond, exp overflows
_LEAST = 1e-100  # what log p may be divided by


@dataclass(frozen=True)
class Gumbel:
    """k items drawn one after the other without replacement, p ∝ p(item)^{1/T}: the k largest of log p / T + Gumbel noise.

    The propensity of each is exact: its probability given those above it.

    Source: kool2019, section 2.

    Args:
        temperature: T, at least 1e-100.
        seed: with it and a user's key the list is the same in any batch.

    Raises:
        ConfigError: a temperature that is smaller, or not finite.
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
        """It needs a density."""
        if not model.has_likelihood:
            raise ConfigError(f"drawing by temperature needs a model with a density; {type(model).__name__} has none")

    def block(self, model: Recommender[Any], k: int) -> int:
        """Users to score at once."""
        return model.block()

    def rank(
        self, model: Recommender[Any], histories: Histories, eligible: Eligibility, k: int, keys: Sequence[int]
    ) -> RankedLists:
        """The lists of a block of users."""
        return self.order(masked_logits(model, histories, eligible), k, keys)

    def order(self, logits: Float[Tensor, "users items"], k: int, keys: Sequence[int]) -> RankedLists:
        """The lists of scores, −∞ for what may not be listed."""
        users = len(logits)
        items = np.full((users, k), -1, dtype=np.int64)
        values = np.full((users, k), -np.inf, dtype=np.float32)
        propensity, inverse = np.zeros((users, k)), np.zeros((users, k))
        for user, key in enumerate(keys):
            logp = torch.log_softmax(logits[user].double(), dim=0).cpu().numpy()
            rng = stream(self.seed, "temperature", key)
            scaled = logp / self.temperature
            noisy = scaled + rng.gumbel(size=len(scaled))
            possible = np.flatnonzero(np.isfinite(logp))
            drawn = possible[np.argsort(-noisy[possible], kind="stable")[:k]]
            if not len(drawn):
                continue
            # What is left before each draw, in logs and from the end, where nothing cancels: the rest, then with the last one, …
            others = np.setdiff1d(possible, drawn)
            rest = np.logaddexp.reduce(scaled[others]) if len(others) else -np.inf
            left = np.logaddexp.accumulate(np.append(rest, scaled[drawn][::-1]))[1:][::-1]
            chance, at = scaled[drawn] - left, slice(len(drawn))
            items[user, at], values[user, at] = drawn, logp[drawn]
            propensity[user, at] = np.exp(chance)
            inverse[user, at] = np.exp(np.minimum(-chance, _MOST))
        return RankedLists(items, values, normalized=True, propensity=propensity, inverse_propensity=inverse)
