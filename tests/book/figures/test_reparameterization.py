"""The figure of the reparameterized draw shows the library's draw and what automatic differentiation sends back."""

import pytest
import torch
from torch.distributions import Normal

from foldin.inference.elbo import perturbed
from tests.book.figures.running import computed, needs_node

FUNCTIONS = {"likelihood": lambda z: -0.5 * (2.0 - z) ** 2, "slope": lambda z: torch.sigmoid(6.0 * (z - 1.0))}
AXIS = torch.linspace(-30.0, 30.0, 20001, dtype=torch.float64)


def parameter(value, n=1):
    return torch.full((n, 1), value, dtype=torch.float64).requires_grad_()


def exact(which, mu, sigma):
    """The gradient of E[g(z)] in μ and σ, through the density of z rather than through a draw."""
    phi = [torch.tensor(one, dtype=torch.float64).requires_grad_() for one in (mu, sigma)]
    if which == "jump":
        value = 1.0 - Normal(*phi).cdf(torch.tensor(1.0, dtype=torch.float64))
    else:
        value = (FUNCTIONS[which](AXIS) * Normal(*phi).log_prob(AXIS).exp()).sum() * (AXIS[1] - AXIS[0])
    return [one.item() for one in torch.autograd.grad(value, phi)]


@needs_node
@pytest.mark.parametrize("which", sorted(FUNCTIONS))
@pytest.mark.parametrize(("mu", "sigma", "epsilon"), [(-0.5, 0.8, 1.3), (1.2, 0.1, -2.0), (2.0, 2.0, 0.0)])
def test_every_draw_and_what_comes_back_are_those_of_the_library(which, mu, sigma, epsilon):
    values = computed("reparameterization", {"mu": mu, "sigma": sigma, "epsilon": epsilon, "g": which})
    noise = torch.tensor([[epsilon], *([one["epsilon"]] for one in values["others"])], dtype=torch.float64)
    phi = [parameter(mu, len(noise)), parameter(sigma, len(noise))]
    z = perturbed(phi[0], 2.0 * phi[1].log(), noise)
    back = torch.cat(torch.autograd.grad(FUNCTIONS[which](z).sum(), phi), dim=1).tolist()
    assert [values["z"], *(one["z"] for one in values["others"])] == pytest.approx(z.detach().flatten().tolist())
    for shown, wanted in zip([values["one"], *(one["back"] for one in values["others"])], back, strict=True):
        assert shown == pytest.approx(wanted, abs=1e-9)
    assert values["mean"] == pytest.approx(torch.tensor(back[1:], dtype=torch.float64).mean(dim=0).tolist(), abs=1e-9)


@needs_node
@pytest.mark.parametrize("which", [*sorted(FUNCTIONS), "jump"])
@pytest.mark.parametrize(("mu", "sigma"), [(-0.5, 0.8), (1.2, 0.1), (2.0, 2.0)])
def test_the_gradient_of_the_mean_is_that_of_the_density(which, mu, sigma):
    values = computed("reparameterization", {"mu": mu, "sigma": sigma, "g": which})
    assert values["exact"] == pytest.approx(exact(which, mu, sigma), rel=1e-5, abs=1e-6)


@needs_node
def test_a_jump_sends_nothing_back_although_the_mean_rises():
    values = computed("reparameterization", {"mu": 0.5, "sigma": 0.8, "g": "jump"})
    assert values["one"] == values["mean"] == [0.0, 0.0]
    assert values["exact"][0] > 0.3


@needs_node
def test_the_same_noise_moves_smoothly_with_mu_and_sigma():
    before = computed("reparameterization", {"mu": 0.0, "sigma": 0.8})
    moved = computed("reparameterization", {"mu": 0.5, "sigma": 0.8})
    wider = computed("reparameterization", {"mu": 0.0, "sigma": 1.3})
    for old, new, wide in zip(before["others"], moved["others"], wider["others"], strict=True):
        assert old["epsilon"] == new["epsilon"] == wide["epsilon"]
        assert new["z"] - old["z"] == pytest.approx(0.5)
        assert wide["z"] - old["z"] == pytest.approx(0.5 * old["epsilon"])
    assert before["moved"] == pytest.approx([moved["z"], wider["z"]])
