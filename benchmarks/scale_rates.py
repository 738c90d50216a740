"""What this machine does in a second: products, passes over memory, random rows, keys."""

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
import scipy.sparse
import torch
from scale_times import Rates

from foldin.data import Histories
from foldin.kernels import matmul_into, top_k
from foldin.models import MultVAE, MultVAEConfig
from foldin.ranking import rank
from foldin.training import Progress, fit

__all__ = ["Steps", "measured_rates", "rates_of"]

_BLOCK = 1 << 18  # numbers that lazy Adam updates at once
WIDTHS = (50, 100, 200, 400)
FEW = (1, 16)  # users that are scored together: one, and those of a block over a million items


def seconds(work: Callable[[], Any], repeats: int = 5, before: Callable[[], Any] = lambda: None) -> float:
    """The median time of a call, after one that only allocates; `before` runs before each and is not timed."""
    found = []
    for turn in range(repeats + 1):
        before()
        start = time.perf_counter()
        work()
        found += [time.perf_counter() - start] if turn else []
    return median(found)


def sweep(numbers: int) -> Callable[[], Any]:
    """A pass over memory, after which the caches hold nothing that was used before."""
    array = torch.zeros(numbers)
    return lambda: array.add_(1.0)


def product_rate(width: int, users: int, rows: int, before: Callable[[], Any]) -> float:
    """Of the three products of a loss: scores, the gradient of the users' vectors, that of the items' vectors."""
    hidden, table, scores = torch.rand(users, width), torch.rand(rows, width), torch.empty(users, rows)
    of_hidden, of_table = torch.empty_like(hidden), torch.empty_like(table)

    def work() -> None:
        matmul_into(scores, hidden, table.t())
        matmul_into(of_hidden, scores, table)
        matmul_into(of_table, scores.t(), hidden)

    return 6.0 * users * rows * width / seconds(work, 3, before)


def scored_rate(width: int, users: int, rows: int) -> float:
    """Bytes of a table of vectors that a product with those of few users reads."""
    hidden, table, scores = torch.rand(users, width), torch.rand(rows, width), torch.empty(users, rows)
    return 4.0 * rows * width / seconds(lambda: matmul_into(scores, hidden, table.t()), 3)


