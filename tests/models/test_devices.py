"""Training by the kernels for GPUs, on the CPU, against training by its own: the same losses and gradients.

The autoencoders drop the same events by both. The dropout of a transformer is drawn otherwise, so SASRec trains without.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch

from foldin.data import Histories
from foldin.kernels import bag, cross_entropy, devices, softmax
from foldin.models import MODELS, Recommender
from foldin.testing import two_tastes
from foldin.training import FullPass, GradientPhase, Step, fit
from tests.small import ITEMS, SETTINGS, describe

TRAIN = two_tastes(60, ITEMS)
WEIGHTED = replace(TRAIN, weights=np.random.default_rng(0).uniform(0.2, 2.0, TRAIN.n_events).astype(np.float32))
SAMPLED = {"loss": "sampled", "loss.negatives.n": 8}
PLAIN = {"dropout": 0.0}
# Name of the test → model, what is set besides the small settings, the training users, and the kernels that must be used.
KERNELS = {
    "bag": (bag, "bag_on_device"),
    "multinomial": (softmax, "multinomial_on_device"),
    "softmax": (cross_entropy, "cross_entropy_on_device"),
}
BOTH = ("bag", "multinomial")
CASES: dict[str, tuple[str, dict[str, Any], Histories, tuple[str, ...]]] = {
    **{name: (name, {}, TRAIN, BOTH) for name in ("multvae", "multdae", "recvae", "l-diffrec")},
    **{f"{name}-weighted": (name, {}, WEIGHTED, BOTH) for name in ("multvae", "recvae")},
    "multdae-oldest": ("multdae", {"oldest": 0.3}, TRAIN, BOTH),
    "multvae-features": ("multvae", {"features": "decoder"}, TRAIN, BOTH),
    "recvae-at-once": ("recvae", {"alternation": None}, TRAIN, BOTH),
    **{
        f"{name}-{precision}": (name, {**SAMPLED, "loss.precision": precision}, TRAIN, BOTH)
        for name in ("multvae", "recvae")
        for precision in ("float32", "bfloat16")
    },
    "two-tower": ("two-tower", {"dropout": 0.3}, TRAIN, ()),
    "sasrec": ("sasrec", PLAIN, TRAIN, ("bag", "softmax")),
    "sasrec-bce": ("sasrec", {**PLAIN, "loss": "bce"}, TRAIN, ("bag",)),
}


def model_of(name: str, settings: dict[str, Any]) -> Recommender[Any]:
    config = MODELS[name]().with_settings({**SETTINGS.get(name, {}), **settings})
    made: Recommender[Any] = config.model_class(ITEMS, config, seed=5)
    describe(made)
    return made


def steps(model: Recommender[Any], train: Histories) -> Iterator[tuple[str, torch.Tensor]]:
    """(name, loss or gradient) of the first step of each phase of an epoch, at the initial weights."""
    trainer = model.trainer(train)
    for number, phase in enumerate((*trainer.first, *trainer.phases)):
        generator = torch.Generator().manual_seed(number)
        if isinstance(phase, FullPass):
            phase.run(train, generator)
            continue
        assert isinstance(phase, GradientPhase)
        for tensor in model.tensors().values():
            if isinstance(tensor, torch.nn.Parameter):
                tensor.requires_grad_(any(tensor is one for one in phase.parameters.values()))
        users = phase.batches(train, np.random.default_rng(0))[0]
        loss = phase.loss(train.select(users), Step(number=3, planned=10, users=users), generator)
        names = list(phase.parameters)
        found = torch.autograd.grad(loss.value, [phase.parameters[name] for name in names], allow_unused=True)
        yield phase.name, loss.value.detach()
        yield from ((f"{phase.name} {name}", one) for name, one in zip(names, found, strict=True) if one is not None)


def test_memory_of_a_step_is_that_of_a_block_of_logits(monkeypatch):
    vae, sasrec = model_of("multvae", {}), model_of("sasrec", {"loss": "softmax"})
    before = [model.training_bytes(TRAIN) for model in (vae, sasrec)]
    monkeypatch.setattr(devices, "_PROCESSOR", "")
    assert vae.training_bytes(TRAIN) == before[0]  # 20 users, all at once
    assert sasrec.training_bytes(TRAIN) == before[1] + 8 * 200 * ITEMS
    monkeypatch.setattr(devices, "BLOCK", 3 * ITEMS)
    assert vae.training_bytes(TRAIN) == before[0] - 8 * (20 - 3) * ITEMS
    assert sasrec.training_bytes(TRAIN) == before[1] + 8 * 3 * ITEMS


@pytest.mark.parametrize("case", CASES)
def test_losses_and_gradients_are_those_of_the_processor(case, monkeypatch):
    name, settings, train, kernels = CASES[case]
    expected = dict(steps(model_of(name, settings), train))
    monkeypatch.setattr(devices, "_PROCESSOR", "")
    spies = [mock.Mock(side_effect=getattr(*KERNELS[one])) for one in kernels]
    for one, spy in zip(kernels, spies, strict=True):
        monkeypatch.setattr(*KERNELS[one], spy)
    found = dict(steps(model_of(name, settings), train))
    assert all(spy.called for spy in spies)
    assert found.keys() == expected.keys()
    for what, one in found.items():
        other = expected[what]
        assert one.is_sparse == other.is_sparse, what
        if one.is_sparse:
            assert torch.equal(one.coalesce().indices(), other.coalesce().indices()), what
        values = [each.to_dense() if each.is_sparse else each for each in (one, other)]
        near = 1e-2 if one.dtype == torch.bfloat16 else 1e-5
        scale = float(values[1].float().abs().max())
        torch.testing.assert_close(*values, rtol=near, atol=near * scale, msg=lambda text, at=what: f"{at}: {text}")


@pytest.mark.parametrize(
    ("name", "settings"),
    [("multvae", {}), ("multdae", {}), ("recvae", {}), ("sasrec", PLAIN), ("sasrec", {**PLAIN, "codebook_size": 4})],
)
def test_a_training_ends_as_on_the_processor(name, settings, monkeypatch):
    here, there = (model_of(name, {**settings, "epochs": 3}) for _ in range(2))
    expected = fit(here, TRAIN, seed=5).records
    monkeypatch.setattr(devices, "_PROCESSOR", "")
    found = fit(there, TRAIN, seed=5).records
    for one, other in zip(found, expected, strict=True):
        assert one.terms == pytest.approx(other.terms, rel=1e-4)
    users = TRAIN.rows(0, 5)
    torch.testing.assert_close(there.logits(users), here.logits(users), rtol=1e-3, atol=1e-3)
