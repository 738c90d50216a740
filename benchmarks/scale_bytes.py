"""Bytes of an event, an item and a user on disk and in memory, by formulas that follow the code.

Everything here is a function of sizes; nothing is measured. `scale_exchange.py` has the bytes between workers, `scale_times.py`
the times, and `scale_model.py` compares them with what is measured.
"""

import math
from dataclasses import dataclass

import numpy as np

__all__ = [
    "Shape",
    "Tables",
    "als_bytes",
    "autoencoder_anonymous",
    "blocks_of_users",
    "distinct",
    "ease_bytes",
    "elsa_bytes",
    "hnsw_bytes",
    "inverted_file_bytes",
    "mean_distinct",
    "popularity",
    "preparing_bytes",
    "sansa_bytes",
    "shape_of",
    "shard_bytes",
    "touched_pages",
]

HEADER, PAGE = 128, 4096
BLOCK = 64 << 20  # bytes of a block of scores
# Bytes of an event in the shards, by array, and in the chunks that `prepare` keeps until it ends.
EVENT = {"items": 4, "times": 8, "kinds": 1, "values": 4}
HEAD, KEPT, PAIR_BYTES = (
    8192,
    16,
    48,
)  # SANSA's dense head, entries kept for each neighbor, bytes of an entry of a product


def shard_bytes(events: float, users: float, beside: tuple[str, ...] = ("times",)) -> dict[str, float]:
    """Bytes of each array of a folder of shards; `beside` are the arrays of events besides the items."""
    arrays = {name: HEADER + EVENT[name] * events for name in ("items", *beside)}
    return {**arrays, "offsets": HEADER + 8.0 * (users + 1)}


def preparing_bytes(events: float, beside: tuple[str, ...] = ("times",)) -> float:
    """Bytes on disk that preparing needs at its end besides the log and the shards: the chunks.

    They have the user and the item of an event in 4 bytes, and the arrays beside them; dictionaries are left out, and the
    places of events in their chunk, 4 bytes if the ids of users are text.
    """
    return events * (4 + EVENT["items"] + sum(EVENT[name] for name in beside))


def popularity(items: int) -> np.ndarray:
    """The shares of the items in the synthetic logs of the benchmarks."""
    shares = 1.0 / (20.0 + np.arange(items))
    found: np.ndarray = shares / shares.sum()
    return found


def distinct(shares: np.ndarray, draws: float, also: np.ndarray | float = 0.0) -> float:
    """Expected number of items among independent draws by their shares; `also`: probability of each to be there anyway."""
    return float((1.0 - (1.0 - also) * np.exp(draws * np.log1p(-np.minimum(shares, 1.0 - 1e-12)))).sum())


def mean_distinct(shares: np.ndarray, longest: int = 99) -> float:
    """Mean number of events of a user in the log of `big_catalog.py`: 1 to `longest` draws, repeats left out."""
    found = np.array([distinct(shares, n) for n in np.unique(np.linspace(1, longest, 25).round())])
    return float(np.interp(np.arange(1, longest + 1), np.unique(np.linspace(1, longest, 25).round()), found).mean())


