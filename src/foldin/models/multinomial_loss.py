"""Losses of models of whole histories: multinomial log-likelihoods under a softmax over the catalog or a sample of it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch

from foldin.data import Histories
from foldin.kernels import ScoredItems, logits_bytes, on_device, scored_items
from foldin.models.divided import BY_USERS
from foldin.models.negatives import SmoothedNegatives
from foldin.models.start import log_shares
from foldin.tensors import Int, Tensor
from foldin.training import Divided, LazyAdam, Option, setting
from foldin.workers import GroupGenerator, span_of

__all__ = ["FullMultinomial", "MultinomialLoss", "SampledMultinomial", "Sampler"]

# The items to score in a step, given the items of its events; None for the whole catalog.
Sampler = Callable[[Int[Tensor, " events"], torch.Generator], ScoredItems | None]
Parameters = Iterable[torch.nn.Parameter] | Iterable[dict[str, Any]]


class MultinomialLoss(Option, ABC):
    """Which items are scored in training, and how the tables of the items' vectors are stored and updated."""

    @property
    @abstractmethod
    def sparse(self) -> torch.dtype | None:
        """Number format of the items' vectors if their gradients are row-sparse; None for dense gradients in float32."""

    @abstractmethod
    def sampler(self, train: Histories, device: torch.device) -> Sampler:
        """The sampler of the scored items of each step."""

    @abstractmethod
    def adam(self, parameters: Parameters, learning_rate: float) -> torch.optim.Optimizer:
        """Adam for the model's parameters or groups of them."""

    @property
    def divided(self) -> Divided[Histories] | str:
        """How a batch divides among workers: by users and their events."""
        return BY_USERS

    @abstractmethod
    def step_bytes(self, train: Histories, batch_size: int, tables: Iterable[Tensor]) -> float:
        """Memory in bytes that training needs beyond 12 bytes for each parameter.

        Args:
            batch_size: users in a batch.
            tables: the parameters that have a row for each item.
        """


@dataclass(frozen=True, kw_only=True)
class FullMultinomial(MultinomialLoss):
    """Every item of the catalog is scored for every user of a batch.

    Source: liang2018, eq. 2.
    """

    name = "softmax"

    @property
    def sparse(self) -> torch.dtype | None:
        """None: gradients are dense."""
        return None

    def sampler(self, train: Histories, device: torch.device) -> Sampler:
        """A sampler that leaves the whole catalog."""
        return lambda items, generator: None

    def adam(self, parameters: Parameters, learning_rate: float) -> torch.optim.Optimizer:
        """PyTorch's fused Adam."""
        return torch.optim.Adam(parameters, lr=learning_rate, fused=True)

    def step_bytes(self, train: Histories, batch_size: int, tables: Iterable[Tensor]) -> float:
        """Logits over the catalog, and their gradients; on a GPU, those of as many users as are worked on at once."""
        users = min(batch_size, len(train))
        if any(on_device(table) for table in tables):
            return logits_bytes(users, train.n_items)
        return 8.0 * users * train.n_items


@dataclass(frozen=True, kw_only=True)
class SampledMultinomial(MultinomialLoss):
    """The items of a batch and shared negatives are scored, with log-Q correction; only their vectors are updated.

    A step takes time and memory in proportion to these items, whatever the size of the catalog. The objective is an estimate of
    the log-likelihood that is too large on average, the less the more negatives there are (`kernels/sampled.py`); evaluation and
    bounds always use the whole catalog.

    Source: bengio2008; jean2015, section 3.1.
    """

    name = "sampled"
    negatives: SmoothedNegatives = setting(SmoothedNegatives(), "Where the negatives of a step come from.")
    precision: str = setting(
        "float32",
        "Number format of the items' input and output vectors; with bfloat16 they take half the memory, and their moments in "
        "training a quarter.",
        choices=("float32", "bfloat16"),
    )

    @property
    def sparse(self) -> torch.dtype:
        """Number format of the items' vectors."""
        return torch.bfloat16 if self.precision == "bfloat16" else torch.float32

    def sampler(self, train: Histories, device: torch.device) -> Sampler:
        """A sampler that adds negatives to the items of a batch; workers that share the batch score the same items."""
        proposal = self.negatives.proposal(log_shares(train.counts()).to(device))

        def sample(items: Int[Tensor, " events"], generator: torch.Generator) -> ScoredItems:
            draws = proposal.draw(self.negatives.n, generator)
            span = span_of(generator, "events")
            if span is None:
                return scored_items(items, *draws)
            assert isinstance(generator, GroupGenerator)
            of_all = scored_items(generator.batch.tensors(device)[0], *draws)
            return replace(of_all, targets=of_all.targets[span.start : span.stop])

        return sample

    def adam(self, parameters: Parameters, learning_rate: float) -> torch.optim.Optimizer:
        """Adam that updates only the rows of scored items and of the items that are read."""
        return LazyAdam(parameters, lr=learning_rate)

    def step_bytes(self, train: Histories, batch_size: int, tables: Iterable[Tensor]) -> float:
        """Logits over the scored items, and their vectors with gradients, less the dense gradients that are not needed."""
        users = min(batch_size, len(train))
        scored = min(train.n_items, -(-train.n_events * users // len(train)) + self.negatives.n)
        total = 8.0 * users * scored + 8.0 * train.n_items
        for table in tables:
            width = table.numel() // len(table)
            held = 2.0 * width + 8.0 if table.dtype == torch.bfloat16 else 8.0 * width + 4.0
            total += 12.0 * scored * width + (held - 12.0 * width) * len(table)
        return total
