"""EASE with the features of the items as further rows of its matrix (CEASE).

    G = XᵀX + α FFᵀ,   P = (G + λ I)⁻¹,   B = P R − P diag((P R)_ii / P_ii)

F is items × features, so that each feature is a row besides those of the users, with the weight α. For an item with training
events, its column of R is that of G, and B is the solution of EASE. An item without training events has in X a column of zeros,
which would say that every user refused it: in its column of R, the ridge regression of the columns of X on the features stands
instead, x̂ = X m, so that R = XᵀX m + α F f. A column of B is then the ridge regression of these expected events, and of the
item's features, on all other items.

Source: jeunen2020 (the rows of features, CEASE); gantner2010 (the regression on features).
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse
import torch

from foldin.data import Histories
from foldin.models.feature_regression import RegressedItems, regression_weights
from foldin.tensors import Float, Tensor
from foldin.training import Range, setting

__all__ = ["FeatureRows", "weights_with_features"]


@dataclass(frozen=True, kw_only=True)
class FeatureRows(RegressedItems):
    """Features are further rows of the matrix of users by items; items without training events are predicted from them."""

    name = "rows"
    weight: float = setting(
        1.0, "Weight of a feature's row against that of a user, α.", low=0, range=Range(0.01, 1000.0, log=True)
    )


def weights_with_features(
    gram: Float[Tensor, "items items"],
    train: Histories,
    features: scipy.sparse.csr_array,
    option: FeatureRows,
    regularization: float,
) -> Float[Tensor, "items items"]:
    """B, in the memory of `gram`.

    Args:
        gram: XᵀX, in the precision of the solution.
        features: F, items × features.
        option: the settings of the features.
        regularization: ridge penalty, λ.
    """
    known = train.counts() > 0
    cold = torch.from_numpy(np.flatnonzero(~known)).to(gram.device)
    warm = torch.from_numpy(np.flatnonzero(known)).to(gram.device)
    own = torch.from_numpy(option.weight * (features @ features.T).toarray()).to(gram)
    if len(cold):
        m = torch.from_numpy(regression_weights(features, known, option.regularization)).to(gram)
        expected = gram[:, warm] @ m + own[:, cold]
    gram.add_(own)
    del own
    gram.diagonal().add_(regularization)
    torch.linalg.cholesky(gram, out=gram)
    precision = torch.cholesky_inverse(gram)
    del gram
    scale = precision.diagonal().clone()
    if len(cold):
        solved = precision @ expected
        solved -= precision[:, cold] * (solved[cold, torch.arange(len(cold), device=cold.device)] / scale[cold])
    weights = precision.div_(-scale)
    if len(cold):
        weights[:, cold] = solved
    return weights.fill_diagonal_(0.0)
