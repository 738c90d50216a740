"""What models share that take items after the training: larger tensors, and the prior probability of a new item."""

from collections.abc import Collection, Mapping
from typing import Any, TypeVar

import torch

from foldin.data import Catalog
from foldin.errors import ShapeError
from foldin.models.capability import capability
from foldin.models.contract import Recommender
from foldin.models.item_features import FeatureReader
from foldin.tensors import Float, Tensor

__all__ = ["enlarged", "extended_shares", "number_added", "with_zero_rows"]

R = TypeVar("R", bound=Recommender[Any])


def number_added(model: Recommender[Any], catalog: Catalog) -> int:
    """Number of items that a catalog has besides those of a model, which come first.

    Raises:
        ShapeError: there is none.
    """
    added = len(catalog) - model.n_items
    if added < 1:
        raise ShapeError(
            f"the model knows {model.n_items:,} items: a catalog of these and of new ones was expected, not of {len(catalog):,}"
        )
    return added


def with_zero_rows(state: Mapping[str, Tensor], names: Collection[str], added: int) -> dict[str, Tensor]:
    """The tensors of a state, some of them with zeros for further items along the first axis."""
    found = dict(state)
    for name in names:
        found[name] = torch.cat((state[name], state[name].new_zeros(added, *state[name].shape[1:])))
    return found


def extended_shares(log_share: Float[Tensor, " items"], catalog: Catalog) -> Float[Tensor, " larger"]:
    """`PopularStart.log_share` of a larger catalog: that of training with the new items, if all events weighed the same.

    With other weights, the sum of all events is not known: a new item has at most the share of the rarest item.
    """
    share = log_share.double().exp()
    counts = catalog.table["count"].head(len(share))
    least = min(float(share.min()), 1.0 / (float(counts.sum()) + len(share)))
    larger = torch.cat((share, share.new_full((len(catalog) - len(share),), least)))
    return (larger / larger.sum()).log().to(log_share.dtype)


def enlarged(model: R, catalog: Catalog, state: Mapping[str, Tensor]) -> R:
    """A model of a larger catalog with the settings, the features and the temperature of another one, and the given tensors."""
    larger = type(model)(len(catalog), model.config, device=model.device)
    reader, own = capability(larger, FeatureReader), capability(model, FeatureReader)
    if reader is not None and own is not None:
        reader.features = own.features
        reader.describe(catalog)
    larger.load_state(state)
    if model.temperature is not None:
        larger.calibrate(model.temperature)
    return larger
