"""Popularity: every user's next item is drawn from the training counts.

    p(i) = (c_i + α) / (N + α I)

The maximum-likelihood estimate has α = 0; a Dirichlet prior with a pseudo-count α keeps items without an event in
training possible. This is the baseline of every table of results. With `window_days`, only the last days of training count:
current popularity, which is the baseline to beat when the log is split by time. An event counts as often as its weight says.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import torch

from foldin.data import Histories
from foldin.errors import FitError
from foldin.models.contract import Recommender
from foldin.models.evidence import WeightedCounts, item_totals
from foldin.tensors import Float, Tensor
from foldin.training import Config, FullPass, Trainer, setting
from foldin.workers import group_of

__all__ = ["Popularity", "PopularityConfig"]


@dataclass(frozen=True, kw_only=True)
class PopularityConfig(Config):
    smoothing: float = setting(1.0, "Pseudo-count of every item, α.", above=0)
    window_days: float | None = setting(
        None, "Last days of training that are counted, when the log has times; none for all.", above=0
    )


class Popularity(WeightedCounts, Recommender[PopularityConfig]):
    """Items ranked by their training counts."""

    Config = PopularityConfig
    has_likelihood = True
    summary = "training counts, the same list for all users"

    def _build(self, generator: torch.Generator) -> None:
        self.log_share = torch.zeros(self.n_items, device=self.device)

    def trainer(self, train: Histories) -> Trainer[Histories]:
        return Trainer(FullPass(name="count", run=partial(_count, self)), closed_form=True)

    def tensors(self) -> dict[str, Tensor]:
        return {"log_share": self.log_share}

    def _logits(self, histories: Histories) -> Float[Tensor, "users items"]:
        return self.log_share.repeat(len(histories), 1)


def _since(begin: int, histories: Histories) -> Histories:
    """The events after a time."""
    assert histories.times is not None
    return histories.where(histories.times > begin)


def _count(model: "Popularity", train: Histories, generator: torch.Generator) -> Mapping[str, float]:
    if model.config.window_days is not None:
        if train.times is None:
            raise FitError("popularity: window_days needs a log with times")
        begin = int(train.times.max()) - round(model.config.window_days * 86_400)
        train = train.by_parts(partial(_since, begin))
    group = group_of(generator)
    found = item_totals(group.rows(train))
    group.sum_(found)
    counts = torch.from_numpy(found) + model.config.smoothing
    model.log_share.copy_((counts / counts.sum()).log())
    return {}
