"""The figure of guidance shows the library's guided sampler and the density of the chapter's equation."""

import math

import numpy as np
import pytest
import torch

from foldin.diffusion import Denoised, NoiseSchedule, ddim, evenly, guided
from tests.book.figures.running import computed, needs_node

pytestmark = needs_node

SCHEDULE = NoiseSchedule.linear(1000)
VARIANCE = 0.25


def class_denoiser(means):
    """E[x_0 | x_t] of data from equally frequent Gaussians, by the posterior of the components."""
    centers = torch.tensor(means, dtype=torch.float64)

    def denoise(x, t):
        alpha_bar = float(SCHEDULE.alpha_bar[int(t[0])])
        root, variance = math.sqrt(alpha_bar), alpha_bar * VARIANCE + 1.0 - alpha_bar
        off = x[:, None] - root * centers
        shares = torch.softmax(-0.5 * off**2 / variance, dim=1)
        return Denoised((shares * (centers + root * VARIANCE / variance * off)).sum(dim=1))

    return denoise


def guided_denoiser(weight, separation):
    half = separation / 2
    return guided(class_denoiser([half]), class_denoiser([-half, half]), weight)


def moments(x, density):
    weights = density / density.sum()
    mean = (weights * x).sum()
    return mean, math.sqrt((weights * (x - mean) ** 2).sum())


@pytest.mark.parametrize(("weight", "separation"), [(0.0, 1.0), (3.0, 3.0), (8.0, 0.5)])
def test_the_samples_are_those_of_the_guided_sampler(weight, separation):
    values = computed("guidance", {"weight": weight, "separation": separation})
    denoise, steps = guided_denoiser(weight, separation), evenly(1000, 200)
    ends = ddim(denoise, SCHEDULE, torch.tensor(values["start"], dtype=torch.float64), steps)
    assert np.abs(np.array(values["ends"]) - ends.numpy()).max() < 1e-7
    drawn = ddim(denoise, SCHEDULE, torch.randn(4000, generator=torch.Generator().manual_seed(0)).double(), steps)
    assert values["came"]["mean"] == pytest.approx(float(drawn.mean()), abs=0.03)
    assert values["came"]["sd"] == pytest.approx(float(drawn.std()), abs=0.02)
    area = torch.trapezoid(torch.tensor(values["density"]), torch.tensor(values["ends"]))
    assert float(area) == pytest.approx(1.0, abs=0.005)


@pytest.mark.parametrize(("weight", "separation", "t"), [(3.0, 3.0, 400), (8.0, 1.0, 200), (1.0, 4.0, 700)])
def test_the_slope_of_the_guided_density_is_the_guided_noise(weight, separation, t):
    values = computed("guidance", {"weight": weight, "separation": separation, "t": t})
    x, density = np.array(values["grid"]), np.array(values["guided"])
    slope = np.gradient(np.log(np.maximum(density, 1e-300)), x)
    now, rows = torch.from_numpy(x), torch.full((len(x),), t)
    clean = guided_denoiser(weight, separation)(now, rows).clean
    noise = SCHEDULE.from_clean("noise", clean, now, rows).numpy()
    there = density > 1e-4
    assert np.abs(slope + noise / SCHEDULE.sigma[t])[there].max() < 0.05
    assert np.abs(slope[there]).max() > 1.0
    assert density.sum() * (x[1] - x[0]) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize(("weight", "separation"), [(0.0, 2.0), (2.0, 1.0), (8.0, 0.5), (5.0, 4.0)])
def test_the_guided_density_of_the_data_is_the_quotient_of_powers(weight, separation):
    values = computed("guidance", {"weight": weight, "separation": separation, "t": 0})
    x = np.linspace(-6.0, 6.0, 4001)
    given, other = (np.exp(-0.5 * (x - mean) ** 2 / VARIANCE) for mean in (separation / 2, -separation / 2))
    mean, sd = moments(x, given ** (1 + weight) / (0.5 * (given + other)) ** weight)
    assert values["guided0"]["mean"] == pytest.approx(mean, abs=1e-6)
    assert values["guided0"]["sd"] == pytest.approx(sd, abs=1e-6)
    assert values["gap"] == 0.0


@pytest.mark.parametrize(("weight", "t"), [(0.0, 400), (3.0, 50), (3.0, 400)])
def test_the_dashed_density_is_the_guided_one_with_noise_added(weight, t):
    values = computed("guidance", {"weight": weight, "separation": 3.0, "t": t})
    alpha_bar = float(SCHEDULE.alpha_bar[t])
    mean, sd = moments(np.array(values["grid"]), np.array(values["noised"]))
    assert mean == pytest.approx(math.sqrt(alpha_bar) * values["guided0"]["mean"], abs=1e-5)
    assert sd == pytest.approx(math.sqrt(alpha_bar * values["guided0"]["sd"] ** 2 + 1.0 - alpha_bar), abs=1e-5)
    assert (values["gap"] > 0.3) == (weight == 3.0 and t == 400)
    assert weight > 0 or values["gap"] < 1e-6


def test_samples_leave_a_class_that_the_guided_density_leaves_as_it_is():
    values = computed("guidance", {"weight": 3.0, "separation": 4.0})
    assert values["guided0"] == pytest.approx(values["clean"], abs=1e-3)
    assert values["came"]["mean"] > values["clean"]["mean"] + 0.5
    assert values["came"]["sd"] < 0.7 * values["clean"]["sd"]
