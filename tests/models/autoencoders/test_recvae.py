"""RecVAE against the paper's formulas written out densely."""

import pytest
import torch
from torch.distributions import Normal
from torch.nn import functional as F

from foldin.data import Histories
from foldin.errors import ConfigError
from foldin.models import ConstantKL, ImplicitSLIM, KLPerItem, RecVAE, RecVAEConfig
from foldin.models.autoencoders._implicit_slim import implicit_slim
from foldin.testing import two_tastes
from foldin.training import Step, fit

BATCH = Histories.from_lists([[0, 3, 4], [5], [1, 2]], 6)
SMALL = {"hidden_dim": 5, "latent_dim": 3, "batch_size": 20}


def dense(histories: Histories) -> torch.Tensor:
    return torch.from_numpy(histories.csr().toarray())


def plain_encoder(model: RecVAE, x: torch.Tensor, which: str = "encoder") -> tuple[torch.Tensor, torch.Tensor]:
    p = {name.removeprefix(f"{which}."): v.detach() for name, v in model.tensors().items() if name.startswith(which)}

    def norm(h: torch.Tensor, k: int) -> torch.Tensor:
        h = h * torch.sigmoid(h)
        mean, variance = h.mean(1, keepdim=True), h.var(1, unbiased=False, keepdim=True)
        return (h - mean) / torch.sqrt(variance + 0.1) * p[f"gains.{k}"] + p[f"shifts.{k}"]

    h1 = norm(F.normalize(x) @ p["first"] + p["biases.0"], 0)
    h2 = norm(h1 @ p["weights.0"].T + p["biases.1"] + h1, 1)
    h3 = norm(h2 @ p["weights.1"].T + p["biases.2"] + h1 + h2, 2)
    h4 = norm(h3 @ p["weights.2"].T + p["biases.3"] + h1 + h2 + h3, 3)
    h5 = norm(h4 @ p["weights.3"].T + p["biases.4"] + h1 + h2 + h3 + h4, 4)
    return (h5 @ p["heads"].T + p["heads_bias"]).chunk(2, dim=1)


def moved(**settings) -> RecVAE:
    """A model whose encoder and frozen encoder differ."""
    model = RecVAE(6, RecVAEConfig(**{**SMALL, "dropout": 0.0, **settings}), seed=1)
    with torch.no_grad():
        for value in model.encoder.parameters():
            value.add_(0.3 * torch.randn(value.shape, generator=torch.Generator().manual_seed(3)))
    return model


def test_the_encoder_is_densely_connected():
    model = moved()
    for found, expected in zip(model.posterior(BATCH), plain_encoder(model, dense(BATCH)), strict=True):
        assert torch.allclose(found, expected, atol=1e-5)


def test_the_prior_is_a_mixture_in_every_dimension():
    model = moved()
    z = torch.randn(3, 3, generator=torch.Generator().manual_seed(0))
    mu, logvar = plain_encoder(model, dense(BATCH), "old")
    density = 0.15 * Normal(0.0, 1.0).log_prob(z).exp()
    density = density + 0.75 * Normal(mu, (0.5 * logvar).exp()).log_prob(z).exp()
    density = density + 0.1 * Normal(0.0, torch.tensor(5.0).exp()).log_prob(z).exp()
    assert torch.allclose(model.log_prior(z, BATCH), density.log().sum(1), atol=1e-5)


@pytest.mark.parametrize("settings", [{"kl_weight": KLPerItem(gamma=0.02)}, {"kl_weight": ConstantKL(beta=0.3)}])
def test_the_loss_is_that_of_the_paper(settings):
    model = moved(**settings)
    trainer = model.trainer(BATCH)
    trainer.fill_cache(BATCH, torch.Generator())
    step = Step(number=0, planned=1, users=torch.arange(3).numpy())
    loss = trainer.loss(BATCH, step, torch.Generator().manual_seed(8))
    x = dense(BATCH)
    mu, logvar = plain_encoder(model, x)
    z = mu + torch.randn(3, 3, generator=torch.Generator().manual_seed(8)) * (0.5 * logvar).exp()
    reconstruction = (F.log_softmax(z @ model.decoder.detach().T + model.decoder_bias.detach(), dim=1) * x).sum(1)
    q = Normal(mu, (0.5 * logvar).exp()).log_prob(z).sum(1)
    kl = q - model.log_prior(z, BATCH)
    weight = 0.02 * x.sum(1) if isinstance(settings["kl_weight"], KLPerItem) else 0.3
    assert torch.allclose(loss.value, (weight * kl - reconstruction).mean(), atol=1e-4)