@dataclass(frozen=True, kw_only=True)
class Tables:
    """The parameters of an autoencoder of items: a table that is read, a table and biases that are scored, and layers between.

    Args:
        items: number of items.
        read: width of the table that is read.
        scored: width of the table that is scored.
        between: numbers of inputs and outputs of each layer between the tables.
        kind: `full`, `sampled` or `bfloat16`.
    """

    items: float
    read: int
    scored: int
    between: tuple[tuple[int, int], ...] = ()
    kind: str = "full"

    @property
    def an_item(self) -> dict[str, float]:
        """Bytes of an item: weights, gradients that have a row for each item, moments of Adam."""
        both = self.read + self.scored
        if self.kind == "full":
            return {"weights": 4.0 * (both + 1), "gradients": 4.0 * (both + 1), "moments": 8.0 * (both + 1)}
        # Lazy Adam counts the steps of each row of each of the three tables.
        if self.kind == "sampled":
            return {"weights": 4.0 * (both + 1), "gradients": 0.0, "moments": 8.0 * (both + 1) + 12.0}
        # One second moment for each row of the two tables of vectors; the biases are in single precision.
        return {"weights": 2.0 * both + 4.0, "gradients": 0.0, "moments": 2.0 * both + 8.0 + 8.0 + 12.0}

    @property
    def inner(self) -> float:
        """Number of parameters besides those of the items: the layers between and their biases, and that of the first layer."""
        return self.read + sum(a * b + b for a, b in self.between)

    @property
    def parameters(self) -> float:
        """Number of all parameters."""
        return self.items * (self.read + self.scored + 1) + self.inner

    def bytes(self) -> dict[str, float]:
        """Bytes in training: weights, gradients, moments."""
        shares = {"weights": 4.0, "gradients": 4.0, "moments": 8.0}
        return {name: self.items * each + shares[name] * self.inner for name, each in self.an_item.items()}

    def file(self) -> float:
        """Bytes of the weights in a file."""
        return self.bytes()["weights"]


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What a gradient step of an autoencoder meets, by expectation.

    Args:
        users: users of the batch.
        events: events of these users.
        kept: events that dropout leaves.
        read_rows: items among those that are left.
        scored_rows: items that are scored.
    """

    users: float
    events: float
    kept: float
    read_rows: float
    scored_rows: float


def shape_of(
    tables: Tables,
    shares: np.ndarray,
    *,
    users: float,
    drawn: float,
    events: float,
    negatives: int,
    dropout: float = 0.5,
    power: float = 0.75,
) -> Shape:
    """The shape of a step on a synthetic log.

    Args:
        shares: of the items among all events.
        users: users of a batch.
        drawn: draws of items for a user, of which repeated ones are left out.
        events: events of a user.
        negatives: shared negatives of a step, one from each of as many equal strata of the shares to the power.
    """
    scored = tables.items
    if tables.kind != "full":
        smoothed = shares**power
        scored = distinct(shares, users * drawn, also=np.minimum(1.0, negatives * smoothed / smoothed.sum()))
    kept = users * events * (1.0 - dropout)
    read = distinct(shares, users * drawn * (1.0 - dropout))
    return Shape(users=users, events=users * events, kept=kept, read_rows=read, scored_rows=scored)


def touched_pages(share: float, row: float) -> float:
    """Share of the pages of a table that are in memory if a share of its rows, in random places, has been written."""
    return 1.0 - (1.0 - share) ** max(1.0, PAGE / row + 1.0)


def autoencoder_anonymous(
    tables: Tables, shape: Shape, *, touched: float = 1.0, ranked: int = 0, k: int = 100, base: float = 0.0
) -> float:
    """Largest anonymous memory of building, training and ranking, in bytes.

    Args:
        touched: share of the items of which a step has updated the rows.
        ranked: users that are ranked afterwards.
        k: length of their lists.
        base: bytes of a process that trains a model of a few items.
    """
    items, both = tables.items, tables.read + tables.scored
    parts = tables.bytes()
    # A table in bfloat16 is made in single precision, one after the other, while the rest is there.
    building = 4.0 * items * (both + 1) + (2.0 * items * tables.read if tables.kind == "bfloat16" else 0.0)
    logits = 4.0 * shape.users * shape.scored_rows
    training = parts["weights"] + parts["gradients"] + logits
    if tables.kind == "full":
        training += parts["moments"]
    else:
        each = 4.0 if tables.kind == "sampled" else 2.0
        for width in (tables.read, tables.scored):
            state = (8.0 if tables.kind == "sampled" else 2.0) * width
            training += items * state * touched_pages(touched, each * width)
        # The small states, the shares of the items and their sums, by which negatives are drawn.
        training += items * (12.0 + 8.0 + (8.0 if tables.kind == "bfloat16" else 0.0)) + 16.0 * items
        # Vectors of the rows and their gradients, twice for those that are read.
        training += 8.0 * shape.scored_rows * tables.scored + 12.0 * shape.read_rows * tables.read
        if tables.kind == "bfloat16":  # the vectors and the gradients in bfloat16 as well
            training += 4.0 * (shape.scored_rows * tables.scored + shape.read_rows * tables.read)
    block = min(1024.0, max(1.0, BLOCK // (4.0 * items)), float(ranked)) if ranked else 0.0
    ranking = parts["weights"] + max(logits, 4.0 * block * items) + 24.0 * items * (ranked > 0)
    return base + max(building, training, ranking)


def ease_bytes(items: float) -> float:
    """Bytes of EASE's weights, and of the matrix that is inverted if it is in double precision."""
    return (12.0 if items <= 12_000 else 4.0) * items**2


def elsa_bytes(items: float, width: int) -> float:
    """Bytes of ELSA in training: vectors, gradient, two moments; unit vectors and their gradients from both uses."""
    return 28.0 * items * width


def als_bytes(users: float, items: float, width: int) -> float:
    """Bytes of the factors of users and items."""
    return 4.0 * (users + items) * width


def sansa_bytes(items: float, neighbors: int, pairs: float) -> dict[str, float]:
    """Bytes of SANSA's factor, of the XᵀX that is kept in training, and of all that training needs at most.

    Args:
        pairs: the sum over users of the squares of their numbers of events, which bounds the entries of XᵀX.
    """
    head = min(items, HEAD)
    entries = min(pairs, float(KEPT * neighbors) * (items - head))
    gram = 4.0 * head**2 + 8.0 * entries
    width = 1 + min(2 * neighbors, items)
    factor = 48.0 * max(4.0, BLOCK // (8 * width**2)) * width**2
    product = PAIR_BYTES * min(pairs, 2.0 * (1 << 24))
    tensors = items * (8.0 * neighbors + 8.0)
    return {"factor": tensors, "co-occurrences": gram, "training": gram + product + factor + 24.0 * items * neighbors}


def hnsw_bytes(items: float, dim: int, links: int = 32) -> float:
    """Bytes of `HNSW<links>,SQ8`: a byte a dimension of three added to; links, level and place of an item in the graph.

    An item is in each further level of the graph with probability 1 / links, and has half as many links there.
    """
    dims = dim + 2
    graph = 4.0 * (2 * links + links / (links - 1)) + 4.0 + 8.0
    return items * (dims + graph) + 8.0 * dims


def inverted_file_bytes(items: float, dim: int, lists: int) -> float:
    """Bytes of `IVF<lists>,SQ8`: a byte a dimension and an index of 8 for an item, a center for each list."""
    dims = dim + 2
    return items * (dims + 8.0) + lists * (4.0 * dims + 8.0) + 8.0 * dims


def blocks_of_users(items: float) -> float:
    """Users that are scored at once."""
    return min(1024.0, max(1.0, math.floor(BLOCK / (4.0 * items))))
