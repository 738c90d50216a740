"""EASE with the features of the items as further rows of its matrix (CEASE), and weights of items without training events.

    P = (XᵀX + α FFᵀ + λ I)⁻¹,   B = I − P diag(1 / diag P)
    b_c = P (XᵀX m_c + α F f_c),   b_c' = m_cᵀ B

F is items × features, so that each feature is a row besides those of the users, with the weight α. X and F have the items with
training events alone: of another item c, a column of zeros in X would say that every user refused it. In its place stands the
ridge regression of the columns of X on the features, X m_c (`models/feature_regression.py`). The column b_c by which the item is
scored is then the regression of these expected events, and of the item's features f_c, on the known items. In a history, the item
stands for the known items that predict it: its row is b_c'.

An item that comes after the training needs no more of it than B and the diagonal of P, by which P = (I − B) diag P:

    b_c = m_c − P (λ m_c − α F (f_c − Fᵀ m_c)),   since XᵀX = P⁻¹ − α FFᵀ − λ I

Source: jeunen2020 (the rows of features, CEASE); gantner2010 (the regression on features).
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse
import torch

from foldin.data import Histories
from foldin.models.feature_regression import RegressedItems, regression_weights
from foldin.models.linear._zero_diagonal import inverse_of, weights_of_precision
from foldin.tensors import Array, Bool, Float, Float64, Tensor
from foldin.training import Range, setting

__all__ = ["FeatureRows", "weights_of_larger", "weights_with_features"]

_ROWS = 1024  # of B that are in double precision at once


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
) -> tuple[Float[Tensor, "items items"], Float[Tensor, " known"]]:
    """(B of all items, diagonal of P of the items with training events); the memory of `gram` is used.

    Args:
        gram: XᵀX, in the precision of the solution.
        features: F, items × features.
        option: the settings of the features.
        regularization: ridge penalty, λ.
    """
    known = train.counts() > 0
    warm = torch.from_numpy(np.flatnonzero(known)).to(gram.device)
    cold = torch.from_numpy(np.flatnonzero(~known)).to(gram.device)
    inside, outside = features[np.flatnonzero(known)], features[np.flatnonzero(~known)]
    inner = gram[warm][:, warm] if len(cold) else gram
    expected = m = inner.new_empty(len(warm), 0)
    if len(cold):
        m = torch.from_numpy(regression_weights(features, known, option.regularization)).to(gram)
        expected = inner @ m + torch.from_numpy(option.weight * (inside @ outside.T).toarray()).to(gram)
    inner.add_(torch.from_numpy(option.weight * (inside @ inside.T).toarray()).to(gram))
    inner.diagonal().add_(regularization)
    precision = inverse_of(inner)
    columns = precision @ expected
    diagonal = precision.diagonal().clone()
    own = weights_of_precision(precision)
    if not len(cold):
        return own, diagonal
    columns = torch.cat((own, columns), dim=1)
    rows = torch.cat((columns, m.t() @ columns))
    order = torch.cat((warm, cold)).argsort()
    return rows[order][:, order].fill_diagonal_(0.0), diagonal


def weights_of_larger(
    larger: Float[Tensor, "larger larger"],
    weights: Float[Tensor, "items items"],
    diagonal: Float64[Array, " known"],
    known: Bool[Array, " items"],
    features: scipy.sparse.csr_array,
    option: FeatureRows,
    regularization: float,
) -> None:
    """Set B of a larger catalog: that of the items that there are already, and of new ones after them.

    Args:
        larger: the memory of the larger B.
        weights: B.
        diagonal: diagonal of P of the known items.
        known: mask of the items with training events.
        features: F of all items, the new ones last.
        option: the settings of the features.
        regularization: ridge penalty, λ.
    """
    count, added = len(known), len(larger) - len(known)
    trained = np.concatenate((known, np.zeros(added, dtype=bool)))
    m = np.zeros(
        (len(larger), int((~trained).sum()))
    )  # the weight of each item in the prediction of one without events
    m[trained] = regression_weights(features, trained, option.regularization)
    wide = features.astype(np.float64)
    inside, of_new = wide[np.flatnonzero(trained)], m[:count, -added:]
    missing = wide[count:].toarray().T - inside.T @ of_new[known]
    left = np.zeros((count, added))
    left[known] = diagonal[:, None] * (regularization * of_new[known] - option.weight * (inside @ missing))
    columns, rows = of_new - left, np.zeros((added, count))
    for start in range(0, count, _ROWS):
        part = slice(start, start + _ROWS)
        block = weights[part].double().cpu().numpy()
        columns[part] += block @ left
        rows += of_new[part].T @ block
    columns[~known] = m[:count, :-added].T @ columns
    larger[:count, :count] = weights
    larger[:count, count:] = torch.from_numpy(columns).to(larger)
    larger[count:, :count] = torch.from_numpy(rows).to(larger)
    larger[count:, count:] = torch.from_numpy(of_new[known].T @ columns[known]).to(larger)
    larger.fill_diagonal_(0.0)
