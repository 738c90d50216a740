"""Training with matrix products in bfloat16 on a GPU: every case beside the same in float32 there, and the kernels."""

import pytest
import torch
from torch.nn import functional as F

from foldin.kernels import multinomial_from_hidden, multinomial_log_likelihood, softmax_cross_entropy
from tests.gpu.device import DEVICE
from tests.gpu.test_kernels import ITEMS, USERS, WIDTH, batch, noise
from tests.training.precisions import CASES, trained


@pytest.mark.parametrize("case", CASES)
def test_losses_are_nearly_those_of_float32(case):
    models, ends = zip(*(trained(case, kind, DEVICE, epochs=1) for kind in ("float32", "bfloat16")), strict=True)
    plain, rounded = (one.records[0].terms for one in ends)
    # Wider than on a processor: dropout of another number format may draw other numbers.
    assert rounded == pytest.approx(plain, rel=0.1, abs=0.1)
    assert any(rounded[name] != plain[name] for name in plain if name.endswith("/loss"))
    for name, tensor in models[1].tensors().items():
        assert tensor.dtype == models[0].tensors()[name].dtype


def gradients_of(value: torch.Tensor, leaves: list[torch.Tensor]) -> list[torch.Tensor]:
    return [value.detach(), *torch.autograd.grad(value.sum(), leaves)]


def test_softmax_losses_are_nearly_the_plain_ones_of_float32():
    items, offsets, _ = (one.to(DEVICE) for one in batch())
    leaves = [
        noise(*shape, seed=seed, dtype=torch.float32).to(DEVICE).requires_grad_()
        for seed, shape in enumerate(((USERS, WIDTH), (ITEMS, WIDTH), (ITEMS,)))
    ]
    hidden, weight, bias = leaves
    targets = torch.arange(USERS, device=DEVICE)
    pairs = [
        (
            lambda: multinomial_from_hidden(hidden, weight, bias, items, offsets),
            lambda: multinomial_log_likelihood(F.linear(hidden, weight, bias), items, offsets),
        ),
        (
            lambda: softmax_cross_entropy(hidden, weight, targets, bias),
            lambda: F.cross_entropy(F.linear(hidden, weight, bias), targets, reduction="sum"),
        ),
    ]
    for loss, plain in pairs:
        with torch.autocast(torch.device(DEVICE).type, dtype=torch.bfloat16):
            found = loss()
        given, exact = gradients_of(found, leaves), gradients_of(plain(), leaves)
        for one, other in zip(given, exact, strict=True):
            assert one.dtype == torch.float32
            assert float((one - other).norm()) < 0.01 * float(other.norm())
        assert not torch.equal(given[1], exact[1])
