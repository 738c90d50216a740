"""Samplers against Gaussian data, whose best denoiser is known in closed form, and against the schedulers of `diffusers`."""

import math

import numpy as np
import pytest
import torch

from foldin.diffusion import Denoised, NoiseSchedule, ancestral, ddim, dpm_solver, evenly, evenly_in_snr, guided
from foldin.errors import ConfigError

MEAN = torch.tensor([1.5, -0.5], dtype=torch.float64)
COVARIANCE = torch.tensor([[0.5, 0.3], [0.3, 0.4]], dtype=torch.float64)


def best(schedule: NoiseSchedule, mean=MEAN, covariance=COVARIANCE):
    """E[x_0 | x_t] of data from N(mean, covariance)."""

    def denoise(x, t):
        a = float(schedule.alpha_bar[int(t[0])])
        gain = math.sqrt(a) * covariance @ torch.linalg.inv(a * covariance + (1 - a) * torch.eye(len(mean)).double())
        return Denoised(mean + (x - math.sqrt(a) * mean) @ gain.T)

    return denoise


def noise(n: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def generator(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def exact_moments(schedule, variance):
    """Mean and covariance of the ancestral sampler's x_0 under the best denoiser, step by step: it is linear."""
    mean, covariance = torch.zeros(2).double(), torch.eye(2).double()
    own = schedule.posterior_variance if variance == "small" else schedule.betas
    denoise = best(schedule)
    for t in range(schedule.steps, 0, -1):
        at = torch.tensor([t])
        origin = schedule.posterior_mean(denoise(torch.zeros(1, 2).double(), at).clean, torch.zeros(1, 2).double(), at)[
            0
        ]
        unit = torch.eye(2).double()
        rows = torch.stack([schedule.posterior_mean(denoise(u[None], at).clean, u[None], at)[0] for u in unit])
        matrix = (rows - origin).T
        mean = matrix @ mean + origin
        covariance = matrix @ covariance @ matrix.T + (own[t] if t > 1 else 0.0) * torch.eye(2)
    return mean, covariance


@pytest.mark.parametrize("variance", ["small", "large"])
def test_the_ancestral_sampler_gives_back_the_moments_of_gaussian_data(variance):
    schedule = NoiseSchedule.linear(200)
    drawn = ancestral(best(schedule), schedule, noise(40_000), generator(), variance=variance)
    assert torch.allclose(drawn.mean(0), MEAN, atol=0.03)
    assert torch.allclose(drawn.T.cov(), COVARIANCE, atol=0.04)
    # Far within that: what the sampler must give at this number of steps.
    mean, covariance = exact_moments(schedule, variance)
    assert torch.allclose(drawn.mean(0), mean, atol=0.015)
    assert torch.allclose(drawn.T.cov(), covariance, atol=0.015)


@pytest.mark.parametrize("sampler", ["ddim", "dpm"])
def test_deterministic_samplers_approach_the_exact_map_of_gaussians(sampler):
    x, errors = noise(50), []
    for steps in (20, 80, 320):
        schedule = NoiseSchedule.linear(steps)
        last = float(schedule.alpha_bar[-1])
        of_last = last * COVARIANCE + (1 - last) * torch.eye(2)
        # The flow keeps each eigenvector's standard score.
        values, vectors = torch.linalg.eigh(COVARIANCE)
        scale = (values / torch.diag(vectors.T @ of_last @ vectors)).sqrt()
        exact = MEAN + (x - math.sqrt(last) * MEAN) @ vectors @ torch.diag(scale) @ vectors.T
        times = evenly(steps, steps)
        run = ddim if sampler == "ddim" else dpm_solver
        errors.append(float((run(best(schedule), schedule, x, times) - exact).abs().max()))
    assert errors[0] > 2 * errors[1] > 4 * errors[2]
    assert errors[2] < 0.03


def test_the_second_order_solver_is_nearer_with_few_steps():
    schedule, x = NoiseSchedule.linear(1000), noise(50)
    fine = ddim(best(schedule), schedule, x, evenly(1000, 1000))
    few = evenly_in_snr(schedule, 12)
    assert len(few) == 12
    error = {run: float((run(best(schedule), schedule, x, few) - fine).abs().mean()) for run in (ddim, dpm_solver)}
    assert error[dpm_solver] < 0.3 * error[ddim]
    assert error[dpm_solver] < 0.3 * float((ddim(best(schedule), schedule, x, evenly(1000, 12)) - fine).abs().mean())


def test_ddim_with_eta_one_over_all_steps_is_the_ancestral_sampler():
    schedule, x = NoiseSchedule.cosine(30), noise(9)
    one = ancestral(best(schedule), schedule, x, generator())
    other = ddim(best(schedule), schedule, x, evenly(30, 30), generator(), eta=1.0)
    assert torch.allclose(one, other, atol=1e-9)


def test_steps_agree_with_the_schedulers_of_diffusers():
    diffusers = pytest.importorskip("diffusers")
    betas = np.linspace(1e-4, 0.02, 100)
    schedule = NoiseSchedule.from_betas(betas)
    settings = {
        "num_train_timesteps": 100,
        "trained_betas": betas.tolist(),
        "clip_sample": False,
        "prediction_type": "sample",
    }
    ours = best(schedule)
    peer = diffusers.DDIMScheduler(**settings, set_alpha_to_one=True, steps_offset=0, timestep_spacing="linspace")
    peer.set_timesteps(100)
    x = y = noise(5)
    for t in range(100, 0, -1):
        y = peer.step(ours(y, torch.tensor([t])).clean, t - 1, y).prev_sample
        x = ddim_step(ours, schedule, x, t)
        assert torch.allclose(x, y, atol=1e-5)
    peer = diffusers.DDPMScheduler(**settings, variance_type="fixed_small")
    for t in range(1, 101):
        now = noise(4, seed=t)
        clean = ours(now, torch.tensor([t])).clean
        stepped = peer.step(clean, t - 1, now, generator=generator(t)).prev_sample
        mean = schedule.posterior_mean(clean, now, torch.tensor([t]))
        drawn = torch.randn(now.shape, generator=generator(t), dtype=now.dtype) if t > 1 else 0.0
        assert torch.allclose(
            mean + math.sqrt(schedule.posterior_variance[t]) * drawn, stepped, atol=2e-4
        )  # it keeps ᾱ in single precision


def ddim_step(denoise, schedule, x, t):
    """One step of `ddim`, from the difference of two of its runs: down to t − 1 is what the next run begins with."""
    cut = NoiseSchedule(schedule.alpha_bar[: t + 1])
    if t == 1:
        return ddim(denoise, cut, x, [1])
    seen = []

    def spy(now, at):
        seen.append(now)
        return denoise(now, at)

    ddim(spy, cut, x, [t, t - 1])
    return seen[1]


def test_guidance_moves_away_from_the_unconditional_and_nought_leaves_it():
    schedule, x = NoiseSchedule.cosine(10), noise(3)
    one, other = best(schedule), best(schedule, mean=-MEAN)
    t = torch.full((3,), 4)
    assert torch.equal(guided(one, other, 0.0)(x, t).clean, one(x, t).clean)
    expected = 3 * one(x, t).clean - 2 * other(x, t).clean
    assert torch.allclose(guided(one, other, 2.0)(x, t).clean, expected)


@pytest.mark.parametrize("spread", [evenly, None])
@pytest.mark.parametrize(
    "schedule",
    [
        NoiseSchedule.cosine(400),
        NoiseSchedule.linear(400),
        NoiseSchedule.linear_variance(400, 1.0, 1e-3, 0.999),
        NoiseSchedule.linear_variance(400, 1.0, 1e-3, 0.999, first=None),
    ],
)
def test_the_second_order_solver_is_nearer_on_every_schedule_wherever_the_steps_lie(schedule, spread):
    """Also where the last step is many times as long as those before."""
    x, last = noise(50), float(schedule.alpha_bar[-1])
    values, vectors = torch.linalg.eigh(COVARIANCE)
    scale = (values / (last * values + 1 - last)).sqrt()
    exact = MEAN + (x - math.sqrt(last) * MEAN) @ vectors @ torch.diag(scale) @ vectors.T
    for n in (10, 25):
        steps = evenly(schedule.steps, n) if spread else evenly_in_snr(schedule, n)
        first, second = (
            float((run(best(schedule), schedule, x, steps) - exact).abs().mean()) for run in (ddim, dpm_solver)
        )
        assert second < 0.8 * first


def test_steps_are_spread_from_the_last_to_the_first():
    assert evenly(1000, 1) == [1000]
    assert evenly(10, 10) == list(range(10, 0, -1))
    assert evenly(1000, 4) == [1000, 667, 334, 1]


def test_errors_say_what_was_expected():
    schedule, x = NoiseSchedule.linear(10), noise(2)
    denoise = best(schedule)
    with pytest.raises(ConfigError, match="11 of 10 steps"):
        evenly(10, 11)
    for steps in ([], [3, 3], [11, 1], [2, 0]):
        with pytest.raises(ConfigError, match="steps that fall, between 10 and 1"):
            ddim(denoise, schedule, x, steps)
    with pytest.raises(ConfigError, match="needs a generator"):
        ddim(denoise, schedule, x, [10, 1], eta=0.5)
    with pytest.raises(ConfigError, match="small or large"):
        ancestral(denoise, schedule, x, generator(), variance="middling")
