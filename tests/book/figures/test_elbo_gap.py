"""The gap of the ELBO agrees with integrals by PyTorch, draws of the library, and its black-box inference."""

import pytest
import torch
from torch.distributions import Bernoulli, Normal

from foldin.inference import GaussianApproximation, Parameter, black_box_vi
from tests.book.figures.running import computed, needs_node

CASES = [(0.5, 0.8, 5, 0), (-2.0, 2.5, 4, 1), (1.0, 0.2, 0, 0), (0.0, 0.45, 10, 10), (-4.0, 1.0, 0, 10)]


def normal(mean, sd):
    return Normal(torch.tensor(mean, dtype=torch.float64), torch.tensor(sd, dtype=torch.float64))


def log_joint(z, taken, passed):
    """log p(x, z), where z are the log-odds that the item is taken."""
    shown = torch.cat((torch.ones(taken), torch.zeros(passed))).double()
    return Bernoulli(logits=z[:, None]).log_prob(shown).sum(dim=1) + normal(0.0, 2.0).log_prob(z)


@needs_node
@pytest.mark.parametrize(("mu", "sigma", "taken", "passed"), CASES)
def test_log_p_the_elbo_and_the_kl_are_the_integrals(mu, sigma, taken, passed):
    values = computed("elbo-gap", {"mu": mu, "sigma": sigma, "taken": taken, "passed": passed})
    z = torch.linspace(-30.0, 30.0, 20001, dtype=torch.float64)
    joint, log_q = log_joint(z, taken, passed), normal(mu, sigma).log_prob(z)
    evidence = torch.trapezoid(joint.exp(), z).log()
    assert values["evidence"] == pytest.approx(float(evidence), abs=1e-6)
    assert values["elbo"] == pytest.approx(float(torch.trapezoid(log_q.exp() * (joint - log_q), z)), abs=1e-6)
    kl = float(torch.trapezoid(log_q.exp() * (log_q - joint + evidence), z))
    assert values["kl"] == pytest.approx(kl, abs=1e-6)
    assert values["elbo"] + values["kl"] == pytest.approx(values["evidence"], abs=1e-6)
    at = values["means"].index(pytest.approx(mu))
    assert values["elbos"][at] == pytest.approx(values["elbo"], abs=1e-9)
    grid = torch.tensor(values["grid"], dtype=torch.float64)
    posterior = (log_joint(grid, taken, passed) - evidence).exp()
    assert values["p"] == pytest.approx(posterior.tolist(), abs=1e-6)
    assert values["q"] == pytest.approx(normal(mu, sigma).log_prob(grid).exp().tolist(), abs=1e-9)


@needs_node
@pytest.mark.parametrize(("mu", "sigma", "taken", "passed"), CASES[:2])
def test_the_elbo_is_a_mean_over_draws_of_the_librarys_approximation(mu, sigma, taken, passed):
    values = computed("elbo-gap", {"mu": mu, "sigma": sigma, "taken": taken, "passed": passed})
    mean, factor = torch.tensor([mu], dtype=torch.float64), torch.tensor([[sigma]], dtype=torch.float64)
    q = GaussianApproximation({"z": Parameter()}, mean, factor)
    draws = q.draw(50_000, torch.Generator().manual_seed(0))
    ratios = log_joint(draws[:, 0], taken, passed) - q.log_prob(draws)
    assert values["elbo"] == pytest.approx(float(ratios.mean()), abs=5 * float(ratios.std()) / 50_000**0.5)


@needs_node
def test_the_best_gaussian_is_the_one_that_the_library_finds():
    found = black_box_vi(
        lambda values: log_joint(values["z"], 5, 0),
        {"z": Parameter()},
        torch.Generator().manual_seed(0),
        steps=400,
        final_draws=100,
    ).approximation
    mean, sd = float(found.mean[0]), float(found.factor[0, 0])
    values = computed("elbo-gap", {"mu": mean, "sigma": sd, "taken": 5, "passed": 0})
    assert 0.015 < values["best"]["gap"] <= values["kl"] + 1e-9
    assert values["kl"] == pytest.approx(values["best"]["gap"], abs=0.01)
    assert values["best"]["mu"] == pytest.approx(mean, abs=0.2)
    assert values["best"]["sigma"] == pytest.approx(sd, abs=0.2)


@needs_node
@pytest.mark.parametrize(("taken", "passed"), [(5, 0), (10, 10), (0, 10)])
def test_twice_the_best_width_loses_more_than_half_of_it(taken, passed):
    best = computed("elbo-gap", {"taken": taken, "passed": passed})["best"]
    shown = {"mu": best["mu"], "taken": taken, "passed": passed}
    half = computed("elbo-gap", {**shown, "sigma": best["sigma"] / 2})["kl"]
    twice = computed("elbo-gap", {**shown, "sigma": best["sigma"] * 2})["kl"]
    assert twice > half > best["gap"]


@needs_node
def test_without_data_the_prior_closes_the_gap():
    values = computed("elbo-gap", {"mu": 0.0, "sigma": 2.0, "taken": 0, "passed": 0})
    assert values["evidence"] == pytest.approx(0.0, abs=1e-9)
    assert values["kl"] == pytest.approx(0.0, abs=1e-9)
    assert values["best"] == pytest.approx({"mu": 0.0, "sigma": 2.0, "gap": 0.0}, abs=1e-6)
