"""Learned priors: the mixture's formula, its draws, and pseudo-inputs."""

import math

import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from foldin.generative import MixtureOfGaussians, MixtureOfPosteriors

CPU = torch.device("cpu")


def mixture(components=3, latent=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    prior = MixtureOfGaussians(components, latent, generator=generator, device=CPU).double()
    with torch.no_grad():
        for one in prior.parameters():
            one.add_(torch.randn(one.shape, generator=generator, dtype=torch.float64))
    return prior


def oracle(prior):
    log_weights, mu, logvar = (one.detach() for one in prior.components())
    return MixtureSameFamily(Categorical(logits=log_weights), Independent(Normal(mu, torch.exp(0.5 * logvar)), 1))


def linear_encoder(latent=2):
    """Pseudo-inputs of three values → (μ, log σ²)."""
    weight = torch.tensor([[2.0, -1.0, 0.5], [0.0, 1.0, -3.0]], dtype=torch.float64)
    return lambda x: (x @ weight.T, -1.0 - (x @ weight.T).square())


def vamp(components=4):
    generator = torch.Generator().manual_seed(0)
    return MixtureOfPosteriors(components, (3,), linear_encoder(), generator=generator, device=CPU).double()


@pytest.mark.parametrize("prior", [mixture(), vamp()], ids=["mixture", "vamp"])
def test_the_density_is_that_of_torch_distributions(prior):
    z = 2 * torch.randn(50, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    torch.testing.assert_close(prior.log_prob(z).detach(), oracle(prior).log_prob(z))


def test_a_mixture_integrates_to_one():
    prior, step = mixture(latent=1), 0.01
    z = torch.arange(-40, 40, step, dtype=torch.float64)[:, None]
    assert float(prior.log_prob(z).detach().exp().sum() * step) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("prior", [mixture(), vamp()], ids=["mixture", "vamp"])
def test_draws_have_its_moments(prior):
    drawn = prior.sample(100_000, torch.Generator().manual_seed(2))
    other = oracle(prior)
    error = other.variance.sqrt() / math.sqrt(len(drawn))
    assert ((drawn.mean(dim=0) - other.mean).abs() < 5 * error).all()
    torch.testing.assert_close(drawn.var(dim=0), other.variance, rtol=0.05, atol=0.0)


def test_with_the_data_as_pseudo_inputs_a_vamp_prior_is_the_aggregate_posterior():
    prior = vamp(components=5)
    data = torch.rand(5, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    with torch.no_grad():
        prior.inputs.copy_(data)
    z = torch.randn(7, 2, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    mu, logvar = linear_encoder()(data)
    q = torch.stack([Normal(m, torch.exp(0.5 * v)).log_prob(z).sum(dim=1) for m, v in zip(mu, logvar, strict=True)])
    torch.testing.assert_close(prior.log_prob(z).detach(), q.exp().mean(dim=0).log())


def test_pseudo_inputs_are_cut_to_the_range_of_values_and_learned():
    prior = vamp()
    with torch.no_grad():
        prior.inputs.fill_(0.5)[0].fill_(7.0)
    prior.log_prob(torch.zeros(1, 2, dtype=torch.float64)).sum().backward()
    torch.testing.assert_close(prior.components()[1][0], linear_encoder()(torch.ones(1, 3, dtype=torch.float64))[0][0])
    assert prior.inputs.grad[1:].abs().sum() > 0
