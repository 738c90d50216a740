import torch
from torch.distributions import Independent, Normal, kl_divergence

from foldin.inference import ElboTerms, gaussian_kl, reparameterize


def posterior(users: int = 4, latent: int = 7, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(users, latent, generator=generator, dtype=torch.float64) for _ in range(2)]


def test_the_kl_is_that_of_torch_summed_over_the_latent_dimensions():
    mu, logvar = posterior()
    q = Independent(Normal(mu, (0.5 * logvar).exp()), 1)
    p = Independent(Normal(torch.zeros_like(mu), torch.ones_like(mu)), 1)
    assert torch.allclose(gaussian_kl(mu, logvar), kl_divergence(q, p))
    assert (gaussian_kl(torch.zeros(2, 5), torch.zeros(2, 5)) == 0).all()


def test_the_noise_has_mean_zero_and_standard_deviation_one():
    mu, logvar = torch.full((20_000, 3), 2.0), torch.log(torch.tensor([0.25, 1.0, 9.0])).expand(20_000, 3)
    z = reparameterize(mu, logvar, torch.Generator().manual_seed(1))
    assert torch.allclose(z.mean(0), torch.full((3,), 2.0), atol=0.08)
    assert torch.allclose(z.std(0), torch.tensor([0.5, 1.0, 3.0]), rtol=0.03)


def test_the_draw_is_differentiable_in_both_parameters():
    mu, logvar = (one.requires_grad_() for one in posterior())
    z = reparameterize(mu, logvar, torch.Generator().manual_seed(2))
    z.sum().backward()
    assert torch.allclose(mu.grad, torch.ones_like(mu))
    assert torch.allclose(logvar.grad, 0.5 * (z - mu).detach())


def test_the_bound_is_its_terms():
    terms = ElboTerms(torch.tensor([-3.0, -1.0]), torch.tensor([0.5, 0.0]))
    assert terms.bound.tolist() == [-3.5, -1.0]
