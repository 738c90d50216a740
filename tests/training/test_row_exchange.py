"""Sums of row-sparse gradients over workers, against sums of the dense gradients; and the bytes that they take."""

from typing import Any

import numpy as np
import pytest
import torch

from foldin.data import Histories
from foldin.kernels import Buffers, row_gradient, rows_of
from foldin.models import MODELS
from foldin.training import Progress, fit
from foldin.training.row_exchange import sum_of_rows
from foldin.training.sums import Sums
from foldin.workers import Group
from tests.training.threads import Workers

SHAPES = {"vectors": (30, 3), "empty": (5, 2), "biases": (30,)}
# Rows of each table that each of three workers has: apart, shared, all the same, and none.
ROWS: list[dict[str, list[int]]] = [
    {"vectors": [0, 4, 29], "empty": [], "biases": [1, 2]},
    {"vectors": [], "empty": [], "biases": [1, 2]},
    {"vectors": [4, 5, 6, 28], "empty": [], "biases": [1, 2]},
]


def gradients(rank: int, kind: torch.dtype) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(rank)
    return {
        name: row_gradient(
            torch.tensor(rows, dtype=torch.int64),
            torch.randn(len(rows), *SHAPES[name][1:], generator=generator).to(kind),
            SHAPES[name],
        )
        for name, rows in ROWS[rank].items()
    }


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_sums_are_those_of_dense_gradients_in_the_rows_of_any_worker(size, kind, monkeypatch):

    def summed(group: Group) -> dict[str, torch.Tensor]:
        sums, memory = Sums(group), Buffers()
        sum_of_rows(sums, gradients((group.rank + 1) % 3, kind), memory)  # of which nothing is left in the next sum
        return sum_of_rows(sums, gradients(group.rank, kind), memory)

    found = Workers(size, monkeypatch).run(summed)
    for name in SHAPES:
        dense = torch.stack([gradients(rank, kind)[name].to_dense().float() for rank in range(size)]).sum(dim=0)
        for of_worker in found:
            rows, values = rows_of(of_worker[name])
            assert of_worker[name].is_coalesced()
            assert values.dtype == kind
            assert rows.tolist() == sorted({row for rank in range(size) for row in ROWS[rank][name]})
            precision = 2**-8 if kind == torch.bfloat16 else 1e-6
            assert torch.allclose(of_worker[name].to_dense().float(), dense, rtol=precision)
            assert torch.equal(values, rows_of(found[0][name])[1])


def test_the_next_sum_uses_the_same_memory(monkeypatch):
    def summed(group: Group) -> list[dict[str, torch.Tensor]]:
        sums, memory = Sums(group), Buffers()
        return [sum_of_rows(sums, gradients(group.rank, torch.float32), memory) for _ in range(2)]

    for one, two in Workers(2, monkeypatch).run(summed):
        assert one["vectors"]._values().data_ptr() == two["vectors"]._values().data_ptr()


class Given(Progress):
    """Bytes that a worker has given to sums and gathers, after each step."""

    def __init__(self, group: Group) -> None:
        self.group, self.after = group, []

    def step(self, phase: str, done: int, total: int, terms: Any) -> None:
        self.after.append(self.group.exchanged)


WIDTH, NEGATIVES, BATCH, EVENTS = 6, 10, 8, 5


def exchanged(n_items: int, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> list[int]:
    """Bytes that each of two workers gives in every step but the first of a small Mult-DAE."""
    rng = np.random.default_rng(1)
    log = Histories.from_lists([rng.permutation(200)[:EVENTS] for _ in range(3 * BATCH)], n_items)
    small = {"latent_dim": WIDTH, "hidden_dims": (), "batch_size": BATCH, "loss": "sampled"}
    config = MODELS["multdae"]().with_settings({**small, "loss.negatives.n": NEGATIVES, **settings})
    workers = Workers(2, monkeypatch)

    def train(group: Group) -> list[int]:
        given = Given(group)
        fit(config.model_class(n_items, config, seed=5), log, seed=5, epochs=1, progress=given, group=group)
        return given.after

    one, other = workers.run(train)
    assert one == other
    return [int(count) for count in np.diff(one)]


def test_bytes_of_a_step_are_in_proportion_to_the_rows_that_it_meets(monkeypatch):
    few, many = 1000, 20_000
    of_few, of_many = exchanged(few, monkeypatch), exchanged(many, monkeypatch)
    read, scored = BATCH * EVENTS, BATCH * EVENTS + NEGATIVES  # rows, at most
    each = 4 * WIDTH + 8  # bytes of the gradient of a vector, and of the number of its row
    # With the biases of items, those of the layer, the loss with its term, and the numbers of rows of both workers.
    most = read * each + scored * (each + 4 + 8) + 4 * (WIDTH + 2) + 8 * 2
    dense = 4 * (2 * WIDTH + 1) * many
    assert len(of_few) == len(of_many) == 2
    for one, other in zip(of_few, of_many, strict=True):
        assert most / 2 < one < most
        assert most / 2 < other < most < dense / 100
    half = exchanged(many, monkeypatch, **{"loss.precision": "bfloat16"})
    assert all(one < 0.8 * other for one, other in zip(half, of_many, strict=True))
