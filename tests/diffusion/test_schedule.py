"""The forward process and its posterior against Gaussians written out."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from foldin.diffusion import PREDICTIONS, NoiseSchedule, StepSampler
from foldin.errors import ConfigError

SCHEDULES = {
    "linear": NoiseSchedule.linear(20),
    "cosine": NoiseSchedule.cosine(20),
    "linear variance": NoiseSchedule.linear_variance(20, 0.1, 0.001, 0.02),
    "custom": NoiseSchedule.from_betas([0.1, 0.3, 0.2]),
}


@pytest.fixture(params=SCHEDULES)
def schedule(request) -> NoiseSchedule:
    return SCHEDULES[request.param]


def steps(*t: int) -> torch.Tensor:
    return torch.tensor(t)


def test_the_closed_form_is_the_chain_of_single_steps(schedule):
    signal, variance = 1.0, 0.0
    for t in range(1, schedule.steps + 1):
        beta = schedule.betas[t]
        signal, variance = signal * np.sqrt(1 - beta), variance * (1 - beta) + beta
        assert signal == pytest.approx(np.sqrt(schedule.alpha_bar[t]), rel=1e-12)
        assert variance == pytest.approx(1 - schedule.alpha_bar[t], rel=1e-9)


def test_the_posterior_is_bayes_rule_for_gaussians(schedule):
    clean, now = torch.tensor([[0.7]], dtype=torch.float64), torch.tensor([[-0.3]], dtype=torch.float64)
    for t in range(2, schedule.steps + 1):
        before, beta = schedule.alpha_bar[t - 1], schedule.betas[t]
        precision = 1 / (1 - before) + (1 - beta) / beta
        mean = (np.sqrt(before) * 0.7 / (1 - before) + np.sqrt(1 - beta) * -0.3 / beta) / precision
        assert schedule.posterior_variance[t] == pytest.approx(1 / precision, rel=1e-8)
        assert float(schedule.posterior_mean(clean, now, steps(t))) == pytest.approx(mean, rel=1e-8)
    assert float(schedule.posterior_mean(clean, now, steps(1))) == pytest.approx(0.7)
    assert schedule.posterior_variance[1] == 0.0
    assert np.isfinite(schedule.log_posterior_variance).all()


@given(
    st.sampled_from(list(SCHEDULES)),
    st.sampled_from(PREDICTIONS),
    st.integers(1, 3),
    st.integers(0, 2**31),
)
def test_each_prediction_gives_the_others_back(name, kind, t, seed):
    schedule, generator = SCHEDULES[name], torch.Generator().manual_seed(seed)
    clean, noise = (torch.randn(4, 3, 2, generator=generator, dtype=torch.float64) for _ in range(2))
    t = torch.full((4,), t)
    now = schedule.diffuse(clean, t, noise)
    said = schedule.from_clean(kind, clean, now, t)
    assert torch.allclose(schedule.to_clean(kind, said, now, t), clean, atol=1e-9)
    assert torch.allclose(schedule.from_clean("noise", clean, now, t), noise, atol=1e-7)
    signal, sigma = np.sqrt(schedule.alpha_bar[t[0]]), np.sqrt(1 - schedule.alpha_bar[t[0]])
    assert torch.allclose(schedule.from_clean("velocity", clean, now, t), signal * noise - sigma * clean, atol=1e-7)


@pytest.mark.parametrize("kind", PREDICTIONS)
def test_squared_errors_of_predictions_are_in_the_ratios_said(schedule, kind):
    g = torch.Generator().manual_seed(0)
    clean, other, noise = (torch.randn(1, 5, generator=g, dtype=torch.float64) for _ in range(3))
    for t in range(1, schedule.steps + 1):
        now = schedule.diffuse(clean, steps(t), noise)
        error = schedule.from_clean(kind, clean, now, steps(t)) - schedule.from_clean(kind, other, now, steps(t))
        ratio = float(error.square().sum() / (clean - other).square().sum())
        assert ratio == pytest.approx(schedule.of_clean(kind)[t], rel=1e-5)


def test_the_papers_ends():
    linear = NoiseSchedule.linear(1000)
    assert linear.betas[[1, 1000]] == pytest.approx([1e-4, 0.02])
    assert linear.alpha_bar[-1] == pytest.approx(4.04e-5, rel=0.01)  # ho2020: nearly no signal is left
    cosine = NoiseSchedule.cosine(1000)
    assert cosine.betas.max() == pytest.approx(0.999)
    assert cosine.alpha_bar[500] == pytest.approx(0.49, abs=0.01)
    diffrec = NoiseSchedule.linear_variance(40, 0.005, 0.005, 0.01, first=None)
    assert 1 - diffrec.alpha_bar[[1, 40]] == pytest.approx([2.5e-5, 5e-5], rel=1e-6)
    assert np.allclose(np.diff(1 - diffrec.alpha_bar[1:]), 2.5e-5 / 39, rtol=1e-6)
    assert NoiseSchedule.linear_variance(40, 0.005, 0.005, 0.01).betas[1] == pytest.approx(1e-5)


@pytest.mark.parametrize(
    "alpha_bar", [[1.0], [0.9, 0.5], [1.0, 0.5, 0.5], [1.0, 0.5, 0.6], [1.0, 0.0], [1.0, float("nan")]]
)
def test_what_is_no_schedule_is_refused(alpha_bar):
    with pytest.raises(ConfigError, match="begins with 1, falls"):
        NoiseSchedule(np.array(alpha_bar))
    with pytest.raises(ConfigError, match="at least one step, not 0"):
        NoiseSchedule.cosine(0)


def test_importance_sampling_leaves_the_mean_over_steps_as_it_is():
    size = torch.tensor([5.0, 1.0, 0.1, 3.0], dtype=torch.float64)
    sampler = StepSampler(4, torch.device("cpu"))
    assert sampler.chances().tolist() == [0.25] * 4
    for step in range(4):
        sampler.learn(torch.full((10,), step + 1), size[step].expand(10))
    chances = sampler.chances()
    assert torch.allclose(chances, 0.999 * size / size.sum() + 0.001 / 4)
    # Exactly: Σ_t p(t) · L_t / (T p(t)) = mean of L; and by the draws themselves.
    t, scale = sampler.draw(200_000, torch.Generator().manual_seed(0))
    assert torch.allclose(scale.double(), 1.0 / (4 * chances[t - 1]), rtol=1e-5)
    assert float((size[t - 1] * scale).mean()) == pytest.approx(float(size.mean()), rel=0.01)
    assert torch.allclose(torch.bincount(t - 1, minlength=4) / len(t), chances.float(), atol=0.005)


def test_the_newest_ten_losses_of_a_step_count():
    sampler = StepSampler(2, torch.device("cpu"))
    sampler.learn(torch.tensor([1] * 12 + [2] * 10), torch.tensor([100.0, 100.0] + [2.0] * 10 + [1.0] * 10))
    assert sampler.chances()[0] / sampler.chances()[1] == pytest.approx(2.0, rel=0.01)
    for _ in range(10):
        sampler.learn(torch.tensor([2]), torch.tensor([2.0]))
    assert sampler.chances().tolist() == pytest.approx([0.5, 0.5])
    other = StepSampler(2, torch.device("cpu"))
    other.load(sampler.state())
    assert torch.equal(other.chances(), sampler.chances())