def test_an_epoch_is_three_encoder_passes_a_refresh_and_a_decoder_pass():
    train = two_tastes(60, 20)
    model = RecVAE(20, RecVAEConfig(**SMALL, epochs=2))
    phases = model.trainer(train).phases
    assert [(type(p).__name__, p.name, getattr(p, "passes", None)) for p in phases] == [
        ("FullPass", "posterior", None),
        ("GradientPhase", "encoder", 3),
        ("FullPass", "prior", None),
        ("GradientPhase", "decoder", 1),
    ]
    assert not set(phases[1].parameters) & set(phases[3].parameters)
    before = model.state()
    fit(model, train, epochs=1)
    after = model.state()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert {"decoder", "encoder.first", "old.first"} <= changed
    assert all(torch.equal(after[f"encoder.{n}"], after[f"old.{n}"]) for n in ("first", "heads", "weights.2"))


def test_the_cached_posterior_is_that_of_the_frozen_encoder():
    train = two_tastes(60, 20)
    model = RecVAE(20, RecVAEConfig(**SMALL))
    fit(model, train, epochs=1)
    trainer = model.trainer(train)
    trainer.fill_cache(train, torch.Generator())
    mu, logvar = model.frozen_posterior(train)
    assert torch.allclose(trainer.cache[0], mu, atol=1e-6)
    assert torch.allclose(trainer.cache[1], logvar, atol=1e-6)


def test_a_resumed_run_is_bit_equal(tmp_path):
    train = two_tastes(60, 20)
    config = RecVAEConfig(**SMALL, epochs=4, slim=ImplicitSLIM(every=2))
    whole = RecVAE(20, config, seed=2)
    fit(whole, train)
    fit(RecVAE(20, config, seed=2), train, folder=tmp_path, until=lambda record: record.epoch == 2)
    resumed = RecVAE(20, config, seed=9)
    fit(resumed, train, folder=tmp_path, resume=True)
    assert all(torch.equal(value, resumed.state()[name]) for name, value in whole.state().items())


def test_not_alternating_trains_both_at_once():
    (_, phase) = RecVAE(6, RecVAEConfig(**SMALL, alternation=None)).trainer(BATCH).phases
    assert phase.passes == 1
    assert {"decoder", "encoder.first"} <= set(phase.parameters)


@pytest.mark.parametrize("prior", [(0.5, 0.5), (0.5, 0.4, 0.2)])
def test_prior_weights_must_be_three_that_sum_to_one(prior):
    with pytest.raises(ConfigError, match="three weights that sum to 1"):
        RecVAEConfig(prior=prior)


def test_a_prior_of_one_standard_normal_has_the_closed_form_kl_in_expectation():
    model = moved(prior=(1.0, 0.0, 0.0))
    mu, logvar = model.posterior(BATCH)
    expected = 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum(1)
    generator = torch.Generator().manual_seed(0)
    found = torch.stack([model.elbo(BATCH, generator).kl for _ in range(800)])
    assert torch.allclose(found.mean(0), expected, atol=4 * float(found.std(0).max()) / 800**0.5)


def dense_implicit_slim(Q, X, lam, alpha, least):
    """Algorithm 1, with every matrix written down."""
    keep = (X.sum(0) >= least).double()
    A = Q * keep
    G = X.T @ X + lam * torch.eye(X.shape[1], dtype=torch.float64)
    D = torch.diag(1 / (X.sum(0) + lam))
    N = A @ G @ D @ D @ G
    K = N @ A.T
    inverse = torch.linalg.inv(torch.eye(len(Q), dtype=torch.float64) / alpha + K)
    return alpha * Q @ A.T @ (N - K @ inverse @ N)


@pytest.mark.parametrize("least", [0, 20])
def test_implicit_slim_is_its_algorithm(least):
    train = two_tastes(60, 12)
    Q = torch.randn(12, 4, generator=torch.Generator().manual_seed(0))
    found = implicit_slim(Q, train, regularization=30.0, strength=0.01, min_count=least)
    expected = dense_implicit_slim(Q.T.double(), dense(train).double(), 30.0, 0.01, least).T
    assert torch.allclose(found.double(), expected, rtol=1e-3, atol=1e-4)


def test_implicit_slim_brings_items_that_go_together_together():
    train = two_tastes(200, 20)
    Q = torch.randn(20, 8, generator=torch.Generator().manual_seed(0))
    refined = F.normalize(implicit_slim(Q, train, regularization=10.0, strength=1.0))
    alike = refined @ refined.T
    even = torch.arange(20) % 2 == 0
    same = (even[:, None] == even[None, :]) & ~torch.eye(20, dtype=torch.bool)
    assert alike[same].mean() > alike[~same & ~torch.eye(20, dtype=torch.bool)].mean() + 0.2


def test_a_trainer_keeps_its_cache_to_itself():
    model, train, others = RecVAE(20, RecVAEConfig(**SMALL)), two_tastes(30, 20), two_tastes(60, 20, seed=4)
    before = model.state()
    trainer = model.trainer(train)
    trainer.fill_cache(train, torch.Generator())
    assert all(torch.equal(value, before[name]) for name, value in model.state().items())
    assert vars(model).keys() == vars(RecVAE(20, RecVAEConfig(**SMALL))).keys()
    other = model.trainer(others)
    other.fill_cache(others, torch.Generator())
    assert len(other.cache[0]) == 60
    assert len(trainer.cache[0]) == 30
