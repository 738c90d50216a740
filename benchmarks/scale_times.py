"""Seconds of a step, of a list and of a closed form, from the operations of the code and the rates of a machine.

The formulas count what the code does: multiply-adds of its products, rows that it gathers from tables and scatters into them, and
passes over numbers in the cache or in memory. The rates (`scale_rates.py`) are arguments.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from scale_bytes import Shape, Tables, blocks_of_users
from scale_exchange import dense_exchange, ring_bytes

__all__ = [
    "Rates",
    "adam_seconds",
    "ease_seconds",
    "elsa_step",
    "exchange_seconds",
    "lazy_adam_seconds",
    "list_seconds",
    "shared_sum",
    "step_seconds",
    "total",
    "worker_step",
]

# Arrays that an update of a parameter reads or writes in memory: fused Adam weights, gradients and two moments, and three of them
# again; NAdam by single operations (lerp 3, mul 2, addcmul 3, div 2, sqrt 2, add 2, addcdiv 4, addcdiv 4).
ADAM_ARRAYS, NADAM_ARRAYS = 7, 22
# Elementwise operations of lazy Adam on a block of rows that stays in the cache (`_update_block`), and rows that it gathers from
# and scatters into tables: weights and moments. In bfloat16 there are conversions and the noise of the rounding.
LAZY_PASSES = {"sampled": 9, "bfloat16": 22}
# Arrays of items × width that ELSA's loss reads or writes: norms and unit vectors 3, their gradient 13, the gradient of the
# bag 4, that of the products of vectors 5, sums of both 3.
ELSA_ARRAYS = 28
# Those of all of these that are new memory in each step: unit vectors and what their gradient makes 8, the gradients of both uses
# and their sum 3, NAdam's 2; and the matrices that EASE makes beside the one that it inverts.
ELSA_FRESH, EASE_FRESH = 13, 6
NEGATIVES = 4096.0
REUSED = 32 << 20  # bytes of an array up to which the C library gives memory again that was freed before


@dataclass(frozen=True, kw_only=True)
class Rates:
    """What a machine does in a second, with as many threads as the work that is predicted.

    Args:
        products: floating-point operations of a product of 500 users with the vectors of items, by the width of these.
        scored: bytes of a large table of vectors that a product with those of few users reads, by the number of users.
        softmax: scores that are made exponentials, from logits in memory, as the loss does.
        passes: numbers of an elementwise operation in the cache.
        memory: bytes that a sequential operation on large arrays reads and writes.
        fresh: bytes of new memory that are written for the first time.
        gathered: bytes of rows in random places of a large table that are gathered.
        scattered: bytes of rows that are written to random places of a large table.
        updated: bytes of rows in random places of a large table that are gathered, and as many that are scattered back from the
            cache.
        keys: keys that are made unique.
        best: scores of which the best are found.
        sparse: multiply-adds of a product of sparse matrices.
        inverse: floating-point operations of Cholesky and inverse in double precision.
        step: seconds of a step on a few users and items, which are the calls themselves.
        event: seconds of an event of a step on a few items: its draws, its place among the others, its weight.
        list: seconds of a list from a few items, which are the calls themselves.
    """

    products: Mapping[int, float]
    scored: Mapping[int, float]
    softmax: float
    passes: float
    memory: float
    fresh: float
    gathered: float
    scattered: float
    updated: float
    keys: float
    best: float
    sparse: float
    inverse: float
    step: float
    event: float
    list: float

    def of_products(self, width: int) -> float:
        """The rate of products of a width: that of the nearest one that was measured."""
        return _nearest(self.products, width)

    def of_scored(self, users: float) -> float:
        """The rate at which the vectors of all items are read for so many users: that of the nearest number."""
        return _nearest(self.scored, users)


def _nearest(rates: Mapping[int, float], at: float) -> float:
    return rates[min(rates, key=lambda one: abs(math.log(one / at)))]


def total(parts: Mapping[str, float]) -> float:
    """The sum of the parts of a time."""
    return sum(parts.values())


def adam_seconds(rates: Rates, parameters: float) -> float:
    """Fused Adam on parameters with dense gradients."""
    return 4.0 * ADAM_ARRAYS * parameters / rates.memory


def lazy_adam_seconds(rates: Rates, rows: float, width: int, kind: str) -> float:
    """Lazy Adam on some rows of a table.

    In single precision, weights and two moments are gathered and scattered back; in bfloat16, weights and first moments of half
    the size.
    """
    moved = 12.0 if kind == "sampled" else 4.0
    return rows * width * (2.0 * moved / rates.updated + LAZY_PASSES[kind] / rates.passes)


def new_seconds(rates: Rates, size: float) -> float:
    """Writing so many bytes of an array that is made anew in each step: a large one is new memory of the system each time."""
    return size / (rates.fresh if size > REUSED else rates.memory)


def bag_seconds(rates: Rates, events: float, rows: float, width: int) -> float:
    """A bag and its gradient without the rows that it writes: a row comes from the table once, then from the cache.

    The gradient of each event is its user's vector, which stays in the cache too.
    """
    return 4.0 * width * rows / rates.gathered + 2.0 * width * events / rates.passes


def step_seconds(rates: Rates, tables: Tables, shape: Shape) -> dict[str, float]:
    """Seconds of a gradient step of an autoencoder, by what takes them."""
    products = 6.0 * shape.users * shape.scored_rows * tables.scored / rates.of_products(tables.scored)
    products += sum(6.0 * shape.users * a * b / rates.of_products(min(a, b)) for a, b in tables.between)
    scores = shape.users * shape.scored_rows
    found = {"calls": rates.step, "events": shape.events * rates.event, "products": products}
    # After the products of the backward pass, the scores are read once more for the gradient of the biases.
    found["softmax"] = scores / rates.softmax + 4.0 * scores / rates.memory
    read = 4.0 * tables.read * shape.read_rows
    # The rows of sampled tables are gathered before, below.
    gathered = shape.read_rows if tables.kind == "full" else 0.0
    found["bags"] = bag_seconds(rates, shape.kept, gathered, tables.read) + read / rates.scattered
    if tables.kind == "full":
        # In the gradient, the rows of the step before are zeroed.
        found["bags"] += read / rates.scattered
        return {**found, "adam": adam_seconds(rates, tables.parameters)}
    # Rows of both tables are gathered; the gradient of the bag is written to zeros.
    each = 1.0 if tables.kind == "sampled" else 0.5
    taken = each * (read + 4.0 * tables.scored * shape.scored_rows)
    found["bags"] += taken / rates.gathered + new_seconds(rates, read)
    if tables.kind == "bfloat16":  # vectors in single precision and gradients in bfloat16 are made of each other
        arrays = (read, 4.0 * tables.scored * shape.scored_rows)
        found["bags"] += sum(new_seconds(rates, one) + new_seconds(rates, 0.5 * one) for one in arrays)
    # The items that are read and those that are scored are made unique.
    found["keys"] = (shape.kept + shape.events + NEGATIVES) / rates.keys
    found["adam"] = (
        lazy_adam_seconds(rates, shape.read_rows, tables.read, tables.kind)
        + lazy_adam_seconds(rates, shape.scored_rows, tables.scored, tables.kind)
        + adam_seconds(rates, tables.inner)
    )
    return found


def exchange_seconds(summed: float, workers: int, link: float) -> float:
    """Seconds of a sum of so many bytes around a ring of workers.

    Args:
        link: bytes a second that a worker sends while it receives.
    """
    return ring_bytes(summed, workers) / link


def shared_sum(rates: Rates, summed: float, workers: int) -> float:
    """Seconds of a sum of so many bytes over the workers of one machine, in memory that all of them map.

    Each copies the others' parts, (k − 1) / k of all, to where they see it: three passes, since what is written is first read
    into the cache. Of its own part, 1 / k of all, it reads its numbers and those of the k − 1 others, writes the sum to its row
    (two passes) and to the k − 1 others, which are in the cache.
    """
    copied, summing = 3.0 * (workers - 1), 2.0 * workers + 1.0
    return (copied + summing) / workers * summed / rates.memory


def worker_step(rates: Rates, tables: Tables, part: Shape, workers: int, link: float | None = None) -> dict[str, float]:
    """Seconds of a step that workers share: of its part of a batch, of the exchange, and of the optimizer on all parameters.

    Args:
        part: of the users of one worker.
        link: bytes a second between workers; None for workers of one machine, which share memory.
    """
    summed, found = dense_exchange(tables), step_seconds(rates, tables, part)
    if link is None:
        return {**found, "exchange": shared_sum(rates, summed, workers)}
    # Gradients are copied into one array, which is read and written beside the exchange.
    return {**found, "copies": 2.0 * summed / rates.memory, "exchange": exchange_seconds(summed, workers, link)}


def list_seconds(
    rates: Rates, items: float, width: int, *, users: float = 64, kind: str = "full", density: bool = True
) -> dict[str, float]:
    """Seconds of an exact list of one of many users that are ranked together, by what takes them.

    Args:
        users: users that are ranked; they are scored in blocks of 64 MB.
        density: whether scores are normalized.
    """
    block = min(users, blocks_of_users(items))
    flops = 2.0 * items * width / rates.of_products(width)
    # A block of few users takes as long as reading the items' vectors.
    table = 4.0 * items * width / rates.of_scored(block) / block
    if kind == "bfloat16":  # converted for each block
        table, flops = 0.0, flops + 10.0 * items * width / rates.memory / block
    found = {"calls": rates.list, "products": max(flops, table), "best": items / rates.best}
    # The biases are added; the scores are normalized without a change of them, in the cache.
    found["passes"] = 8.0 * items / rates.memory + (items / rates.softmax if density else 0.0)
    return found


def ease_seconds(rates: Rates, items: float, pairs: float) -> dict[str, float]:
    """Seconds of EASE of a sparse log: co-occurrences by a sparse product, and the inverse of their matrix.

    Args:
        pairs: the sum over users of the squares of their numbers of events.
    """
    matrices = 8.0 * EASE_FRESH * items**2 / rates.fresh
    return {"co-occurrences": pairs / rates.sparse, "inverse": items**3 / rates.inverse, "matrices": matrices}


def elsa_step(rates: Rates, items: float, width: int, *, users: float, events: float, rows: float) -> dict[str, float]:
    """Seconds of a gradient step of ELSA, which works on the vectors of all items.

    Args:
        users: users of a batch.
        events: their events.
        rows: items among these.
    """
    products = 6.0 * items * width**2 + 6.0 * users * width**2
    array, known = 4.0 * items * width, ELSA_ARRAYS + NADAM_ARRAYS - ELSA_FRESH
    return {
        "products": products / rates.of_products(width),
        "passes": array * known / rates.memory + ELSA_FRESH * new_seconds(rates, array),
        "bags": bag_seconds(rates, events, rows, width) + 4.0 * width * rows / rates.scattered,
        "events": events * rates.event,
        "calls": rates.step,
    }
