"""Whether logged lists can say anything about a target policy: all that it lists must sometimes have been listed."""

import numpy as np

from foldin.errors import ShapeError, SupportError
from foldin.evaluation.off_policy.feedback import LoggedFeedback
from foldin.tensors import Array, Bool, Float64, Int64

__all__ = ["check_support", "table_probabilities"]

_ROUNDING = 1e-6  # by which the probabilities of a context may miss a sum of 1


def check_support(
    target: Bool[Array, "contexts items"],
    logging: Bool[Array, "contexts items"],
    *,
    contexts: Int64[Array, " contexts"] | None = None,
) -> None:
    """Raise an error if the target policy may list an item, in any context, that the logging policy never lists there.

    Args:
        target, logging: whether the policies may list an item; of probabilities, `probabilities > 0`.
        contexts: numbers of the contexts for the message; 0, 1, … if None.

    Raises:
        ShapeError: tables of different sizes.
        SupportError: there is such an item.
    """
    if target.shape != logging.shape:
        raise ShapeError(f"the target's table has the shape {target.shape}, that of the logging policy {logging.shape}")
    outside = target & ~logging
    if not outside.any():
        return
    context, item = (int(at) for at in np.argwhere(outside)[0])
    number = context if contexts is None else int(contexts[context])
    raise SupportError(
        f"the target policy lists items that the logging policy never lists, in {int(outside.any(axis=1).sum()):,} of "
        f"{len(outside):,} contexts, such as item {item} in context {number}: the log has no rewards of them, and no weights can "
        "make up for that"
    )


def table_probabilities(
    feedback: LoggedFeedback, probabilities: Float64[Array, "contexts items"]
) -> Float64[Array, "lists k"]:
    """Probability of each logged item under a target policy that is given as a table, for lists of one item.

    Raises:
        ShapeError: longer lists, a table that is too small, or rows that are not probabilities.
        SupportError: the target policy takes items that the logging policy never takes, if `feedback.possible` is known.
    """
    if feedback.items.shape[1] != 1:
        raise ShapeError(
            f"a table of probabilities is one of single items; the lists have {feedback.items.shape[1]} places"
        )
    table = np.asarray(probabilities, dtype=np.float64)
    contexts, items = table.shape if table.ndim == 2 else (0, 0)
    if feedback.contexts.max() >= contexts or feedback.items.max() >= items:
        raise ShapeError(
            f"a table of at least {feedback.contexts.max() + 1} contexts and {feedback.items.max() + 1} items was expected, "
            f"not one of the shape {table.shape}"
        )
    if not ((table >= 0.0).all() and (np.abs(table.sum(axis=1) - 1.0) <= _ROUNDING).all()):
        raise ShapeError("the probabilities of each context must be at least 0 and sum to 1")
    if feedback.possible is not None:
        check_support(table > 0.0, feedback.possible)
    chosen = table[feedback.contexts[:, None], np.maximum(feedback.items, 0)]
    return np.where(feedback.listed, chosen, 1.0)
