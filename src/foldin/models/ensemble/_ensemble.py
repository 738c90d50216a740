"""What every ensemble does by asking its experts."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from foldin.data import Catalog, Histories
from foldin.models.capability import ItemFeatures, capability
from foldin.models.contract import Recommender
from foldin.models.ensemble._experts import of_expert
from foldin.models.ensemble._new_items import EnsembleItems
from foldin.models.evidence import Dislikes, WeightedEvents
from foldin.models.item_features import FeatureReader
from foldin.tensors import Tensor
from foldin.training import Config

__all__ = ["Ensemble", "built"]


def built(
    configs: Sequence[Config], n_items: int, generator: torch.Generator, device: torch.device
) -> tuple[Recommender[Any], ...]:
    """Untrained experts, each with initial weights of its own."""
    seeds = np.random.SeedSequence(generator.initial_seed()).generate_state(len(configs))
    return tuple(
        one.model_class(n_items, one, seed=int(seed), device=device) for one, seed in zip(configs, seeds, strict=True)
    )


class Ensemble(ItemFeatures, EnsembleItems, WeightedEvents, Dislikes):
    """A model of several others, its experts, that are trained one after another."""

    def no_expert_reads(self, wanted: type) -> str | None:
        """Why an ensemble reads no weights, dislikes or features: none of its experts does; None if one does, or for others."""
        pairs = ((WeightedEvents, "weights of events"), (Dislikes, "dislikes"), (ItemFeatures, "features of items"))
        what = next((name for kind, name in pairs if wanted is kind), None)
        if what is None or any(capability(one, wanted) is not None for one in self.experts):
            return None
        return f"{type(self).__name__} reads no {what}, because none of its experts does"

    def use_of_dislikes(self) -> str:
        return "each expert that reads dislikes reads them"

    def training_bytes(self, train: Histories) -> float:
        return max(one.training_bytes(train) for one in self.experts)

    def describe(self, catalog: Catalog) -> None:
        for one in self.experts:
            featured = capability(one, ItemFeatures)
            if featured is not None:
                featured.describe(catalog)

    def tensors_of_experts(self) -> dict[str, Tensor]:
        """The tensors of the experts, by names of the ensemble."""
        pairs = ((at, pair) for at, one in enumerate(self.experts) for pair in one.tensors().items())
        return {f"experts.{at}.{name}": tensor for at, (name, tensor) in pairs}

    def make_room(self, state: Mapping[str, Tensor]) -> None:
        """Give experts that read features the sizes of stored ones, so that their tensors can be copied."""
        for at, one in enumerate(self.experts):
            reader = capability(one, FeatureReader)
            if reader is not None:
                reader.make_room(of_expert(state, at))

    def load_experts(self, state: Mapping[str, Tensor]) -> None:
        """Set the tensors of the experts to those of a stored ensemble."""
        for at, one in enumerate(self.experts):
            one.load_state(of_expert(state, at))
