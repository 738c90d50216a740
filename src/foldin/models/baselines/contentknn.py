"""ContentKNN: items whose features are near those of a user's items.

    score(u, j) = cos(Σ_{i ∈ u} f_i, f_j)

with f the features of an item: TF-IDF of its categories and words, standardized numbers, given vectors (`data/features`). No
event of another user is used, so that items without training events are listed like all others. This is the baseline of every
table of cold items. Items that score 0 are ordered among themselves by their training counts; if a history has no features at
all, the scores are shares of the training counts.

Source: pazzani2007 (nearest neighbors of profiles).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import scipy.sparse
import torch

from foldin.data import Catalog, Histories
from foldin.models.contract import Recommender
from foldin.models.enlarged import enlarged, extended_shares
from foldin.models.extends_items import ExtendsItems
from foldin.models.item_features import FeatureReader, columns_setting
from foldin.models.item_profiles import ItemProfiles
from foldin.models.start import PopularStart
from foldin.tensors import Array, Bool, Float, Int64, Tensor
from foldin.training import Config, FullPass, Trainer, setting

__all__ = ["ContentKNN", "ContentKNNConfig"]


@dataclass(frozen=True, kw_only=True)
class ContentKNNConfig(Config):
    columns: tuple[str, ...] = columns_setting()
    max_length: int | None = setting(
        None, "Newest events of a history that are read; none for all.", low=1, range=(None, 5, 20, 100)
    )


class ContentKNN(FeatureReader, ExtendsItems, PopularStart, Recommender[ContentKNNConfig]):
    """Nearest neighbors by the features of items."""

    Config = ContentKNNConfig
    has_likelihood = False
    summary = "items whose features are near those of the history, as a baseline for items without events"

    def _build(self, generator: torch.Generator) -> None:
        self.profiles = ItemProfiles(self.n_items, self.device)
        self.log_share = torch.zeros(self.n_items, device=self.device)

    def feature_columns(self) -> tuple[str, ...] | None:
        return self.config.columns

    def trainer(self, train: Histories) -> Trainer[Histories]:
        return Trainer(FullPass(name="profiles", run=partial(_profiles, self)), closed_form=True)

    def tensors(self) -> dict[str, Tensor]:
        return {**self.profiles.tensors(), "log_share": self.log_share}

    def make_room(self, state: Mapping[str, Tensor]) -> None:
        self.profiles.make_room(state)

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        self.make_room(state)
        super().load_state(state)

    def with_new_items(self, catalog: Catalog) -> "ContentKNN":
        profiles = self.profiles.with_items(self.described_larger(catalog))
        return enlarged(self, catalog, {**profiles, "log_share": extended_shares(self.log_share, catalog)})

    def _logits(self, histories: Histories) -> Float[Tensor, "users items"]:
        rows = self.profiles.matrix()
        taken = _newest(histories, self.config.max_length).csr() @ rows
        scores = _unit(taken) @ _unit(rows).T
        dense = torch.from_numpy(np.ascontiguousarray(scores.toarray(), dtype=np.float32))
        return self._filled(dense.to(self.device))

    def speaking(self) -> Bool[Array, " items"]:
        found: Bool[Array, " items"] = self.profiles.offsets.diff().cpu().numpy() > 0
        return found


def _newest(histories: Histories, count: int | None) -> Histories:
    """The newest events of each user."""
    if count is None or len(histories) == 0:
        return histories
    from_end = (
        np.repeat(histories.offsets[1:], histories.lengths) - np.arange(histories.n_events) - histories.offsets[0]
    )
    near: Int64[Array, " events"] = from_end
    return histories.where(near <= count)


def _unit(rows: scipy.sparse.csr_array | scipy.sparse.csr_matrix) -> scipy.sparse.csr_array | scipy.sparse.csr_matrix:
    lengths = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1)).ravel())
    return scipy.sparse.diags_array(1.0 / np.where(lengths > 0, lengths, 1.0)) @ rows


def _profiles(model: ContentKNN, train: Histories, generator: torch.Generator) -> Mapping[str, float]:
    model.learn_shares(train)
    model.profiles.set(model.described())
    return {}
