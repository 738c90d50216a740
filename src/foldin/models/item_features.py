"""What models share that learn from typed columns of the catalog."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import scipy.sparse

from foldin.data import Catalog, Features
from foldin.errors import FitError, ShapeError
from foldin.models.capability import ItemFeatures, capability
from foldin.models.contract import Recommender
from foldin.models.extends_items import ExtendsItems
from foldin.tensors import Tensor
from foldin.training import Option, setting

__all__ = ["FeatureColumns", "FeatureReader", "columns_setting"]


def columns_setting() -> Any:
    """The field `columns` of settings that read features."""
    return setting((), "Columns of the catalog that are read as features; all of them when empty.")


@dataclass(frozen=True, kw_only=True)
class FeatureColumns(Option):
    """Columns of the catalog as features of the items."""

    columns: tuple[str, ...] = columns_setting()


class FeatureReader(ItemFeatures):
    """A recommender that learns from features of the catalog, fitted on the items with training events.

    `features` are those of its training, or of the run that was loaded; None before, and for settings without features.
    """

    features: Features | None = None
    n_items: int
    _catalog: Catalog | None = None

    @abstractmethod
    def feature_columns(self) -> tuple[str, ...] | None:
        """Names of the columns of the catalog that are read, empty for all of them; None if the settings choose no features."""

    def lacks(self, capability: type) -> str | None:
        if capability in (FeatureReader, ItemFeatures, ExtendsItems):
            return None if self.feature_columns() is not None else "its setting features is none"
        above: str | None = super().lacks(capability)  # type: ignore[misc]
        return above

    def describe(self, catalog: Catalog) -> None:
        """Take the features of the items, fitted on those with training events unless the features are known already.

        Raises:
            ShapeError: the catalog has another number of items than the model.
            DataError: it has no such columns, or no item with a training event.
        """
        names = self.feature_columns()
        if names is None:
            return
        if len(catalog) != self.n_items:
            raise ShapeError(f"the model knows {self.n_items} items, the catalog {len(catalog)}")
        self._catalog = catalog
        if self.features is None:
            self.features = Features.of_catalog(catalog, names)

    def describe_alike(self, other: Recommender[Any]) -> None:
        """Give another model of the same configuration the catalog and the features of this one, if this one has them."""
        reader = capability(other, FeatureReader)
        if reader is not None and self._catalog is not None:
            reader.features = self.features
            reader.describe(self._catalog)

    def make_room(self, state: Mapping[str, Tensor]) -> None:
        """Take the sizes of a stored model that depend on its features, so that its tensors can be copied."""

    def described(self) -> scipy.sparse.csr_array:
        """The features of all items, items × columns.

        Raises:
            FitError: the model has no catalog with features yet.
        """
        if self._catalog is None or self.features is None:
            raise FitError(f"{type(self).__name__} learns from features of the items: give the model its catalog first")
        return self.features.transform(self._catalog)

    def columns_of_new(self) -> frozenset[str]:
        """Names of the columns that are read, of items that come after the training too; none before training."""
        return frozenset(() if self.features is None else (one.column for one in self.features.columns))

    def described_larger(self, catalog: Catalog) -> scipy.sparse.csr_array:
        """The features of the items that a larger catalog has after those of the model, items × columns.

        Raises:
            FitError: the model has no catalog with features yet.
            ShapeError: the catalog does not begin with the items of the model, or has no other.
            DataError: a column that is read is missing, or of another type.
        """
        if self._catalog is None or self.features is None:
            raise FitError(f"{type(self).__name__} learns from features of the items: give the model its catalog first")
        if len(catalog) <= self.n_items or catalog.ids[: self.n_items] != self._catalog.ids:
            raise ShapeError(
                f"a catalog of the {self.n_items:,} items of the model, and of others after them, was expected"
            )
        return self.features.transform(catalog.table.tail(len(catalog) - self.n_items))
