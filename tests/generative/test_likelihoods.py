"""Likelihoods of a decoder: they normalize, agree with their formulas, and hold in the tails."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from foldin.data import Examples
from foldin.errors import DataError, ShapeError
from foldin.generative import Bernoulli, Categorical, Gaussian, Logistic, binarize, bits_per_value

LEVELS = torch.arange(256, dtype=torch.uint8)
LIKELIHOODS = {one.name: one for one in (Bernoulli(), Gaussian(), Categorical(), Logistic())}
DISCRETE = ("categorical", "logistic")


def some_outputs(name, rows=7, shape=(2, 3), scale=1.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn((rows, LIKELIHOODS[name].outputs, *shape), generator=generator, dtype=torch.float64)


def of_all_levels(name, one):
    """p of each level under one value's outputs."""
    outputs = one[None, :, None].expand(256, -1, 1)
    return LIKELIHOODS[name].log_prob(outputs, LEVELS[:, None]).exp()


@pytest.mark.parametrize("name", DISCRETE)
@pytest.mark.parametrize("scale", [0.3, 1.0, 4.0])
def test_levels_sum_to_one(name, scale):
    for one in some_outputs(name, scale=scale).flatten(2).transpose(1, 2).flatten(0, 1):
        torch.testing.assert_close(of_all_levels(name, one).sum(), torch.tensor(1.0, dtype=torch.float64))


def test_a_bernoulli_s_two_values_sum_to_one():
    outputs = some_outputs("bernoulli", shape=(1,), scale=5.0)
    black, white = (
        LIKELIHOODS["bernoulli"].log_prob(outputs, torch.full((7, 1), x, dtype=torch.uint8)) for x in (127, 128)
    )
    torch.testing.assert_close(black.exp() + white.exp(), torch.ones(7, dtype=torch.float64))


def test_a_gaussian_s_density_integrates_to_one_and_never_exceeds_its_floor():
    gaussian = LIKELIHOODS["gaussian"]
    outputs = torch.tensor([[[0.3], [-1.0]]], dtype=torch.float64)

    def density(x):
        # encoded values are float32, therefore a wide Gaussian
        return gaussian.log_prob(outputs, torch.tensor([[x]], dtype=torch.float64)).exp().item()

    found, _ = integrate.quad(density, -8, 8, limit=200)
    assert found == pytest.approx(1.0, rel=1e-5)
    sharp = torch.tensor([[[0.0], [-1e4]]], dtype=torch.float64)
    highest = gaussian.log_prob(sharp, torch.tensor([[0.5]])).item() + gaussian.offset
    assert highest == pytest.approx(-0.5 * math.log(2 * math.pi))


def test_a_gaussian_s_offset_gives_the_nats_of_whole_numbers():
    gaussian, outputs = LIKELIHOODS["gaussian"], torch.tensor([[[0.3], [-1.0]]], dtype=torch.float64)
    mean, deviation = 1 / (1 + math.exp(-0.3)), math.sqrt(math.exp(-1.0) + 255**-2)
    for level in (0, 77, 255):
        found = gaussian.log_prob(outputs, torch.tensor([[level]], dtype=torch.uint8)).item() + gaussian.offset
        assert found == pytest.approx(stats.norm.logpdf(level, 255 * mean, 255 * deviation), rel=1e-6)


def test_the_logistic_is_the_difference_of_two_cumulative_probabilities():
    location, log_scale = 0.2, -2.5
    probabilities = of_all_levels("logistic", torch.tensor([location, log_scale], dtype=torch.float64))
    edges = np.concatenate(([-np.inf], (np.arange(255) + 0.5) / 127.5 - 1.0, [np.inf]))
    expected = np.diff(stats.logistic.cdf(edges, location, math.exp(log_scale)))
    np.testing.assert_allclose(probabilities.numpy(), expected, rtol=1e-8)