def softmax_rate(users: int, rows: int, before: Callable[[], Any]) -> float:
    """Scores that get a bias, lose their maximum, become exponentials and are summed, in blocks that stay in the cache."""
    scores, bias, step = torch.rand(users, rows), torch.rand(rows), max(1, (1 << 19) // rows)

    def work() -> None:
        for start in range(0, users, step):
            block = scores[start : start + step]
            block.add_(bias)
            block.sub_(torch.amax(block, dim=1, keepdim=True)).exp_()
            torch.sum(block, dim=1, keepdim=True)

    return users * rows / seconds(work, 3, before)


def pass_rate(numbers: int = 1 << 18) -> float:
    """Numbers of an elementwise operation on a block: the mean over those of an update by Adam of weights that were gathered."""
    weights, gradient, mean, square = (torch.rand(numbers) for _ in range(4))

    def work() -> None:
        mean.lerp_(gradient, 0.1)
        square.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
        root = square.mul(0.5).sqrt_()
        weights.sub_(mean.mul_(1e-3).div_(root.add_(1e-8)))

    return 9.0 * numbers / seconds(work, 20)


def memory_rate(numbers: int) -> float:
    """Bytes that the sum of a large array and another in its place reads and writes."""
    a, b = torch.rand(numbers), torch.rand(numbers)
    return 12.0 * numbers / seconds(lambda: a.add_(b), 3)


def fresh_rate(numbers: int) -> float:
    """Bytes of new memory that are written for the first time, in arrays that the system is asked for each time."""
    return 4.0 * numbers / seconds(lambda: torch.ones(numbers), 5)


def row_rates(rows: int, width: int, taken: int, before: Callable[[], Any]) -> dict[str, float]:
    """Bytes of rows in random places of a large table that are gathered, that are scattered into it, and that are both.

    Rows that are both are scattered back while their block is in the cache, as by an update of them.
    """
    table, rng = torch.rand(rows, width), np.random.default_rng(0)
    places = iter([torch.from_numpy(np.sort(rng.choice(rows, taken, replace=False))) for _ in range(18)])
    values = torch.rand(taken, width)

    def update() -> None:
        for part in next(places).split(max(1, _BLOCK // width)):
            table.index_copy_(0, part, table.index_select(0, part))

    works = {
        "gathered": lambda: table.index_select(0, next(places)),
        "scattered": lambda: table.index_copy_(0, next(places), values),
        "updated": update,
    }
    moved = {"gathered": 4.0, "scattered": 4.0, "updated": 8.0}
    return {name: moved[name] * taken * width / seconds(work, 5, before) for name, work in works.items()}


def key_rate(items: int, keys: int) -> float:
    """Keys that are made unique, with the place of each."""
    drawn = torch.from_numpy(np.random.default_rng(0).integers(0, items, keys))
    return keys / seconds(lambda: torch.unique(drawn, return_inverse=True))


def best_rate(users: int, items: int) -> float:
    """Scores of which the hundred best of each user are found."""
    scores = torch.rand(users, items)
    return users * items / seconds(lambda: top_k(scores, min(100, items // 2)), 3)


def sparse_rate(users: int, items: int) -> float:
    """Multiply-adds of the sparse product that counts pairs of items."""
    rng = np.random.default_rng(0)
    columns = rng.integers(0, items, (users, 50))
    rows = scipy.sparse.csr_matrix(
        (np.ones(columns.size, np.float32), columns.reshape(-1), np.arange(users + 1) * 50), shape=(users, items)
    )
    return 2500.0 * users / seconds(lambda: rows.T @ rows, 2)


def inverse_rate(items: int) -> float:
    """Operations of Cholesky and inverse in double precision, counted as n³."""
    rows = torch.rand(items, items, dtype=torch.float64)
    matrix = rows @ rows.t() + items * torch.eye(items, dtype=torch.float64)

    def work() -> None:
        columns = matrix.clone()
        torch.linalg.cholesky(columns, out=columns)
        torch.cholesky_inverse(columns, out=columns)

    return items**3 / seconds(work, 2)


class Steps(Progress):
    """Seconds of each step of an epoch but for the first three, which allocate."""

    def __init__(self, most: int = 10**9) -> None:
        self.most, self.times = most, list[float]()

    def step(self, phase: str, done: int, total: int, terms: Any) -> None:
        self.times.append(time.perf_counter())
        if done >= self.most:
            raise KeyboardInterrupt

    @property
    def seconds(self) -> float:
        """The median time of a step."""
        return median(np.diff(self.times[min(2, len(self.times) - 2) :]).tolist())


def call_seconds(users: int, length: int) -> float:
    """A step on some users of so many events each, over 20 items."""
    drawn = np.random.default_rng(0).integers(0, 20, (12 * users, length))
    model = MultVAE(20, MultVAEConfig(hidden_dims=(), latent_dim=4, batch_size=users), seed=0)
    steps = Steps()
    fit(model, Histories.from_lists(drawn, 20), epochs=1, progress=steps)
    return steps.seconds


def list_call_seconds() -> float:
    """A list over few items, of 64 users with 50 events each that are ranked together."""
    rng = np.random.default_rng(0)
    log = Histories.from_lists([rng.choice(300, 50, replace=False) for _ in range(64)], 300)
    model = MultVAE(300, MultVAEConfig(hidden_dims=(), latent_dim=4), seed=0)
    return seconds(lambda: rank(model, log, 100)) / 64


def measured_rates(scale: float) -> dict[str, Any]:
    """All rates of this process.

    Args:
        scale: share of the usual sizes.
    """
    rows = max(64, round(16_384 * scale))
    large = max(1 << 14, round((1 << 26) * scale))
    cold = sweep(large)
    few, many = call_seconds(20, 2), call_seconds(500, 50)
    return {
        "products": {width: product_rate(width, 500, rows, cold) for width in WIDTHS},
        "scored": {users: scored_rate(200, users, max(512, round(1_000_000 * scale))) for users in FEW},
        "softmax": softmax_rate(500, rows, cold),
        "passes": pass_rate(),
        "memory": memory_rate(large),
        "fresh": fresh_rate(max(1 << 14, large // 4)),
        **row_rates(max(512, large // 200), 200, max(64, round(10_000 * scale)), cold),
        "keys": key_rate(max(1000, round(200_000 * scale)), 25_000),
        "best": best_rate(16, max(1000, round(1_000_000 * scale))),
        "sparse": sparse_rate(max(100, round(20_000 * scale)), max(50, round(4_000 * scale))),
        "inverse": inverse_rate(max(50, round(4_000 * scale))),
        "step": few,
        "event": max(0.0, many - few) / (500 * 50),
        "list": list_call_seconds(),
    }


def rates_of(found: dict[str, Any]) -> Rates:
    """Rates from what a process printed."""
    mappings = {name: {int(key): rate for key, rate in found[name].items()} for name in ("products", "scored")}
    return Rates(**{**found, **mappings})
