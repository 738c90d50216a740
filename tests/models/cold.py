"""A log of two tastes in which some items have no event, with features that tell the taste of each."""

import numpy as np
import polars as pl

from foldin.data import Catalog, Histories
from foldin.experiment import build_model
from foldin.models import Recommender
from foldin.testing import two_tastes
from foldin.training import Config, fit

__all__ = ["CATALOG", "COLD", "ITEMS", "TRAIN", "USERS", "described", "trained"]

ITEMS = 20
COLD = np.isin(np.arange(ITEMS), (4, 9, 16))
_ALL = two_tastes(60, ITEMS)
TRAIN = _ALL.where(~COLD[_ALL.items])
USERS = Histories.from_lists([[0, 2, 6], [1, 3], [], [7, 11, 13]], ITEMS)
CATALOG = Catalog(
    pl.DataFrame(
        {
            "item": [f"i{at}" for at in range(ITEMS)],
            "title": [f"{'even' if at % 2 == 0 else 'odd'} number {at}" for at in range(ITEMS)],
            "genres": ["A|B" if at % 2 == 0 else "C" for at in range(ITEMS)],
            "size": [float(at) for at in range(ITEMS)],
            "count": TRAIN.counts(),
        }
    )
)


def described(config: Config) -> Recommender:
    """An untrained model of the catalog."""
    return build_model(CATALOG, config, seed=5)


def trained(config: Config) -> Recommender:
    model = described(config)
    fit(model, TRAIN, seed=5)
    return model
