"""What EASE, EDLAE and SLIM share: weights B of items on items with a diagonal of zeros, and the scores x B."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.nn import functional as F

from foldin.data import Histories
from foldin.errors import FitError
from foldin.kernels import padded_recency_weights
from foldin.memory import require_memory
from foldin.models.evidence import read_events
from foldin.models.linear._gram import gram_bytes
from foldin.tensors import Float, Int, Tensor

__all__ = [
    "SMALLER",
    "inverse_bytes",
    "inverse_dtype",
    "inverse_of",
    "invertible",
    "item_scores",
    "no_weights",
    "padded_item_scores",
    "take_weights",
    "weights_of_precision",
]

SMALLER = (
    "leave out rare items (--item-events), or try a model without a matrix of items by items: sansa, elsa or multvae"
)
_DOUBLE_UP_TO = 12_000


def no_weights(n_items: int, what: str, device: torch.device) -> Float[Tensor, "items items"]:
    """The weights before training, which are zeros.

    Args:
        what: what needs them, such as "EASE of 270,000 items".

    Raises:
        CapacityError: they need more memory than is free.
    """
    require_memory(4.0 * n_items**2, what, SMALLER, device)
    return torch.zeros(n_items, n_items, device=device)


def item_scores(
    weights: Float[Tensor, "items items"], histories: Histories, oldest: float
) -> Float[Tensor, "users items"]:
    """x B of each user: the sum of the rows of the history's items, by the weights of the events; negative for dislikes."""
    items, offsets, values = read_events(histories, oldest, weights.device)
    return F.embedding_bag(items, weights, offsets, mode="sum", per_sample_weights=values, include_last_offset=True)


def padded_item_scores(
    weights: Float[Tensor, "items items"], history: Int[Tensor, "users length"], oldest: float
) -> Float[Tensor, "users items"]:
    """As `item_scores`, for a rectangle of items padded with −1, in plain tensor operations."""
    values = padded_recency_weights(history, oldest).to(weights.dtype)
    taken = weights.new_zeros(history.shape[0], weights.shape[0])
    return taken.scatter_add(1, history.clamp(min=0), values) @ weights


def weights_of_precision(precision: Float[Tensor, "items items"]) -> Float[Tensor, "items items"]:
    """B = I − P diag(1 / diag P), in the memory of P: the regression of each item on all others.

    Source: steck2019, eq. 8.
    """
    precision.div_(-precision.diagonal().clone())
    return precision.fill_diagonal_(0.0)


def inverse_dtype(n_items: int) -> torch.dtype:
    """Double precision up to 12,000 items, single precision above."""
    return torch.float64 if n_items <= _DOUBLE_UP_TO else torch.float32


def inverse_bytes(train: Histories) -> float:
    """Memory of the counts of `train` and the inverse of their matrix, in bytes.

    In double precision the matrix, besides the counts or the weights; in single precision one matrix, which becomes the weights.
    """
    each = 12.0 if train.n_items <= _DOUBLE_UP_TO else 4.0
    return max(each * train.n_items**2, gram_bytes(train))


def inverse_of(matrix: Float[Tensor, "items items"]) -> Float[Tensor, "items items"]:
    """The inverse of a symmetric positive-definite matrix, in its memory."""
    columns = matrix.t()  # in the order of LAPACK, which makes a copy of any other
    torch.linalg.cholesky(columns, out=columns)
    torch.cholesky_inverse(columns, out=columns)
    return matrix


def take_weights(weights: Float[Tensor, "items items"], found: Float[Tensor, "items items"]) -> None:
    """Replace the weights of a model by others: in the memory of these, if they are of the same precision."""
    if found.dtype == weights.dtype and found.is_contiguous():
        weights.set_(found)  # type: ignore[call-overload]  # the stubs of PyTorch have no tensor here
    else:
        weights.copy_(found)


@contextmanager
def invertible(model: str, regularization: float) -> Iterator[None]:
    """A context in which a matrix that cannot be inverted is a clear error.

    Args:
        model: name of the model, for the message.
        regularization: ridge penalty of its settings.

    Raises:
        FitError: the matrix is singular to rounding.
    """
    try:
        yield
    except RuntimeError as error:  # of which PyTorch's LinAlgError is one
        if "linalg" not in str(error):
            raise
        raise FitError(
            f"{model}: regularization = {regularization:g} is too small for this log: its matrix is singular"
        ) from error
