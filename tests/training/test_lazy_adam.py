"""Lazy Adam against PyTorch's Adam, and its rows in bfloat16 against their formulas."""

import copy

import pytest
import torch

import foldin.training.lazy_adam as lazy_module
from foldin.training import LazyAdam

ROWS, WIDTH = 7, 3


def noise(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def sparse(rows: list[int], values: torch.Tensor, size: torch.Size) -> torch.Tensor:
    return torch.sparse_coo_tensor(torch.tensor([rows]), values, size, check_invariants=True)


@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
@pytest.mark.parametrize("shape", [(ROWS, WIDTH), (ROWS,)])
def test_rows_that_every_step_meets_get_adam(shape, weight_decay, monkeypatch):
    monkeypatch.setattr(lazy_module, "_BLOCK", 2 * WIDTH)  # several blocks
    mine = torch.nn.Parameter(noise(*shape).double())
    theirs = copy.deepcopy(mine)
    lazy = LazyAdam([mine], lr=0.02, weight_decay=weight_decay)
    adam = torch.optim.Adam([theirs], lr=0.02, weight_decay=weight_decay)
    for step in range(6):
        gradient = noise(*shape, seed=step).double()
        mine.grad, theirs.grad = sparse(list(range(ROWS)), gradient, mine.shape), gradient
        lazy.step()
        adam.step()
    assert torch.allclose(mine, theirs, rtol=1e-12)


def test_dense_gradients_get_the_bits_of_fused_adam():
    mine = [torch.nn.Parameter(noise(4, 3)), torch.nn.Parameter(noise(5))]
    theirs = copy.deepcopy(mine)
    optimizers = LazyAdam(mine, lr=0.01), torch.optim.Adam(theirs, lr=0.01, fused=True)
    for step in range(4):
        for parameters, optimizer in zip((mine, theirs), optimizers, strict=True):
            for one in parameters:
                one.grad = noise(*one.shape, seed=step)
            optimizer.step()
    assert all(torch.equal(one, other) for one, other in zip(mine, theirs, strict=True))


def test_a_row_is_updated_only_when_it_is_met_and_as_by_adam_in_these_steps():
    met = {0: [0, 1, 2], 1: [2], 2: [2, 4], 3: [0, 4], 4: [1, 2]}
    table = torch.nn.Parameter(noise(ROWS, WIDTH).double())
    start, lazy = table.detach().clone(), LazyAdam([table], lr=0.05)
    for step, rows in met.items():
        table.grad = sparse(rows, noise(ROWS, WIDTH, seed=step).double()[rows], table.shape)
        lazy.step()
    for row in range(ROWS):
        alone = torch.nn.Parameter(start[row].clone())
        adam = torch.optim.Adam([alone], lr=0.05)
        for step, rows in met.items():
            if row in rows:
                alone.grad = noise(ROWS, WIDTH, seed=step).double()[row]
                adam.step()
        assert torch.allclose(table[row], alone, rtol=1e-12)
        if row not in (0, 1, 2, 4):
            assert torch.equal(table[row], start[row])
            assert not lazy.state[table]["exp_avg"][row].any()


def test_rows_that_come_twice_in_a_gradient_are_summed():
    table, once = (torch.nn.Parameter(torch.ones(3, 2)) for _ in range(2))
    table.grad = sparse([2, 0, 2], torch.tensor([[1.0, 2.0], [0.5, 0.5], [-3.0, 2.0]]), table.shape)
    once.grad = sparse([0, 2], torch.tensor([[0.5, 0.5], [-2.0, 4.0]]), table.shape)
    LazyAdam([table]).step()
    LazyAdam([once]).step()
    assert torch.equal(table, once)


def test_rows_in_bfloat16_follow_their_formulas():
    table = torch.nn.Parameter(noise(ROWS, WIDTH).bfloat16())
    lazy = LazyAdam([table], lr=0.1, betas=(0.8, 0.95))
    mean, square = torch.zeros(ROWS, WIDTH), torch.zeros(ROWS)
    for step in (1, 2, 3):
        before, gradient = table.detach().float(), noise(ROWS, WIDTH, seed=step).bfloat16()
        table.grad = sparse(list(range(ROWS)), gradient, table.shape)
        lazy.step()
        mean = 0.8 * mean + 0.2 * gradient.float()
        square = 0.95 * square + 0.05 * gradient.float().square().mean(dim=1)
        scale = (square / (1 - 0.95**step)).sqrt().unsqueeze(1)
        expected = before - 0.1 * mean / (1 - 0.8**step) / (scale + 1e-8)
        state = lazy.state[table]
        assert torch.allclose(state["exp_avg_sq"], square, rtol=1e-5)
        assert torch.allclose(state["exp_avg"].float(), mean, rtol=2**-8, atol=1e-6)
        assert torch.allclose(table.float(), expected, rtol=2**-7, atol=1e-5)
        mean = state["exp_avg"].float()
    assert (state["exp_avg"].dtype, state["exp_avg_sq"].shape) == (torch.bfloat16, (ROWS,))


def test_small_updates_of_bfloat16_are_kept_in_expectation():
    """A step of 1e-4 from 1 is lost by rounding to the nearest number: the next one is 0.0039 below."""
    table = torch.nn.Parameter(torch.ones(40_000, 1, dtype=torch.bfloat16))
    lazy = LazyAdam([table], lr=1e-4)
    for _ in range(3):
        table.grad = sparse(list(range(len(table))), torch.ones_like(table).detach(), table.shape)
        lazy.step()
    moved = table.detach().double() - 1.0
    assert float(moved.mean()) == pytest.approx(-3e-4, abs=4 * float(moved.std()) / len(table) ** 0.5)
    assert moved.any()


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_a_loaded_state_continues_with_the_same_bits(kind):
    def optimizer(parameters: list[torch.nn.Parameter]) -> LazyAdam:
        return LazyAdam([{"params": parameters[:1], "weight_decay": 0.1}, {"params": parameters[1:]}], lr=0.01)

    def step(parameters: list[torch.nn.Parameter], by: LazyAdam, number: int) -> None:
        table, dense = parameters
        rows = [number % ROWS, ROWS - 1]
        table.grad = sparse(rows, noise(2, WIDTH, seed=number).to(kind), table.shape)
        dense.grad = noise(4, seed=number)
        by.step()

    first = [torch.nn.Parameter(noise(ROWS, WIDTH).to(kind)), torch.nn.Parameter(noise(4))]
    lazy = optimizer(first)
    for number in range(3):
        step(first, lazy, number)
    second = copy.deepcopy(first)
    resumed = optimizer(second)
    stored = {
        index: {name: torch.as_tensor(one).clone() for name, one in entries.items()}
        for index, entries in lazy.state_dict()["state"].items()
    }  # as in a checkpoint
    resumed.load_state_dict({"state": stored, "param_groups": resumed.state_dict()["param_groups"]})
    for number in range(3, 6):
        step(first, lazy, number)
        step(second, resumed, number)
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))
    assert all(torch.equal(lazy.state[first[0]][name], one) for name, one in resumed.state[second[0]].items())


def test_a_closure_is_called_with_gradients():
    weight = torch.nn.Parameter(torch.ones(2))

    def closure() -> float:
        weight.grad = torch.autograd.grad(weight.square().sum(), weight)[0]
        return 7.0

    assert LazyAdam([weight], lr=0.1).step(closure) == 7.0
    assert torch.allclose(weight, torch.full((2,), 0.9))
