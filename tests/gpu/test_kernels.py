"""Kernels on a GPU against the same on the CPU, in double precision where they have it."""

import copy

import pytest
import torch

from foldin.data import Histories
from foldin.kernels import (
    Buffers,
    Proposal,
    bag_of_items,
    bag_of_rows,
    devices,
    drop_events,
    log_total,
    multinomial_from_hidden,
    scored_items,
    scores_into,
    softmax_cross_entropy,
    stochastic_bfloat16,
    top_k,
)
from foldin.nn import VectorQuantizer, dropout, transitions
from foldin.training import LazyAdam
from tests.gpu.device import DEVICE

USERS, ITEMS, WIDTH = 40, 300, 8


def noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(items, offsets, values) of users of whom the second has no event."""
    generator = torch.Generator().manual_seed(7)
    lengths = torch.randint(1, 30, (USERS,), generator=generator)
    lengths[1] = 0
    offsets = torch.cat((torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)))
    total = int(offsets[-1])
    items = torch.randint(ITEMS, (total,), generator=generator)
    return items, offsets, torch.rand(total, generator=generator, dtype=torch.float64)


def both(compute, *tensors, rtol=1e-9):
    """Compare value and gradients of `compute` on both devices; its arguments are leaves where they are in floating point."""
    found = []
    for device in ("cpu", DEVICE):
        own = [one.detach().to(device) for one in tensors]
        leaves = [one.requires_grad_() for one in own if one.is_floating_point()]
        value = compute(*own)
        weights = noise(*value.shape, seed=9).to(value)
        gradients = torch.autograd.grad((value * weights).sum(), leaves, allow_unused=True)
        found.append([value, *(one for one in gradients if one is not None)])
    for one, other in zip(*found, strict=True):
        assert other.device.type == torch.device(DEVICE).type
        plain = [each.detach().cpu().to_dense() if each.is_sparse else each.detach().cpu() for each in (one, other)]
        torch.testing.assert_close(plain[1], plain[0], rtol=rtol, atol=rtol)


@pytest.mark.parametrize("memory", [False, True])
def test_a_bag_of_items(memory):
    items, offsets, values = batch()
    both(
        lambda w, i, o, v: bag_of_items(w, i, o, v.detach(), Buffers() if memory else None),
        noise(ITEMS, WIDTH),
        items,
        offsets,
        values,
    )
    both(lambda w, i, o, v: bag_of_rows(w, i, o, v.detach()), noise(ITEMS, WIDTH), items, offsets, values)


@pytest.fixture(params=[7 * ITEMS, devices.BLOCK])
def block(request, monkeypatch) -> None:
    """Logits of seven users or tokens at once, or of all."""
    monkeypatch.setattr(devices, "BLOCK", request.param)


@pytest.mark.usefixtures("block")
@pytest.mark.parametrize("weighted", [False, True])
def test_the_multinomial_likelihood(weighted):
    items, offsets, values = batch()

    def likelihood(hidden, weight, bias, items, offsets, values):
        return multinomial_from_hidden(
            hidden, weight, bias, items, offsets, Buffers(), values.detach() if weighted else None
        )

    both(likelihood, noise(USERS, WIDTH), noise(ITEMS, WIDTH, seed=1), noise(ITEMS, seed=2), items, offsets, values)


@pytest.mark.usefixtures("block")
@pytest.mark.parametrize("bias", [False, True])
def test_the_softmax_of_many_tokens(bias):
    targets = torch.randint(ITEMS, (5000,), generator=torch.Generator().manual_seed(3))

    def loss(hidden, weight, offset, targets):
        return softmax_cross_entropy(hidden, weight, targets, offset if bias else None)

    both(loss, noise(5000, WIDTH), noise(ITEMS, WIDTH, seed=1), noise(ITEMS, seed=2), targets)


@pytest.mark.usefixtures("block")
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("items", [ITEMS, 2500, 9001])
def test_the_softmax_of_many_tokens_in_single_precision(bias, items):
    tokens = 700
    targets = torch.randint(items, (tokens,), generator=torch.Generator().manual_seed(3))

    def loss(hidden, weight, offset, targets):
        return softmax_cross_entropy(hidden, weight, targets, offset if bias else None)

    given = [
        noise(*shape, seed=at, dtype=torch.float32)
        for at, shape in enumerate([(tokens, WIDTH), (items, WIDTH), (items,)])
    ]
    both(loss, *given, targets, rtol=2e-4)
    hidden, weight, offset = (one.to(DEVICE) for one in given)
    at_top = softmax_cross_entropy(1e4 * hidden, weight, targets.to(DEVICE), offset)
    assert torch.isfinite(at_top)


def test_the_softmax_of_a_sample():
    items, offsets, _ = batch()
    negatives, log_expected = Proposal(torch.arange(1.0, ITEMS + 1).double()).draw(50, torch.Generator().manual_seed(1))

    def likelihood(hidden, weight, bias, items, offsets, negatives):
        scored = scored_items(items, negatives, log_expected.double().to(hidden.device))
        return multinomial_from_hidden(hidden, scored.vectors(weight), scored.biases(bias), scored.targets, offsets)

    both(likelihood, noise(USERS, WIDTH), noise(ITEMS, WIDTH, seed=1), noise(ITEMS, seed=2), items, offsets, negatives)


def test_draws_of_a_proposal_are_within_one_of_their_expectation():
    weights = torch.arange(1.0, ITEMS + 1, device=DEVICE).double()
    items, log_expected = Proposal(weights).draw(10_000, torch.Generator(DEVICE).manual_seed(1))
    expected = 10_000 * weights / weights.sum()
    assert (torch.bincount(items, minlength=ITEMS) - expected).abs().max() < 2
    torch.testing.assert_close(log_expected.exp(), expected[items].float())


def test_dropped_events_keep_the_sum_in_expectation():
    items, offsets, values = (one.to(DEVICE) for one in batch())
    generator = torch.Generator(DEVICE).manual_seed(2)
    sums = [float(drop_events(items, offsets, values, 0.5, generator)[2].sum()) for _ in range(400)]
    spread = float(values.square().sum().sqrt())
    assert abs(sum(sums) / 400 - float(values.sum())) < 4 * spread / 20
    kept, ends, _ = drop_events(items, offsets, values, 0.5, generator)
    assert int(ends[-1]) == len(kept) < len(items)
    weight = noise(ITEMS, WIDTH).to(DEVICE)
    sums = [
        bag_of_items(weight, *drop_events(items, offsets, values, 0.5, generator.manual_seed(3), compact=compact))
        for compact in (False, True)
    ]
    torch.testing.assert_close(*sums)


def test_places_of_events_are_those_of_the_cpu():
    histories = Histories.from_lists([[1, 2, 3], [4, 5], [6, 7, 8, 9]], ITEMS)
    (here, targets), (there, found) = (transitions(histories, 2, torch.device(one)) for one in ("cpu", DEVICE))
    assert torch.equal(there.positions().cpu(), here.positions())
    assert torch.equal(found.cpu(), targets)


def test_dropout_keeps_the_mean():
    found = dropout(torch.ones(1000, 1000, device=DEVICE), 0.2, torch.Generator(DEVICE).manual_seed(1))
    assert set(found.unique().tolist()) == {0.0, 1.25}
    assert abs(float(found.mean()) - 1.0) < 3e-3


@pytest.mark.parametrize("ties", [False, True])
def test_the_best_items(ties):
    scores = noise(USERS, ITEMS, dtype=torch.float32)
    if ties:
        scores = scores.round()
    scores[3, 4:] = -torch.inf
    scores[4] = -torch.inf
    values, items = top_k(scores, 10)
    found_values, found_items = top_k(scores.to(DEVICE), 10)
    assert torch.equal(found_values.cpu(), values)
    assert torch.equal(found_items.cpu(), items)


def test_the_log_of_a_total():
    scores = noise(USERS, ITEMS, dtype=torch.float32).to(DEVICE)
    top, best = scores.max(dim=1, keepdim=True)
    torch.testing.assert_close(log_total(scores, top, best), torch.logsumexp(scores, dim=1, keepdim=True))


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_scores_of_a_table_of_either_format(kind):
    hidden, table = noise(USERS, WIDTH, dtype=torch.float32).to(DEVICE), noise(ITEMS, WIDTH, seed=1).to(DEVICE, kind)
    found = scores_into(torch.empty(USERS, ITEMS, device=DEVICE), hidden, table)
    torch.testing.assert_close(found, hidden @ table.float().t())


def test_stochastic_rounding_keeps_the_expectation():
    x = torch.full((200_000,), 1.0 + 1.0 / 512, device=DEVICE)  # a quarter of the way from 1 to the next number
    found = stochastic_bfloat16(x, torch.Generator(DEVICE).manual_seed(1))
    assert set(found.unique().tolist()) == {1.0, 1.0078125}
    assert abs(float(found.float().mean()) - float(x[0])) < 5e-5


@pytest.mark.parametrize("kind", [torch.float64, torch.float32])
def test_lazy_adam(kind):
    rows = torch.tensor([0, 5, 17])
    tables = [torch.nn.Parameter(noise(ITEMS, WIDTH).to(kind).to(device)) for device in ("cpu", DEVICE)]
    biases = [torch.nn.Parameter(noise(WIDTH, seed=1).to(kind).to(device)) for device in ("cpu", DEVICE)]
    optimizers = [LazyAdam(list(one), lr=0.02) for one in zip(tables, biases, strict=True)]
    for step in range(3):
        for table, bias, optimizer in zip(tables, biases, optimizers, strict=True):
            values = noise(3, WIDTH, seed=step).to(table)
            table.grad = torch.sparse_coo_tensor(rows.to(table.device).unsqueeze(0), values, table.shape)
            bias.grad = noise(WIDTH, seed=step).to(bias)
            optimizer.step()
    torch.testing.assert_close(tables[1].cpu(), tables[0])
    torch.testing.assert_close(biases[1].cpu(), biases[0])


def test_lazy_adam_in_bfloat16_repeats_itself():
    first = torch.nn.Parameter(noise(ITEMS, WIDTH).to(DEVICE, torch.bfloat16))
    second = copy.deepcopy(first)
    for table in (first, second):
        optimizer = LazyAdam([table], lr=0.02)
        for step in range(3):
            values = noise(3, WIDTH, seed=step).to(table)
            indices = torch.tensor([[0, 5, 17]], device=DEVICE)
            table.grad = torch.sparse_coo_tensor(indices, values, table.shape)
            optimizer.step()
    assert torch.equal(first, second)


def test_the_nearest_vectors():
    made = [
        VectorQuantizer(50, WIDTH, average=None, generator=torch.Generator().manual_seed(1), device=device)
        for device in ("cpu", DEVICE)
    ]
    x = 100.0 + noise(500, WIDTH, dtype=torch.float32)
    for one in made:
        one.vectors.data += 100.0
    here, there = (one(x.to(one.vectors.device)) for one in made)
    assert torch.equal(here.codes, there.codes.cpu())
    torch.testing.assert_close(there.loss.cpu(), here.loss, rtol=1e-3, atol=1e-3)
