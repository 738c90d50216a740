"""Experts whose scores are known: sums of rows of a table, one for each event."""

from dataclasses import dataclass

import numpy as np
import polars as pl
import torch

from foldin.data import HeldOut, Histories
from foldin.models import PopularityConfig, ProductOfExperts, ProductOfExpertsConfig, Recommender
from foldin.training import Config

ITEMS = 12


@dataclass(frozen=True, kw_only=True)
class TableConfig(Config):
    """No settings."""


class Table(Recommender[TableConfig]):
    """Scores that are sums of rows of a table, plus an offset."""

    Config = TableConfig
    has_likelihood = False
    summary = "a test model"

    def _build(self, generator):
        self.table, self.offset = torch.zeros(self.n_items, self.n_items), 0.0

    def trainer(self, train):
        raise NotImplementedError

    def tensors(self):
        return {"table": self.table}

    def _logits(self, histories):
        return torch.from_numpy(histories.csr().toarray()) @ self.table + self.offset


def table(values: np.ndarray, offset: float = 0.0) -> Table:
    model = Table(len(values))
    model.table, model.offset = torch.from_numpy(values).float(), offset
    return model


def random_tables(count: int, seed: int = 0) -> list[Table]:
    rng = np.random.default_rng(seed)
    return [table(rng.normal(size=(ITEMS, ITEMS)) * (1.0 + at)) for at in range(count)]


def drawn(experts: list[Table], weights: np.ndarray, users: int, *, targets: int = 1, seed: int = 0) -> HeldOut:
    """Users with one or two events, whose held-out items are drawn from softmax of the weighted scores, without replacement.

    Args:
        weights: (2, experts), the weights for histories of one and of two events.
    """
    rng = np.random.default_rng(seed)
    histories = [rng.choice(ITEMS, 1 + user % 2, replace=False).tolist() for user in range(users)]
    fold_in = Histories.from_lists(histories, ITEMS)
    scores = np.stack([one.logits(fold_in).double().numpy() for one in experts])
    chosen = []
    for user, history in enumerate(histories):
        logits = weights[len(history) - 1] @ scores[:, user]
        logits[history] = -np.inf
        noise = rng.gumbel(size=ITEMS)
        chosen.append(np.argsort(-(logits + noise))[:targets].tolist())
    names = pl.Series([f"u{user}" for user in range(users)])
    return HeldOut(fold_in=fold_in, targets=Histories.from_lists(chosen, ITEMS), users=names)


def of_tables(experts, weights, groups=()) -> ProductOfExperts:
    """A product of given experts and weights."""
    config = ProductOfExpertsConfig(experts=(PopularityConfig(),) * len(experts), groups=groups)
    model = ProductOfExperts(ITEMS, config)
    model.experts, model.weights = tuple(experts), torch.tensor(weights, dtype=torch.float64)
    return model
