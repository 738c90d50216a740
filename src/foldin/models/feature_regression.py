"""Ridge regression on features: what an item without training events would be, given what the others are.

    Ŷ = Mᵀ Y,   M = 1 1ᵀ / n + F (FᵀF + μ I)⁻¹ Gᵀ

Y are the values of the n known items, such as their factors or their columns of events; F are the features of the known items and
G those of the others, both minus the mean of the known ones, so that the intercept is not penalized. Since M does not depend on
Y, a prediction of any values is a weighted sum of those of the known items.

Source: gantner2010 (attributes are mapped to factors by linear regression).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse
import torch

from foldin.errors import FitError
from foldin.models.item_features import FeatureColumns
from foldin.tensors import Array, Bool, Float, Float64, Tensor
from foldin.training import Range, setting

__all__ = ["RegressedItems", "cold_factor_setting", "regression_weights"]


def cold_factor_setting() -> Any:
    """The field `cold_factor` of settings by which items without training events are scored; it takes no part in training."""
    return setting(
        1.0,
        "Factor of the scores, or of the odds, of items without training events; above 1, they are listed more often.",
        above=0,
        range=Range(0.5, 20.0, log=True),
    )


@dataclass(frozen=True, kw_only=True)
class RegressedItems(FeatureColumns):
    """Items without training events are predicted from features by a ridge regression."""

    name = "regression"
    regularization: float = setting(
        10.0, "Ridge penalty of the regression on features, μ.", above=0, range=Range(0.1, 1000.0, log=True)
    )
    cold_factor: float = cold_factor_setting()

    def scale(self, trained_items: Bool[Tensor, " items"]) -> Float[Tensor, " items"]:
        """The factor of each item's scores."""
        return torch.where(trained_items, 1.0, self.cold_factor)


def regression_weights(
    features: scipy.sparse.csr_array, known: Bool[Array, " items"], regularization: float
) -> Float64[Array, "known others"]:
    """M, the weight of each known item in the prediction of each other item.

    Whichever of FᵀF and FFᵀ is smaller is factorized.

    Args:
        features: items × columns.
        known: mask of the items whose values are known.
        regularization: ridge penalty, μ.

    Raises:
        FitError: no item is known.
    """
    wide = features.astype(np.float64)
    inside, outside = wide[np.flatnonzero(known)], wide[np.flatnonzero(~known)]
    count = inside.shape[0]
    if count == 0:
        raise FitError("no item has a training event, so that nothing can be regressed on features")
    mean = np.asarray(inside.sum(axis=0)).ravel() / count
    found: Float64[Array, "known others"]
    if inside.shape[1] <= count:
        squares = (inside.T @ inside).toarray() - count * np.outer(mean, mean)
        squares[np.diag_indices_from(squares)] += regularization
        solved = np.linalg.solve(squares, outside.toarray().T - mean[:, None])
        found = 1.0 / count + inside @ solved - mean @ solved
        return found
    # F (FᵀF + μ I)⁻¹ = (FFᵀ + μ I)⁻¹ F
    along, other = inside @ mean, outside @ mean
    squares = (inside @ inside.T).toarray() - along[:, None] - along[None, :] + mean @ mean
    products = (inside @ outside.T).toarray() - along[:, None] - other[None, :] + mean @ mean
    squares[np.diag_indices_from(squares)] += regularization
    found = 1.0 / count + np.linalg.solve(squares, products)
    return found
