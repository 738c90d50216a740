"""Bytes that workers send and receive in a step, by the ways in which tables of items can be trained together.

Every worker has all parameters. The first two ways are those of the code: all gradients are summed
(`training/distributed.py`), or of tables with sparse gradients the rows that any worker has (`training/row_exchange.py`). The
third is what it would take to exchange rows with the one worker that has them.
"""

from dataclasses import replace

from scale_bytes import Shape, Tables

__all__ = ["dense_exchange", "ring_bytes", "row_exchange", "sharded_exchange", "shared_shape"]


def dense_exchange(tables: Tables, terms: int = 3) -> float:
    """Bytes that workers sum in a step: the gradients of all parameters, and the loss with its terms."""
    return 4.0 * (tables.parameters + terms)


def ring_bytes(summed: float, workers: int) -> float:
    """Bytes that each of the workers sends for a sum of so many bytes around a ring: all but one part, twice."""
    return 2.0 * (workers - 1) / workers * summed


def shared_shape(part: Shape, whole: Shape) -> Shape:
    """The shape of a worker's step: it reads its own users, scores the items of the whole batch, and updates all of its rows."""
    return replace(part, read_rows=whole.read_rows, scored_rows=whole.scored_rows)


def row_exchange(tables: Tables, part: Shape, whole: Shape, workers: int) -> float:
    """Bytes that a worker receives in a step in which rows of gradients are summed.

    Every worker gets the indices of the rows of each other one, 8 bytes each, of vectors and of biases; of the rows that are
    scored all workers have all. Then the values of the rows that any of them has are summed around a ring.

    Args:
        part: the shape of the part of one worker.
        whole: the shape of the batch.
    """
    each = 2.0 if tables.kind == "bfloat16" else 4.0
    indices = 8.0 * (workers - 1) * (part.read_rows + 2.0 * whole.scored_rows)
    values = each * tables.read * whole.read_rows + (each * tables.scored + 4.0) * whole.scored_rows
    return indices + ring_bytes(values + 4.0 * tables.inner, workers)


def sharded_exchange(tables: Tables, shape: Shape, workers: int) -> float:
    """Bytes that a worker would receive in a step if each held a part of the tables' rows.

    Of the rows that a worker needs, all but its own come from the others, and the gradients of its own come back, each with its
    index.
    """
    each = 2.0 if tables.kind == "bfloat16" else 4.0
    rows = shape.read_rows * (each * tables.read + 8.0) + shape.scored_rows * (each * tables.scored + 4.0 + 8.0)
    return 2.0 * rows * (workers - 1) / workers + ring_bytes(4.0 * tables.inner, workers)
