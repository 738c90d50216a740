"""Bytes that workers send and receive in a step, by the ways in which tables of items can be trained together.

The first is that of the code (`training/distributed.py`): every worker has all parameters and all gradients are summed. The
others are what it would take to exchange only the rows that a step met, with every worker or with the one that has them.
"""

from scale_bytes import Shape, Tables

__all__ = ["dense_exchange", "ring_bytes", "row_exchange", "sharded_exchange"]


def dense_exchange(tables: Tables, terms: int = 3) -> float:
    """Bytes that workers sum in a step: the gradients of all parameters, and the loss with its terms."""
    return 4.0 * (tables.parameters + terms)


def ring_bytes(summed: float, workers: int) -> float:
    """Bytes that each of the workers sends for a sum of so many bytes around a ring: all but one part, twice."""
    return 2.0 * (workers - 1) / workers * summed


def row_exchange(tables: Tables, shape: Shape, workers: int) -> float:
    """Bytes that a worker would receive in a step if rows of gradients went to every other worker, each with its index.

    Args:
        shape: of the part of one worker.
    """
    each = 2.0 if tables.kind == "bfloat16" else 4.0
    own = shape.read_rows * (each * tables.read + 8.0) + shape.scored_rows * (each * tables.scored + 4.0 + 8.0)
    return (workers - 1) * own + ring_bytes(4.0 * tables.inner, workers)


def sharded_exchange(tables: Tables, shape: Shape, workers: int) -> float:
    """Bytes that a worker would receive in a step if each held a part of the tables' rows.

    Of the rows that a worker needs, all but its own come from the others, and the gradients of its own come back, each with its
    index.
    """
    each = 2.0 if tables.kind == "bfloat16" else 4.0
    rows = shape.read_rows * (each * tables.read + 8.0) + shape.scored_rows * (each * tables.scored + 4.0 + 8.0)
    return 2.0 * rows * (workers - 1) / workers + ring_bytes(4.0 * tables.inner, workers)
