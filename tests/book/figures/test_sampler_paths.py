"""The figure of paths from noise to data takes the steps of the library's DDIM."""

import math

import numpy as np
import pytest
import torch
from torch.distributions import Normal

from foldin.diffusion import Denoised, NoiseSchedule, ddim, evenly
from tests.book.figures.running import computed, needs_node

pytestmark = needs_node

SCHEDULE = NoiseSchedule.linear(1000)
WEIGHTS = torch.tensor([0.35, 0.65], dtype=torch.float64)
MEANS = torch.tensor([-1.3, 0.7], dtype=torch.float64)
VARIANCE = 0.09
GRID = torch.linspace(-4.0, 4.0, 40_001, dtype=torch.float64)
BELOW = (WEIGHTS * Normal(MEANS, math.sqrt(VARIANCE)).cdf(GRID[:, None])).sum(dim=1).numpy()


def best(x, t):
    """E[x_0 | x_t] of data from two Gaussians, by the posterior of the components."""
    alpha_bar = float(SCHEDULE.alpha_bar[int(t[0])])
    root, variance = math.sqrt(alpha_bar), alpha_bar * VARIANCE + 1.0 - alpha_bar
    off = x[:, None] - root * MEANS
    shares = torch.softmax(WEIGHTS.log() - 0.5 * off**2 / variance, dim=1)
    return Denoised((shares * (MEANS + root * VARIANCE / variance * off)).sum(dim=1))


def tensor(values):
    return torch.tensor(values, dtype=torch.float64)


def distance(points):
    """Wasserstein-1 distance of points from the data: the area between the two distribution functions."""
    share = np.searchsorted(np.sort(points), GRID.numpy(), side="right") / len(points)
    return float(np.abs(share - BELOW).sum() * 8.0 / 40_000)


@pytest.mark.parametrize("steps", [2, 3, 19, 100])
def test_paths_without_noise_are_those_of_ddim_and_never_cross(steps):
    values = computed("sampler-paths", {"eta": 0, "steps": steps})
    assert values["times"] == [*evenly(1000, steps), 0]
    ends = ddim(best, SCHEDULE, tensor(values["path"][0]), evenly(1000, steps))
    assert np.abs(np.array(values["ends"]) - ends.numpy()).max() < 1e-8
    assert values["path"][-1] == values["ends"]
    assert values["crossed"] == 0


@pytest.mark.parametrize("eta", [0.35, 1.0])
def test_paths_with_noise_are_those_of_ddim_given_the_same_noise(monkeypatch, eta):
    values = computed("sampler-paths", {"eta": eta, "steps": 11})
    assert len(values["fresh"]) == 10  # the step to the data has no noise
    fresh = iter(values["fresh"])
    monkeypatch.setattr("foldin.diffusion.samplers._normal", lambda x, generator: tensor(next(fresh)))
    start = tensor(values["path"][0])
    ends = ddim(best, SCHEDULE, start, evenly(1000, 11), torch.Generator(), eta=eta)
    assert np.abs(np.array(values["ends"]) - ends.numpy()).max() < 1e-8
    assert next(fresh, None) is None
    order = np.array([np.sign(np.subtract.outer(x[:30], x[:30])) for x in values["path"]])
    assert values["crossed"] == (order != order[0]).any(axis=0).sum() // 2 > 0


def test_starts_and_noises_are_standard_normal():
    values = computed("sampler-paths", {"eta": 1, "steps": 20})
    start, fresh = np.array(values["path"][0]), np.array(values["fresh"])
    assert abs(start.mean()) < 0.12
    assert abs(start.std() - 1.0) < 0.1
    assert abs(fresh.mean()) < 0.03
    assert abs(fresh.std() - 1.0) < 0.03


def test_the_distances_are_those_of_the_distribution_functions():
    values = computed("sampler-paths", {"eta": 0.5, "steps": 7})
    assert values["distance"] == pytest.approx(distance(values["ends"]), abs=1e-3)
    generator = np.random.default_rng(0)
    component = (generator.random((150, 800)) < 0.65).astype(int)
    draws = generator.normal(MEANS.numpy()[component], math.sqrt(VARIANCE))
    assert values["chance"] == pytest.approx(np.mean([distance(one) for one in draws]), abs=0.006)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_ten_steps_end_nearer_to_the_data_without_noise(seed):
    without, noisy = (computed("sampler-paths", {"eta": eta, "steps": 10, "seed": seed}) for eta in (0, 1))
    assert without["path"][0] == noisy["path"][0]
    assert without["distance"] < noisy["distance"]


def test_the_columns_hold_all_end_points():
    values = computed("sampler-paths", {"eta": 0})
    low = sum(start < 0 for start in values["path"][0]) / 800
    assert sum(one["all"] for one in values["bins"]) * 0.1 == pytest.approx(1.0)
    assert sum(one["low"] for one in values["bins"]) * 0.1 == pytest.approx(low)
