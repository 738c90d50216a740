"""The effort of searching an index that a share of the exact lists needs."""

from dataclasses import replace
from typing import Any

from foldin.data import Histories
from foldin.errors import ConfigError
from foldin.models import Recommender
from foldin.ranking.approximate import Approximate, recall_against
from foldin.ranking.item_index import ItemIndex
from foldin.ranking.ranker import rank

__all__ = ["measure_index"]

_MOST = 4096


def measure_index(
    model: Recommender[Any],
    index: ItemIndex,
    histories: Histories,
    *,
    k: int = 100,
    recall: float | None = 0.98,
) -> ItemIndex:
    """The index with the share of the exact lists that its searches find, and with the least effort that finds enough.

    From the least effort that such lists need, efforts are doubled until the mean share over the users is at least `recall`, or
    the effort is at least 4,096, which is then kept.

    Args:
        model: the model that the index was built from.
        histories: histories of some users, for whom every item is scored too.
        k: length of the lists, of items that the users have not taken.
        recall: the share that is wanted, in (0, 1]; None to measure the effort that the index has.

    Raises:
        ConfigError: the share is outside (0, 1], there are no users, or the index is that of another model.
    """
    if recall is not None and not 0.0 < recall <= 1.0:
        raise ConfigError(f"recall: a share in (0, 1] was expected, not {recall:g}")
    if len(histories) == 0:
        raise ConfigError("the recall of an index is measured on users, and there are none")
    exact = rank(model, histories, k)
    effort, places = index.effort, exact.items.shape[1]
    if effort is not None and recall is not None:
        effort = index.least_effort(k)
    while True:
        ranker = Approximate(model, index, effort=effort)
        found = float(recall_against(rank(model, histories, k, ranker=ranker), exact).mean())
        if effort is None or recall is None or found >= recall or effort >= _MOST:
            return replace(index, effort=effort, recall=found, measured_k=places)
        effort *= 2
