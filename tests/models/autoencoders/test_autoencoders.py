"""Mult-VAE and Mult-DAE against the paper's formulas written out densely."""

import pytest
import torch
from torch.nn import functional as F

from foldin.data import Histories
from foldin.models import MultDAE, MultDAEConfig, MultVAE, MultVAEConfig, RisingOverShare, RisingOverUpdates
from foldin.ranking import scores
from foldin.testing import two_tastes
from foldin.training import Step

BATCH = Histories.from_lists([[0, 3, 4], [], [1, 2]], 6)


def dense(histories: Histories) -> torch.Tensor:
    return torch.from_numpy(histories.csr().toarray())


def noise(seed: int, shape: tuple[int, ...]) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def plain_multvae(
    model: MultVAE, x: torch.Tensor, eps: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(logits, reconstruction, kl), line by line as in the paper."""
    p = {name: value.detach() for name, value in model.tensors().items()}
    h = torch.tanh(F.normalize(x) @ p["encoder.0"] + p["encoder_bias.0"])
    mu, logvar = (h @ p["encoder.1"].T + p["encoder_bias.1"]).chunk(2, dim=1)
    z = mu + eps * torch.exp(0.5 * logvar)
    logits = torch.tanh(z @ p["decoder.0"].T + p["decoder_bias.0"]) @ p["decoder.1"].T + p["decoder_bias.1"]
    kl = -0.5 * (1 + logvar - mu**2 - logvar.exp()).sum(1)
    return logits, (F.log_softmax(logits, dim=1) * x).sum(1), kl


def test_the_loss_is_that_of_the_paper():
    model = MultVAE(
        6,
        MultVAEConfig(hidden_dims=(5,), latent_dim=3, dropout=0.0, beta=0.4, beta_schedule=RisingOverShare(share=0.5)),
        seed=1,
    )
    loss = model.trainer(BATCH).loss(BATCH, Step(number=25, planned=100), torch.Generator().manual_seed(9))
    _, reconstruction, kl = plain_multvae(model, dense(BATCH), noise(9, (3, 3)))
    assert torch.allclose(loss.terms["kl"], kl.mean(), atol=1e-6)
    assert torch.allclose(loss.value, 0.2 * kl.mean() - reconstruction.mean(), atol=1e-5)


def test_the_bound_reported_is_the_bound_optimized_at_beta_one():
    model = MultVAE(
        6,
        MultVAEConfig(hidden_dims=(5,), latent_dim=3, dropout=0.0, beta=1.0, beta_schedule=RisingOverShare(share=0.0)),
        seed=1,
    )
    terms = model.elbo(BATCH, torch.Generator().manual_seed(4))
    loss = model.trainer(BATCH).loss(BATCH, Step(number=0, planned=1), torch.Generator().manual_seed(4))
    assert torch.allclose(terms.bound.mean(), -loss.value, atol=1e-6)


def test_serving_is_deterministic_and_uses_the_mean():
    model = MultVAE(6, MultVAEConfig(hidden_dims=(5,), latent_dim=3), seed=2)
    logits, _, _ = plain_multvae(model, dense(BATCH), torch.zeros(3, 3))
    assert torch.allclose(scores(model, BATCH), F.log_softmax(logits, dim=1), atol=1e-5)
    assert torch.equal(scores(model, BATCH), scores(model, BATCH))


@pytest.mark.parametrize(
    ("schedule", "number", "expected"),
    [
        (RisingOverShare(share=0.5), 0, 0.0),
        (RisingOverShare(share=0.5), 250, 0.1),
        (RisingOverShare(share=0.5), 900, 0.2),
        (RisingOverShare(share=0.0), 0, 0.2),
        (RisingOverUpdates(updates=2000), 100, 0.05),
        (RisingOverUpdates(updates=2000), 999, 0.2),
    ],
)
def test_beta_is_a_pure_function_of_the_step_and_never_passes_its_cap(schedule, number, expected):
    assert schedule.at(Step(number=number, planned=1000), 0.2) == pytest.approx(expected)


def test_initial_weights_are_xavier_and_biases_small():
    model = MultVAE(400, MultVAEConfig(hidden_dims=(100,), latent_dim=50))
    for name, value in model.tensors().items():
        if "bias" in name:
            assert value.abs().max() <= 0.002
            assert 0.0005 < value.std() < 0.0012
        else:
            bound = (6 / sum(value.shape)) ** 0.5
            assert 0.9 * bound < value.abs().max() <= bound
    assert MultVAE(400, seed=1).state()["encoder.0"].equal(MultVAE(400, seed=1).state()["encoder.0"])
    assert not MultVAE(400, seed=1).state()["encoder.0"].equal(MultVAE(400, seed=2).state()["encoder.0"])


def test_multdae_is_a_tanh_code_and_decays_weights_only():
    model = MultDAE(6, MultDAEConfig(latent_dim=3, dropout=0.0, regularization=0.25), seed=1)
    p = {name: value.detach() for name, value in model.tensors().items()}
    logits = torch.tanh(F.normalize(dense(BATCH)) @ p["encoder.0"] + p["encoder_bias.0"]) @ p["decoder.0"].T
    logits = logits + p["decoder_bias.0"]
    assert torch.allclose(scores(model, BATCH), F.log_softmax(logits, dim=1), atol=1e-6)
    loss = model.trainer(BATCH).loss(BATCH, Step(number=0, planned=1), torch.Generator())
    assert torch.allclose(loss.value, -(F.log_softmax(logits, dim=1) * dense(BATCH)).sum(1).mean(), atol=1e-5)
    (phase,) = model.trainer(BATCH).phases
    groups = phase.optimizer(phase.parameters).param_groups
    assert [group["weight_decay"] for group in groups] == [0.5, 0.0]
    assert [len(group["params"]) for group in groups] == [2, 2]


def test_training_raises_the_bound():
    from foldin.training import fit

    train = two_tastes(60, 16)
    model = MultVAE(
        16, MultVAEConfig(hidden_dims=(), latent_dim=8, beta=1.0, epochs=30, batch_size=20, learning_rate=0.01)
    )
    before = model.elbo(train, torch.Generator().manual_seed(0)).bound.mean()
    result = fit(model, train)
    after = model.elbo(train, torch.Generator().manual_seed(0)).bound.mean()
    assert after > before + 1.0
    assert [record.epoch for record in result.records] == list(range(1, 31))
