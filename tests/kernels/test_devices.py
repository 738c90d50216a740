"""Kernels for GPUs, on the CPU, against its own kernels and against plain formulas."""

import pytest
import torch
from torch.nn import functional as F

from foldin.kernels import (
    Buffers,
    bag_of_items,
    devices,
    drop_events,
    multinomial_from_hidden,
    multinomial_log_likelihood,
    on_device,
    read_weights,
    recency_weights,
    softmax_cross_entropy,
)
from foldin.kernels.devices import bag_on_device, users_of
from foldin.kernels.devices_softmax import cross_entropy_on_device, multinomial_on_device

USERS, ITEMS, WIDTH = 9, 13, 4


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(items, offsets, values) of users of whom the first, two others and the last have no event."""
    generator = torch.Generator().manual_seed(7)
    lengths = torch.tensor([0, 3, 1, 0, 0, 5, 2, 4, 0])
    offsets = torch.cat((torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)))
    total = int(offsets[-1])
    items = torch.randint(ITEMS, (total,), generator=generator)
    return items, offsets, torch.rand(total, generator=generator, dtype=torch.float64)


def layer() -> list[torch.Tensor]:
    """(hidden, weight, bias), which need gradients."""
    return [one.requires_grad_() for one in (noise(USERS, WIDTH), noise(ITEMS, WIDTH, seed=1), noise(ITEMS, seed=2))]


def same(found: torch.Tensor, expected: torch.Tensor, wanted: list[torch.Tensor]) -> None:
    """Compare values, and gradients under a random weight of each value."""
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    upstream = noise(*found.shape, seed=9)
    gradients = [torch.autograd.grad((one * upstream).sum(), wanted, retain_graph=True) for one in (found, expected)]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


@pytest.fixture(params=[1, 2 * ITEMS + 1, devices.BLOCK])
def block(request, monkeypatch) -> int:
    """Numbers in a block: one row of logits, two, or all."""
    monkeypatch.setattr(devices, "BLOCK", request.param)
    return request.param


@pytest.mark.parametrize("weighted", [False, True])
def test_the_multinomial_is_that_of_the_processor(block, weighted):
    items, offsets, values = batch()
    hidden, weight, bias = wanted = layer()
    weights = values if weighted else None
    found = multinomial_on_device(hidden, weight, bias, items, offsets, weights)
    same(found, multinomial_from_hidden(hidden, weight, bias, items, offsets, Buffers(), weights), wanted)
    if not weighted:
        same(found, multinomial_log_likelihood(F.linear(hidden, weight, bias), items, offsets), wanted)


def test_only_gradients_that_are_needed_are_computed_as_often_as_needed(block):
    items, offsets, _ = batch()
    hidden, weight, bias = layer()
    for wanted in ([hidden], [weight], [bias]):
        own = [one if one is wanted[0] else one.detach() for one in (hidden, weight, bias)]
        same(  # takes the gradient of `found` once
            multinomial_on_device(*own, items, offsets), multinomial_from_hidden(*own, items, offsets), wanted
        )
    value = multinomial_on_device(hidden, weight, bias, items, offsets).sum()
    first, second = (torch.autograd.grad(value, (hidden, weight, bias), retain_graph=True) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        torch.testing.assert_close(one, other)
    with torch.inference_mode():
        torch.testing.assert_close(multinomial_on_device(hidden, weight, bias, items, offsets).sum(), value.detach())


@pytest.mark.parametrize("biased", [False, True])
def test_the_softmax_is_the_plain_one(block, biased):
    hidden, weight, bias = layer()
    targets = torch.randint(ITEMS, (USERS,), generator=torch.Generator().manual_seed(3))
    leaves = [hidden, weight, bias] if biased else [hidden, weight]
    for wanted in ([hidden], [weight], leaves):
        given = [one if any(one is each for each in wanted) else one.detach() for one in leaves]
        expected = F.cross_entropy(F.linear(*given), targets, reduction="sum")
        found = cross_entropy_on_device(given[0], given[1], targets, *given[2:])
        torch.testing.assert_close(found, expected)
        gradients = [torch.autograd.grad(3.0 * value, wanted) for value in (found, expected)]
        for one, other in zip(*gradients, strict=True):
            torch.testing.assert_close(one, other)
    with torch.no_grad():
        assert not cross_entropy_on_device(hidden, weight, targets, *leaves[2:]).requires_grad


def test_what_the_processor_cannot_do_twice_is_refused_here_too():
    items, offsets, values = batch()
    hidden, weight, bias = layer()
    targets = torch.zeros(USERS, dtype=torch.int64)
    loss = cross_entropy_on_device(hidden, weight, targets, bias)
    torch.autograd.grad(loss, hidden, retain_graph=True)
    with pytest.raises(AssertionError, match="once"):
        torch.autograd.grad(loss, hidden)
    for value in (
        multinomial_on_device(hidden, weight, bias, items, offsets).square().sum(),
        bag_on_device(weight, items, offsets, values).square().sum(),
        cross_entropy_on_device(hidden, weight, targets).square(),
    ):
        (first,) = torch.autograd.grad(value, weight, create_graph=True)
        with pytest.raises(RuntimeError, match="once_differentiable"):
            first.square().sum().backward()


def test_large_logits_do_not_overflow():
    hidden, weight, bias = (one.detach().float() for one in layer())
    targets = torch.arange(USERS)
    found = cross_entropy_on_device(1e4 * hidden, weight, targets, bias)
    torch.testing.assert_close(found, softmax_cross_entropy(1e4 * hidden, weight, targets, bias))
    items, offsets, _ = batch()
    assert torch.isfinite(multinomial_on_device(1e4 * hidden, weight, bias, items, offsets)).all()


def test_a_bag_is_that_of_the_processor(block):
    items, offsets, values = batch()
    _, weight, _ = layer()
    same(bag_on_device(weight, items, offsets, values), bag_of_items(weight, items, offsets, values), [weight])


def test_dropped_events_stay_with_weight_zero_unless_only_the_others_may_be_there(monkeypatch):
    items, offsets, values = batch()
    of_processor = drop_events(items, offsets, values, 0.5, torch.Generator().manual_seed(1))
    monkeypatch.setattr(devices, "_PROCESSOR", "")
    kept = drop_events(items, offsets, values, 0.5, torch.Generator().manual_seed(1))
    assert all(torch.equal(one, other) for one, other in zip(kept, of_processor, strict=True))
    found = drop_events(items, offsets, values, 0.5, torch.Generator().manual_seed(1), compact=False)
    assert found[0] is items
    assert found[1] is offsets
    assert torch.equal(found[2][found[2] > 0], kept[2])
    weight = noise(ITEMS, WIDTH)
    assert torch.equal(bag_on_device(weight, *found), bag_on_device(weight, *kept))


def test_weights_of_a_known_number_of_events_are_the_same():
    items, offsets, _ = batch()
    for oldest in (1.0, 0.3):
        one, other = recency_weights(offsets, oldest), recency_weights(offsets, oldest, len(items))
        assert torch.equal(one, other)
        assert torch.equal(read_weights(offsets, oldest), read_weights(offsets, oldest, events=len(items)))
    assert users_of(offsets, len(items)).bincount(minlength=USERS).tolist() == offsets.diff().tolist()
    assert len(read_weights(torch.zeros(3, dtype=torch.int64), events=0)) == 0


def test_the_device_is_that_of_the_tensor():
    assert not on_device(torch.zeros(1))
    assert on_device(torch.zeros(1, device="meta"))
