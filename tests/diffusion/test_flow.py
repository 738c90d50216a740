"""The likelihood along the probability flow against densities that are known, on every schedule."""

import math

import pytest
import torch

from foldin.diffusion import Denoised, NoiseSchedule, log_likelihood_by_flow
from foldin.errors import ConfigError

SCHEDULES = {
    "cosine": NoiseSchedule.cosine,
    "linear": NoiseSchedule.linear,
    "linear variance": lambda steps: NoiseSchedule.linear_variance(steps, 1.0, 1e-3, 0.999),
    "linear variance, little noise": lambda steps: NoiseSchedule.linear_variance(steps, 0.1, 1e-3, 0.02),
    "equal betas": lambda steps: NoiseSchedule.from_betas([8.0 / steps] * steps),
}


def t(values) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


class Mixture:
    """Data from Σ_k π_k N(μ_k, v_k I): its noisy density at every step, the best denoiser, and draws of x_1."""

    def __init__(self, schedule: NoiseSchedule, shares, means, variances) -> None:
        self.schedule, self.shares, self.means, self.variances = schedule, t(shares), t(means), t(variances)

    def _terms(self, x, step):
        a = float(self.schedule.alpha_bar[step])
        spread = a * self.variances + 1 - a
        away = x[:, None] - math.sqrt(a) * self.means
        log = -0.5 * (away.square().sum(-1) / spread + x.shape[1] * torch.log(2 * math.pi * spread))
        return self.shares.log() + log, away, math.sqrt(a) * self.variances / spread

    def denoise(self, x, step):
        log, away, gain = self._terms(x, int(step[0]))
        each = self.means + gain[:, None] * away
        return Denoised((torch.softmax(log, dim=1)[..., None] * each).sum(dim=1))

    def log_prob(self, x, step):
        return torch.logsumexp(self._terms(x, step)[0], dim=1)

    def first(self, n: int) -> torch.Tensor:
        """Draws of x_1."""
        generator = torch.Generator().manual_seed(0)
        own = torch.multinomial(self.shares, n, True, generator=generator)
        noise = torch.randn(2, n, self.means.shape[1], generator=generator, dtype=torch.float64)
        clean = self.means[own] + self.variances[own].sqrt()[:, None] * noise[0]
        a = float(self.schedule.alpha_bar[1])
        return math.sqrt(a) * clean + math.sqrt(1 - a) * noise[1]


DATA = {
    "normal": ([1.0], [[1.5]], [0.25]),
    "five normals": ([1.0], [[1.5] * 5], [0.25]),
    "two components": ([0.4, 0.6], [[-1.0], [1.5]], [0.09, 0.16]),
    "two in the plane": ([0.3, 0.7], [[-1.0, 0.0], [1.0, 0.5]], [0.1, 0.3]),
    "wide": ([1.0], [[0.5, -0.5]], [4.0]),
}


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(1)


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_density_is_the_data_s_on_every_schedule(schedule, data):
    """In nats a value; the prior is the noisy data's own, so that nothing but the integration is in it."""
    one = Mixture(SCHEDULES[schedule](100), *DATA[data])
    x = one.first(60)
    # Where there is one component all traces are of multiples of the identity, which a single probe knows.
    probes = 1 if len(one.shares) == 1 else None
    found = log_likelihood_by_flow(
        one.denoise, one.schedule, x, generator(), probes=probes, prior=lambda last: one.log_prob(last, 100)
    )
    error = (found - one.log_prob(x, 1)) / x.shape[1]
    assert abs(float(error.mean())) < 4e-3
    assert float(error.abs().max()) < 0.1


@pytest.mark.parametrize(("schedule", "values", "steps"), [("cosine", 1, 1000), ("cosine", 5, 200), ("linear", 5, 200)])
def test_it_is_right_with_a_standard_normal_prior(schedule, values, steps):
    one = Mixture(SCHEDULES[schedule](steps), [1.0], [[1.5] * values], [0.25])
    x = one.first(40)
    found = log_likelihood_by_flow(one.denoise, one.schedule, x, generator())
    error = (found - one.log_prob(x, 1)) / values
    assert abs(float(error.mean())) < 4e-3
    # The linear schedule leaves .006 of the data at T, which the prior does not know of.
    assert float(error.abs().max()) < (4e-3 if schedule == "cosine" else 0.04)


