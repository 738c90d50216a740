"""Checks and joins of sparse matrices with a row for each user."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse

from foldin.errors import ShapeError

__all__ = ["check_rows", "stacked_rows"]


def check_rows(matrix: Any, users: int, what: str) -> None:
    """Raise an error unless this is a sparse matrix in single precision with a row for each user.

    Raises:
        ShapeError: it is not.
    """
    if not isinstance(matrix, scipy.sparse.csr_array) or matrix.dtype != np.float32 or matrix.shape[0] != users:
        about = (
            f"{type(matrix).__name__} of {getattr(matrix, 'dtype', 'no type')}, {getattr(matrix, 'shape', 'no shape')}"
        )
        raise ShapeError(
            f"{what} must be a scipy.sparse.csr_array of float32 with a row for each of the {users:,} users, not {about}"
        )


def stacked_rows(parts: Sequence[scipy.sparse.csr_array | None]) -> scipy.sparse.csr_array | None:
    """The rows of one part after another; None if they are unknown in any of the parts."""
    known = [one for one in parts if one is not None]
    if not known or len(known) < len(parts):
        return None
    return scipy.sparse.csr_array(scipy.sparse.vstack(known, format="csr"))