@pytest.mark.parametrize("log_scale", [-30.0, -6.0, 0.0, 30.0])
def test_the_logistic_and_its_gradient_are_finite_in_the_tails(log_scale):
    outputs = torch.tensor([[[50.0], [log_scale]], [[-50.0], [log_scale]]]).repeat(256, 1, 1).requires_grad_()
    found = LIKELIHOODS["logistic"].log_prob(outputs, LEVELS.repeat_interleave(2)[:, None])
    assert found.isfinite().all()
    found.sum().backward()
    assert outputs.grad.isfinite().all()


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_gradients_agree_with_finite_differences(name):
    values = torch.tensor([[0, 255], [3, 200]], dtype=torch.uint8)
    outputs = some_outputs(name, rows=2, shape=(2,)).requires_grad_()
    assert torch.autograd.gradcheck(lambda o: LIKELIHOODS[name].log_prob(o, values), outputs)


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_log_prob_sums_over_the_values_of_a_row(name):
    likelihood, generator = LIKELIHOODS[name], torch.Generator().manual_seed(3)
    outputs = some_outputs(name)
    values = torch.randint(0, 256, (7, 2, 3), generator=generator, dtype=torch.uint8)
    one_by_one = sum(
        likelihood.log_prob(outputs[:, :, [i], [j]], values[:, i, [j]]) for i in range(2) for j in range(3)
    )
    torch.testing.assert_close(likelihood.log_prob(outputs, values), one_by_one)


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_mean_and_draws_agree(name):
    likelihood = LIKELIHOODS[name]
    one = some_outputs(name, rows=1, shape=(4,))
    outputs = one.expand(20_000, -1, -1)
    drawn = likelihood.sample(outputs, torch.Generator().manual_seed(5))
    assert drawn.dtype == torch.uint8 if name in DISCRETE else drawn.is_floating_point()
    likelihood.check(drawn)
    encoded = likelihood.encoded(drawn).double()
    error = encoded.std(dim=0) / math.sqrt(len(drawn))
    assert ((encoded.mean(dim=0) - likelihood.mean(one)[0]).abs() < 5 * error).all()


@pytest.mark.parametrize("name", DISCRETE)
def test_draws_have_the_probabilities(name):
    one = torch.randn(LIKELIHOODS[name].outputs, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    drawn = LIKELIHOODS[name].sample(one[None, :, None].expand(40_000, -1, 1), torch.Generator().manual_seed(2))
    shares = torch.bincount(drawn.flatten().long(), minlength=256).double() / len(drawn)
    expected = of_all_levels(name, one)
    assert ((shares - expected).abs() < 5 * (expected / len(drawn)).sqrt() + 1e-3).all()


def test_whole_numbers_are_binarized_and_floats_taken_as_they_are():
    bernoulli = LIKELIHOODS["bernoulli"]
    whole = torch.tensor([[0, 127, 128, 255]], dtype=torch.uint8)
    assert bernoulli.encoded(whole).tolist() == [[0.0, 0.0, 1.0, 1.0]]
    outputs = torch.tensor([[[0.7]]], dtype=torch.float64)
    q = 1 / (1 + math.exp(-0.7))
    found = bernoulli.log_prob(outputs, torch.tensor([[0.25]])).item()
    assert found == pytest.approx(0.25 * math.log(q) + 0.75 * math.log(1 - q))


def test_a_uniform_softmax_costs_eight_bits_a_value():
    nats = LIKELIHOODS["categorical"].log_prob(torch.zeros(1, 256, 5), torch.zeros(1, 5, dtype=torch.uint8)).item()
    assert bits_per_value(nats, 5) == pytest.approx(8.0)


def test_errors_name_what_was_expected():
    with pytest.raises(DataError, match="categorical: whole numbers 0–255 of type uint8 were expected"):
        LIKELIHOODS["categorical"].check(torch.zeros(1, 2))
    with pytest.raises(DataError, match=r"bernoulli: floats in \[0, 1\]"):
        LIKELIHOODS["bernoulli"].check(torch.tensor([[1.5]]))
    with pytest.raises(DataError, match="finite floats were expected"):
        LIKELIHOODS["gaussian"].check(torch.tensor([[math.nan]]))
    with pytest.raises(ShapeError, match=r"logistic: a decoder's output \(1, 2, 3\) was expected, not \(1, 1, 3\)"):
        LIKELIHOODS["logistic"].log_prob(torch.zeros(1, 1, 3), torch.zeros(1, 3, dtype=torch.uint8))


def test_binarized_pictures_are_white_as_often_as_they_are_bright():
    gray = torch.tensor([0, 51, 128, 255], dtype=torch.uint8).repeat(20_000, 1)
    drawn = binarize(Examples(gray), torch.Generator().manual_seed(0)).values
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    assert torch.allclose(drawn.mean(dim=0), torch.tensor([0.0, 0.2, 128 / 255, 1.0]), atol=0.01)
    again = binarize(Examples(gray.float() / 255), torch.Generator().manual_seed(0)).values
    assert torch.equal(drawn, again)
