"""The capability to start training from a model of another catalog: which learned tensors have a row for each item."""

from abc import abstractmethod
from typing import Protocol, runtime_checkable

__all__ = ["ItemRows"]


@runtime_checkable
class ItemRows(Protocol):
    """A model whose learned tensors have a row for each item, or do not depend on the catalog.

    Training can then start from a model of an earlier catalog: rows are copied by the ids of items.
    """

    @abstractmethod
    def item_rows(self) -> frozenset[str]:
        """Names of the tensors whose first axis is the items, among those of `tensors`; no other has such an axis."""

    def kept_at_start(self) -> float:
        """Share λ of the earlier parameters with which training starts, as λ · earlier + (1 − λ) · untrained.

        A model that learns its log by heart ends worse if training starts from all of them than from scratch: later events
        change it little.
        """
        return 1.0


# Python gives protocols a constructor, which would precede that of the model and hide its signature.
delattr(ItemRows, "__init__")
