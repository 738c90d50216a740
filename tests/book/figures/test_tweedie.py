"""The figure of Tweedie's formula shows PyTorch's gradient of the density and the mean by Bayes' rule."""

import math

import pytest
import torch
from torch.distributions import Categorical, MixtureSameFamily, Normal

from tests.book.figures.running import computed, needs_node

PLACES = [(0.3, 0.0), (0.01, -1.7), (0.05, 0.4), (0.6, 2.5), (0.999, 3.0), (0.999, -3.0)]


def _noisy(values, noise):
    clean = torch.tensor(values["clean"], dtype=torch.float64)
    return clean, Normal(math.sqrt(1 - noise) * clean, math.sqrt(noise))


@needs_node
@pytest.mark.parametrize(("noise", "xt"), PLACES)
def test_the_score_is_the_gradient_of_the_log_density(noise, xt):
    values = computed("tweedie", {"noise": noise, "xt": xt})
    clean, parts = _noisy(values, noise)
    density = MixtureSameFamily(Categorical(torch.ones_like(clean)), parts)
    x = torch.tensor([xt, *values["grid"]], dtype=torch.float64, requires_grad=True)
    logs = density.log_prob(x)
    (score,) = torch.autograd.grad(logs.sum(), x)
    assert [values["here"], *values["density"]] == pytest.approx(logs.exp().tolist(), rel=1e-9, abs=1e-12)
    assert [values["slope"], *values["score"]] == pytest.approx(score.tolist(), rel=1e-4, abs=1e-3)


@needs_node
@pytest.mark.parametrize(("noise", "xt"), PLACES)
def test_the_two_moves_end_at_the_mean_of_the_data_given_the_noisy_data(noise, xt):
    values = computed("tweedie", {"noise": noise, "xt": xt})
    clean, parts = _noisy(values, noise)
    weights = parts.log_prob(torch.tensor(xt, dtype=torch.float64)).softmax(0)
    assert values["weights"] == pytest.approx(weights.tolist(), abs=1e-9)
    assert values["exact"] == pytest.approx(float(weights @ clean), abs=1e-9)
    assert values["uphill"] == pytest.approx(xt + noise * values["slope"], abs=1e-12)
    assert values["tweedie"] == pytest.approx(float(weights @ clean), abs=1e-5)


@needs_node
@pytest.mark.parametrize("xt", [-3.0, 0.0, 3.0])
def test_with_nearly_all_noise_the_guess_is_near_the_mean_of_the_data(xt):
    values = computed("tweedie", {"noise": 0.999, "xt": xt})
    assert values["exact"] == pytest.approx(-2.2 / 3, abs=0.2)
    assert values["slope"] == pytest.approx(-xt, abs=0.05)
