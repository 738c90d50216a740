"""The capability to take items that came after the training: a model of more items, for which nothing is trained."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from foldin.data import Catalog
from foldin.models.contract import Recommender
from foldin.tensors import Tensor

__all__ = ["ExtendsItems", "KeepsForNewItems"]


@runtime_checkable
class ExtendsItems(Protocol):
    """A model that computes what it needs of an item without training events from features or a title, by learned maps."""

    @abstractmethod
    def columns_of_new(self) -> frozenset[str]:
        """Names of the columns of the catalog that are read of a new item."""

    @abstractmethod
    def with_new_items(self, catalog: Catalog) -> Recommender[Any]:
        """The model of a larger catalog, as trained as this one, which stays as it is; nothing is trained.

        The scores of the items that this model has are the same, up to the constant of a user in a model with a density and up to
        rounding. New items are scored and read as items without training events.

        Args:
            catalog: the items of this model in their order, then at least one new one with a count of 0.

        Raises:
            ShapeError: the catalog does not begin with the items of this model, or has no other.
            FitError: the model is not trained.
            DataError: a column that is read is missing, or of another type.
            CapacityError: the larger model needs more memory than is free.
        """


@runtime_checkable
class KeepsForNewItems(Protocol):
    """A model that needs statistics of its training for new items, which its scores do not depend on."""

    @abstractmethod
    def kept_for_new_items(self) -> dict[str, Tensor]:
        """The statistics by name; none before training."""

    @abstractmethod
    def take_kept(self, stored: Mapping[str, Tensor]) -> None:
        """Take the result of `kept_for_new_items` of the same trained model.

        Raises:
            RunError: it is that of another model.
        """


# Python gives protocols a constructor, which would precede that of the model and hide its signature.
for _protocol in (ExtendsItems, KeepsForNewItems):
    delattr(_protocol, "__init__")
