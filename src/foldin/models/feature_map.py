"""A linear map of the items' features to rows of a table, and what models share whose rows are free ones plus such a map.

    rows_i = k_i v_i + Wᵀ f_i,   k_i ~ Bernoulli(1 − p) in training, k_i = 1 afterwards

Items without training events have v_i = 0 and take no part in training: that nobody took an item that could not be taken says
nothing. Leaving out free rows at random makes W predict rows on its own, as it must for such items.

Source: volkovs2017 (dropout of the free part, so that the content learns to stand in for it).
"""

import math
from collections.abc import Collection, Mapping
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from foldin.data import Catalog, Histories
from foldin.models.capability import required
from foldin.models.contract import Recommender
from foldin.models.enlarged import enlarged, extended_shares, with_zero_rows
from foldin.models.item_features import FeatureReader
from foldin.models.item_profiles import ItemProfiles
from foldin.tensors import Bool, Float, Int64, Tensor

__all__ = ["FeatureMap", "MapsFeatures", "extended_by_map"]

R = TypeVar("R", bound=Recommender[Any])


class FeatureMap:
    """W, with the features of all items, and which of them have training events.

    Args:
        n_items: size of the catalog.
        width: width of the rows.
        cold_factor: factor of the odds of items without training events.
        device: device of the tensors.
        initial_sd: standard deviation of the initial W. 0 suits free rows that always take part, which lead away from there.
        seed: seed of the initial W.
    """

    def __init__(
        self,
        n_items: int,
        width: int,
        cold_factor: float,
        device: torch.device,
        *,
        initial_sd: float = 0.0,
        seed: int = 0,
    ) -> None:
        self.cold_factor, self.initial_sd, self.seed = cold_factor, initial_sd, seed
        self.profiles = ItemProfiles(n_items, device)
        self.trained_items = torch.ones(n_items, dtype=torch.bool, device=device)
        self.map = nn.Parameter(torch.zeros(0, width, device=device))

    def tensors(self) -> dict[str, Tensor]:
        """The tensors by name."""
        return {"features.map": self.map, "features.trained_items": self.trained_items, **self.profiles.tensors()}

    def make_room(self, state: Mapping[str, Tensor]) -> None:
        """Take the sizes of a stored model, so that its tensors can be copied."""
        stored = state.get("features.map")
        if stored is not None and stored.shape[1:] == self.map.shape[1:]:
            self.widen(len(stored))
        self.profiles.make_room(state)

    def widen(self, columns: int) -> None:
        """Take a number of columns of features."""
        if len(self.map) != columns:
            initial = torch.zeros(columns, self.map.shape[1])
            if self.initial_sd > 0.0:  # other numbers than those of the model's tables
                own = int(np.random.SeedSequence((self.seed, 1)).generate_state(1, np.uint64)[0] >> 1)
                initial.normal_(0.0, self.initial_sd, generator=torch.Generator().manual_seed(own))
            self.map = nn.Parameter(initial.to(self.map.device))

    def rows(self) -> Float[Tensor, "items width"]:
        """Wᵀ f_i of every item."""
        parts = self.profiles
        if len(parts.columns) == 0:
            return torch.zeros(len(self.trained_items), self.map.shape[1], device=self.map.device)
        return F.embedding_bag(
            parts.columns,
            self.map,
            parts.offsets,
            mode="sum",
            per_sample_weights=parts.values,
            include_last_offset=True,
        )

    @torch.no_grad()
    def learn_trained(self, train: Histories, *free: Tensor) -> None:
        """Take the items that have training events, and set the free rows of the others to zero."""
        self.trained_items.copy_(torch.from_numpy(train.counts() > 0))
        for one in free:
            one[~self.trained_items] = 0.0

    def among_trained(self) -> tuple[Int64[Tensor, " trained"], Int64[Tensor, " items"]]:
        """(the items with training events, the place of each item among them; −1 for the others)."""
        trained = self.trained_items.nonzero().squeeze(1)
        place = torch.full_like(self.trained_items, -1, dtype=torch.int64)
        place[trained] = torch.arange(len(trained), device=trained.device)
        return trained, place

    def kept(self, dropout: float, generator: torch.Generator) -> Bool[Tensor, " items"]:
        """k, whether the free row of each item takes part in a training step."""
        device = self.trained_items.device
        return torch.rand(len(self.trained_items), generator=generator, device=device) >= dropout

    def log_factor(self) -> Float[Tensor, " items"]:
        """log of the factor of each item's odds: 0 for items with training events."""
        return torch.where(self.trained_items, 0.0, math.log(self.cold_factor))


class MapsFeatures(FeatureReader):
    """A recommender with a `FeatureMap` as `side`, which is None if its settings choose no features."""

    side: FeatureMap | None

    def describe(self, catalog: Catalog) -> None:
        super().describe(catalog)
        if self.side is not None and self.features is not None:
            self.side.widen(len(self.features))

    def make_room(self, state: Mapping[str, Tensor]) -> None:
        if self.side is not None:
            self.side.make_room(state)


def extended_by_map(model: R, side: FeatureMap | None, free_rows: Collection[str], catalog: Catalog) -> R:
    """A model of a larger catalog, as of `ExtendsItems`: new items have the rows that the map makes of their features.

    Args:
        model: a trained model with the tensors of the map.
        side: its map; None if its settings choose no features.
        free_rows: names of the tensors with a free row for each item, which a new item has zeros in.
        catalog: the items of the model, then new ones.

    Raises:
        ConfigError: there is no map.
        ShapeError, FitError, DataError, CapacityError: as `ExtendsItems.with_new_items`.
    """
    reader = required(model, FeatureReader, f"{type(model).__name__}: new items are scored by their features")
    assert side is not None
    new = reader.described_larger(catalog)
    state = with_zero_rows(model.state(), {*free_rows, "features.trained_items"}, new.shape[0])
    state |= side.profiles.with_items(new)
    if "log_share" in state:
        state["log_share"] = extended_shares(state["log_share"], catalog)
    return enlarged(model, catalog, state)
