"""What a recommender with a posterior adds to the contract: draws of its scores."""

from abc import abstractmethod
from collections.abc import Iterator
from typing import ClassVar, TypeVar

import numpy as np
import torch

from foldin.data import Histories
from foldin.models.contract import Recommender
from foldin.models.streams import Streams
from foldin.tensors import Array, Float, Tensor
from foldin.training import Config

__all__ = ["Posterior", "log_of_product"]

C = TypeVar("C", bound=Config)


class Posterior(Recommender[C]):
    """A recommender that has a posterior over what it does not know of a person (and of itself, where it keeps one).

    A subclass gives `drawn_logits`.

    Args:
        propensity_draws: draws that propensities are counted over when none are asked for.
    """

    has_likelihood = True
    propensity_draws: ClassVar[int] = 1000

    @abstractmethod
    def drawn_logits(self, histories: Histories, streams: Streams) -> Iterator[Float[Tensor, "users items"]]:
        """Logits of p(next item | a draw from the posterior), a fresh draw each time, without end.

        What is unknown of a user is drawn from that user's stream, what is unknown of the model from the shared one. The
        memory may be used again by the next draw, and may be written to.
        """


def log_of_product(
    people: Float[Array, "users parts"], items: Float[Array, "items parts"]
) -> Float[Tensor, "users items"]:
    """log Σ_k exp(people_uk + items_ik) up to a constant a person, in single precision; nothing is below e⁻⁸⁵."""
    a = np.exp(people - people.max(axis=1, keepdims=True)).astype(np.float32)
    b = np.exp(items - items.max()).astype(np.float32)
    return torch.from_numpy(np.maximum(a @ b.T, np.float32(1e-37))).log_()
