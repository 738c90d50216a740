"""The figure of the forward process shows the library's schedules, and densities and paths that follow them."""

import numpy as np
import pytest

from foldin.diffusion import NoiseSchedule
from tests.book.figures.running import computed, needs_node

SCHEDULES = {"linear": NoiseSchedule.linear(1000), "cosine": NoiseSchedule.cosine(1000)}


@needs_node
@pytest.mark.parametrize(("name", "other"), [("linear", "cosine"), ("cosine", "linear")])
def test_the_schedules_are_those_of_the_library(name, other):
    values, schedule = computed("forward-noise", {"schedule": name}), SCHEDULES[name]
    assert values["alphaBar"] == pytest.approx(schedule.alpha_bar.tolist(), rel=1e-8)
    assert values["logSnr"] == pytest.approx(np.log(schedule.snr[1:]).tolist(), abs=1e-6)
    assert values["other"] == pytest.approx(np.log(SCHEDULES[other].snr[1:]).tolist(), abs=1e-6)
    for frame in values["frames"]:
        assert frame["signal"] == pytest.approx(schedule.signal[frame["t"]], rel=1e-8)
        assert frame["sigma"] == pytest.approx(schedule.sigma[frame["t"]], rel=1e-8)
    assert [frame["t"] for frame in values["frames"]] == list(range(0, 1001, 10))
    weak = np.flatnonzero(schedule.alpha_bar < 0.01)
    assert values["weak"] == {"from": weak[0], "count": len(weak)}


@needs_node
@pytest.mark.parametrize(("name", "count"), [("linear", 327), ("cosine", 65)])
def test_the_explanation_names_the_number_of_steps_with_hardly_any_signal(name, count):
    assert int((SCHEDULES[name].alpha_bar < 0.01).sum()) == count
    assert computed("forward-noise", {"schedule": name})["weak"]["count"] == count


@needs_node
@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_a_density_is_that_of_the_data_after_the_forward_process(name):
    values, schedule = computed("forward-noise", {"schedule": name}), SCHEDULES[name]
    grid, data = np.array(values["grid"]), np.array(values["frames"][0]["density"])
    share = data * (grid[1] - grid[0])
    assert share.sum() == pytest.approx(1.0, abs=1e-6)
    assert share @ grid == pytest.approx(0.0, abs=1e-6)
    assert share @ grid**2 == pytest.approx(1.0, abs=1e-6)
    for at in (20, 50, 80, 100):
        signal, sigma = schedule.signal[10 * at], schedule.sigma[10 * at]
        kernel = np.exp(-0.5 * ((grid[:, None] - signal * grid) / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))
        assert values["frames"][at]["density"] == pytest.approx((kernel @ share).tolist(), abs=1e-6)


@needs_node
@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_the_noise_in_a_path_is_standard_normal_and_new_at_every_step(name):
    values, schedule = computed("forward-noise", {"schedule": name}), SCHEDULES[name]
    paths, bars = np.array(values["paths"]), schedule.alpha_bar[::10]
    alpha = bars[1:] / bars[:-1]
    noise = (paths[:, 1:] - np.sqrt(alpha) * paths[:, :-1]) / np.sqrt(1 - alpha)
    assert noise.size == 800
    assert noise.mean() == pytest.approx(0.0, abs=0.08)
    assert noise.var() == pytest.approx(1.0, abs=0.1)
    assert (noise[:, 1:] * noise[:, :-1]).mean() == pytest.approx(0.0, abs=0.08)


@needs_node
def test_another_seed_draws_other_paths_through_the_same_density():
    first, second = (computed("forward-noise", {"seed": seed}) for seed in (1, 2))
    assert first["paths"] != second["paths"]
    assert first["frames"] == second["frames"]