def test_the_density_is_that_of_the_sampler_where_the_prior_is_another():
    """log p(x_1) + log N(x_T) − log p_T(x_T), with x_T where the flow of a Gaussian ends: it keeps the standard score."""
    one = Mixture(NoiseSchedule.linear_variance(100, 1.0, 1e-3, 0.5), [1.0], [[1.5]], [0.25])
    x = one.first(50)
    a = one.schedule.alpha_bar[[1, -1]]
    z = (x - 1.5 * math.sqrt(a[0])) / math.sqrt(0.25 * a[0] + 1 - a[0])
    last = 1.5 * math.sqrt(a[1]) + z * math.sqrt(0.25 * a[1] + 1 - a[1])
    normal = torch.distributions.Normal(0.0, 1.0).log_prob(last)[:, 0]
    expected = one.log_prob(x, 1) + normal - one.log_prob(last, 100)
    found = log_likelihood_by_flow(one.denoise, one.schedule, x, generator())
    assert torch.allclose(found, expected, atol=0.01)
    assert float((found - one.log_prob(x, 1)).mean()) < -0.3


def test_the_error_falls_as_the_square_of_the_steps():
    errors = []
    for steps in (25, 50, 100):
        one = Mixture(NoiseSchedule.cosine(steps), *DATA["two components"])
        x = one.first(60)
        found = log_likelihood_by_flow(one.denoise, one.schedule, x, generator())
        errors.append(float((found - one.log_prob(x, 1)).abs().mean()))
    assert errors[1] < 0.4 * errors[0]
    assert errors[2] < 0.4 * errors[1]


def test_probes_are_unbiased():
    """Components of unequal direction, whose trace a single probe does not know."""
    one = Mixture(NoiseSchedule.cosine(15), *DATA["two in the plane"])
    x = one.first(3)
    exact = log_likelihood_by_flow(one.denoise, one.schedule, x, generator(), probes=None)
    source, many = generator(), x.repeat(2000, 1)
    drawn = log_likelihood_by_flow(one.denoise, one.schedule, many, source).view(2000, 3)
    error = drawn.std(dim=0) / math.sqrt(2000)
    assert (error > 1e-5).any()
    assert ((drawn.mean(dim=0) - exact).abs() < 4 * error + 1e-9).all()
    more = log_likelihood_by_flow(one.denoise, one.schedule, many, source, probes=4).view(2000, 3)
    assert float((more.std(dim=0) / drawn.std(dim=0)).max()) == pytest.approx(0.5, abs=0.05)


def test_few_of_the_steps_and_single_precision():
    one = Mixture(NoiseSchedule.cosine(1000), *DATA["two components"])
    x = one.first(30)
    steps = [1, *range(25, 1001, 25)]
    found = log_likelihood_by_flow(one.denoise, one.schedule, x, generator(), steps=steps)
    assert float((found - one.log_prob(x, 1)).abs().mean()) < 0.03
    one.means, one.variances, one.shares = one.means.float(), one.variances.float(), one.shares.float()
    single = log_likelihood_by_flow(one.denoise, one.schedule, x.float(), generator(), steps=steps)
    assert single.dtype == torch.float32
    assert torch.allclose(single.double(), found, atol=2e-3)


def test_bad_settings_are_refused():
    one = Mixture(NoiseSchedule.linear(10), *DATA["normal"])
    for steps in ([2, 10], [1], [1, 5, 5, 10], [1, 9]):
        with pytest.raises(ConfigError, match="rise from 1 to 10"):
            log_likelihood_by_flow(one.denoise, one.schedule, one.first(2), generator(), steps=steps)
    with pytest.raises(ConfigError, match="probes = 0"):
        log_likelihood_by_flow(one.denoise, one.schedule, one.first(2), generator(), probes=0)
