"""Checks of the equations of the chapter on diffusion: each computes both sides by different means."""

import functools
import math

import numpy as np
import torch
from scipy.special import logsumexp
from scipy.stats import norm, ttest_1samp

from foldin.data import Examples
from foldin.diffusion import Denoised, NoiseSchedule, ddim, guided, reverse_kl
from foldin.generative import Diffusion, DiffusionConfig
from foldin.generative.networks import MLPNetwork
from foldin.generative.noise import GivenNoise
from foldin.training import Step

# A diffusion of six steps. Arrays of steps begin with t = 0, so that BETA[t] is β_t and BAR[t] is ᾱ_t.
T = 6
BETA = np.array([0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4])
ALPHA = 1.0 - BETA
BAR = np.array([np.prod(ALPHA[: t + 1]) for t in range(T + 1)])
SNR = np.array([np.inf, *(BAR[1:] / (1.0 - BAR[1:]))])
SCHEDULE = NoiseSchedule.from_betas(BETA[1:])
LATER = range(2, T + 1)  # the steps that have a KL

# A grid for quadrature: an integral is the sum of the values times the width of a cell.
AXIS = np.linspace(-8.0, 8.0, 1601)
WIDTH = AXIS[1] - AXIS[0]

# A point x_0 in three dimensions, a guess x̂_0 of it, and noise.
POINT, GUESS, NOISE = np.array([0.5, -1.0, 2.0]), np.array([0.1, -1.2, 1.5]), np.array([1.2, -0.7, 0.3])


@functools.cache
def chain():
    """Coefficients of x_0 and of each step's noise in x_0 … x_T, by taking one step after the other; (T + 1, 1 + T)."""
    rows = [np.eye(T + 1)[0]]
    for t in range(1, T + 1):
        rows.append(math.sqrt(ALPHA[t]) * rows[-1] + math.sqrt(BETA[t]) * np.eye(T + 1)[t])
    return np.stack(rows)


def conditional(covariance, mean, t, x_t):
    """(mean, variance) of x_t−1 given x_t if x_0 … x_T are jointly Gaussian: the rule of regression."""
    gain = covariance[t - 1, t] / covariance[t, t]
    return mean[t - 1] + gain * (x_t - mean[t]), covariance[t - 1, t - 1] - gain * covariance[t - 1, t]


def posterior(t, x_t, x_0):
    """(mean, variance) of q(x_t−1 | x_t, x_0), from the covariances of the chain."""
    signal, noise = chain()[:, 0], chain()[:, 1:]
    return conditional(noise @ noise.T, [one * x_0 for one in signal], t, x_t)


def close_to(mean_of, value, errors=4.5):
    """Whether the mean of samples is a value, within a number of standard errors, which are small."""
    error = errors * mean_of.std() / len(mean_of) ** 0.5
    return abs(mean_of.mean() - value) < error < 0.1


def rows(t, like):
    """The step t for each row."""
    return torch.full((len(like),), t, dtype=torch.int64)


def gaussian(x, mean, variance):
    """Density of a Gaussian with a variance."""
    return norm.pdf(x, mean, math.sqrt(variance))


def check_step():
    assert np.allclose(SCHEDULE.betas, BETA)
    assert np.allclose(SCHEDULE.alpha_bar, np.exp(np.cumsum(np.log(ALPHA))))
    x = torch.full((200_000, 1), 1.5, dtype=torch.float64)
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    drawn = NoiseSchedule.from_betas([BETA[3]]).diffuse(x, rows(1, x), noise).numpy()[:, 0]  # the third step alone
    mean = math.sqrt(ALPHA[3]) * 1.5
    assert close_to(drawn, mean)
    assert close_to((drawn - mean) ** 2, BETA[3])
    # With β_t = 1 − α_t a standard normal stays one.
    after = [(norm.pdf(AXIS) * gaussian(x, math.sqrt(ALPHA[3]) * AXIS, BETA[3])).sum() * WIDTH for x in (0.0, 1.3)]
    assert np.allclose(after, norm.pdf([0.0, 1.3]))


def check_induction():
    rng = np.random.default_rng(1)
    t, x_0, n = 4, 1.5, 200_000
    x = np.full(n, x_0)
    for step in range(1, t + 1):  # one step after the other
        x = rng.normal(math.sqrt(ALPHA[step]) * x, math.sqrt(BETA[step]))
    inner = rng.normal(math.sqrt(BAR[t - 1]) * x_0, math.sqrt(1.0 - BAR[t - 1]), n)
    at_once = rng.normal(math.sqrt(ALPHA[t]) * inner, math.sqrt(BETA[t]))
    for power in (1, 2, 3):
        difference = x**power - at_once**power
        assert close_to(difference, 0.0)


def check_marginal():
    x_0 = 1.5
    density = gaussian(AXIS, math.sqrt(ALPHA[1]) * x_0, BETA[1])
    for t in range(2, T + 1):  # ∫ q(x_t | x_t−1) q(x_t−1 | x_0) dx_t−1, again and again
        some = AXIS[::100]
        kernel = gaussian(some[:, None], math.sqrt(ALPHA[t]) * AXIS, BETA[t])
        assert np.allclose(kernel @ density * WIDTH, gaussian(some, math.sqrt(BAR[t]) * x_0, 1.0 - BAR[t]))
        density = gaussian(AXIS, math.sqrt(BAR[t]) * x_0, 1.0 - BAR[t])
    clean, noise = torch.from_numpy(POINT)[None], torch.from_numpy(NOISE)[None]
    by_foldin = SCHEDULE.diffuse(clean, rows(4, clean), noise)[0].numpy()
    assert np.allclose(by_foldin, math.sqrt(BAR[4]) * POINT + math.sqrt(1.0 - BAR[4]) * NOISE)


def check_snr():
    signal, noise = chain()[1:, 0], chain()[1:, 1:]
    assert np.allclose(signal**2 / (noise**2).sum(axis=1), SNR[1:])  # from the chain, one step after the other
    assert np.allclose(SCHEDULE.snr[1:], SNR[1:])
    falls = [BAR[t - 1] * BETA[t] / ((1.0 - BAR[t - 1]) * (1.0 - BAR[t])) for t in LATER]
    assert np.allclose(SCHEDULE.snr_fall[2:], falls)


def check_bayes():
    x_0, x_t = 0.7, -0.4
    for t in LATER:
        mean, variance = posterior(t, x_t, x_0)
        step = gaussian(x_t, math.sqrt(ALPHA[t]) * AXIS, BETA[t])
        before = gaussian(AXIS, math.sqrt(BAR[t - 1]) * x_0, 1.0 - BAR[t - 1])
        after = gaussian(x_t, math.sqrt(BAR[t]) * x_0, 1.0 - BAR[t])
        assert np.allclose(gaussian(AXIS, mean, variance), step * before / after)


def exponent(t, x_before, x_t, x_0):
    """The bracket times −½, without the constant."""
    first = (x_t - math.sqrt(ALPHA[t]) * x_before) ** 2 / BETA[t]
    second = (x_before - math.sqrt(BAR[t - 1]) * x_0) ** 2 / (1.0 - BAR[t - 1])
    return -0.5 * (first + second)


def check_exponent():
    x_0, x_t = 0.7, -0.4
    for t in LATER:
        mean, variance = posterior(t, x_t, x_0)
        rest = norm.logpdf(AXIS, mean, math.sqrt(variance)) - exponent(t, AXIS, x_t, x_0)
        assert np.ptp(rest) < 1e-8  # it does not depend on x_t−1


def check_posterior_variance():
    for t in LATER:
        first, second = (1.0 - BAR[t]) / (BETA[t] * (1.0 - BAR[t - 1])), ALPHA[t] / BETA[t] + 1.0 / (1.0 - BAR[t - 1])
        variance = posterior(t, 0.0, 0.0)[1]
        assert np.allclose([first, second, 1.0 / SCHEDULE.posterior_variance[t]], 1.0 / variance)


def check_posterior_mean():
    x_0, x_t = 0.7, -0.4
    clean, now = torch.tensor([[x_0]], dtype=torch.float64), torch.tensor([[x_t]], dtype=torch.float64)
    for t in LATER:
        mean, variance = posterior(t, x_t, x_0)
        first = variance * (math.sqrt(ALPHA[t]) / BETA[t] * x_t + math.sqrt(BAR[t - 1]) / (1.0 - BAR[t - 1]) * x_0)
        of_now = math.sqrt(ALPHA[t]) * (1.0 - BAR[t - 1]) / (1.0 - BAR[t])
        of_clean = math.sqrt(BAR[t - 1]) * BETA[t] / (1.0 - BAR[t])
        by_foldin = float(SCHEDULE.posterior_mean(clean, now, rows(t, now)))
        assert np.allclose([first, of_now * x_t + of_clean * x_0, by_foldin], mean)


def trajectories(x_0, n, seed):
    """Draws of x_0 … x_T under q, and log q(x_1 … x_T | x_0) of each."""
    rng = np.random.default_rng(seed)
    x, log_q = [np.full(n, x_0)], np.zeros(n)
    for t in range(1, T + 1):
        mean, sd = math.sqrt(ALPHA[t]) * x[-1], math.sqrt(BETA[t])
        x.append(rng.normal(mean, sd))
        log_q += norm.logpdf(x[-1], mean, sd)
    return x, log_q


def check_elbo():
    # Data from N(0.5, 0.8²): then the chain backwards is Gaussian, and a model can be exactly that chain.
    mean, covariance = 0.5 * chain()[:, 0], chain() @ np.diag([0.64] + [1.0] * T) @ chain().T
    x_0 = 1.2
    x, log_q = trajectories(x_0, 20_000, seed=2)
    for wrong in (0.0, 0.2):  # how far each mean of the model is off
        log_p = norm.logpdf(x[T], mean[T], math.sqrt(covariance[T, T]))
        evidence_mean, evidence_variance = mean[T], covariance[T, T]
        for t in range(T, 0, -1):
            back, variance = conditional(covariance, mean, t, x[t])
            log_p = log_p + norm.logpdf(x[t - 1], back + wrong, math.sqrt(variance))
            gain = covariance[t - 1, t] / covariance[t, t]
            evidence_mean = conditional(covariance, mean, t, evidence_mean)[0] + wrong
            evidence_variance = gain**2 * evidence_variance + variance
        log_evidence = norm.logpdf(x_0, evidence_mean, math.sqrt(evidence_variance))
        values = log_p - log_q
        if wrong == 0.0:  # the bound is reached, on every trajectory
            assert abs(log_evidence - norm.logpdf(x_0, 0.5, 0.8)) < 1e-9
            assert np.allclose(values, log_evidence)
        else:
            assert close_to(np.exp(values - log_evidence), 1.0)  # E_q[p/q] is the evidence
            assert ttest_1samp(values, log_evidence, alternative="less").pvalue < 1e-6


guess = lambda x_t, t: np.tanh(1.5 * x_t) + 0.1 * t  # a denoiser x̂_0(x_t, t) that is nothing in particular


def expectation_nodes(mean, sd, n=40):
    """(points, weights) of an expectation under a Gaussian, by Gauss and Hermite; `mean` may have any shape."""
    at, weights = np.polynomial.hermite_e.hermegauss(n)
    return np.asarray(mean)[..., None] + sd * at, weights / weights.sum()


def check_terms():
    x_0, x_given_first = 0.7, 0.3  # the data point, and the standard deviation of p(x_0 | x_1)
    # Left: draws of the ELBO as it is defined.
    x, log_q = trajectories(x_0, 400_000, seed=3)
    log_p = norm.logpdf(x[T]) + norm.logpdf(x_0, guess(x[1], 1), x_given_first)
    for t in LATER:
        mean, variance = posterior(t, x[t], guess(x[t], t))
        log_p += norm.logpdf(x[t - 1], mean, math.sqrt(variance))
    # Right: the three terms by quadrature.
    first, weights = expectation_nodes(math.sqrt(BAR[1]) * x_0, math.sqrt(1.0 - BAR[1]))
    total = weights @ norm.logpdf(x_0, guess(first, 1), x_given_first)
    last, weights = expectation_nodes(math.sqrt(BAR[T]) * x_0, math.sqrt(1.0 - BAR[T]))
    total -= weights @ (norm.logpdf(last, math.sqrt(BAR[T]) * x_0, math.sqrt(1.0 - BAR[T])) - norm.logpdf(last))
    for t in LATER:
        now, weights = expectation_nodes(math.sqrt(BAR[t]) * x_0, math.sqrt(1.0 - BAR[t]))
        (mean, variance), other = posterior(t, now, x_0), posterior(t, now, guess(now, t))[0]
        before, inner = expectation_nodes(mean, math.sqrt(variance))
        sd = math.sqrt(variance)
        log_ratio = norm.logpdf(before, mean[:, None], sd) - norm.logpdf(before, other[:, None], sd)
        total -= weights @ (log_ratio @ inner)
    assert close_to(log_p - log_q, total)


def kl_by_quadrature(mean, other, variance):
    """KL of two Gaussians with diagonal covariance and the same variance, one dimension at a time."""
    total = 0.0
    for one, two in zip(mean, other, strict=True):
        log_q, log_p = norm.logpdf(AXIS, one, math.sqrt(variance)), norm.logpdf(AXIS, two, math.sqrt(variance))
        total += (np.exp(log_q) * (log_q - log_p)).sum() * WIDTH
    return total


def check_same_variance():
    variance = 0.3
    distance = ((POINT - GUESS) ** 2).sum() / (2.0 * variance)
    mean, other, log_variance = (
        torch.from_numpy(POINT)[None],
        torch.from_numpy(GUESS)[None],
        torch.tensor(variance).log(),
    )
    assert abs(kl_by_quadrature(POINT, GUESS, variance) - distance) < 1e-6
    assert abs(float(reverse_kl(mean, log_variance, other, log_variance)) - distance) < 1e-6
    # Two users at once, and with two variances, which leave more terms than the distance.
    wider, ratio = torch.tensor(0.9).log(), 0.9 / variance
    both = reverse_kl(mean.repeat(2, 1), log_variance, other.repeat(2, 1), wider).numpy()
    assert np.allclose(both, distance / ratio + 1.5 * (math.log(ratio) + 1.0 / ratio - 1.0))


def kl_of_step(t, x_t, x_0, guessed):
    """KL(q(x_t−1 | x_t, x_0) ‖ p(x_t−1 | x_t)) by quadrature, where p is q with a guess in the place of x_0."""
    mean, variance = posterior(t, x_t, x_0)
    return kl_by_quadrature(mean, posterior(t, x_t, guessed)[0], variance)


def check_in_signal():
    for t in LATER:
        by_formula = 0.5 * (SNR[t - 1] - SNR[t]) * ((POINT - GUESS) ** 2).sum()
        assert abs(kl_of_step(t, NOISE, POINT, GUESS) - by_formula) < 1e-6


@functools.cache
def trained_by(step_weights):
    """A diffusion of foldin that predicts the noise, and its trainer; not trained."""
    network, noise = MLPNetwork(hidden_dims=(8,)), GivenNoise(betas=tuple(BETA[1:]))
    config = DiffusionConfig(noise=noise, network=network, time_dim=4, step_weights=step_weights)
    model = Diffusion((3,), config, seed=0)
    return model, model.trainer(Examples(torch.zeros(1, 3)))


def check_in_noise():
    other = np.array([0.8, -0.2, 0.1])  # ε̂
    distance = ((NOISE - other) ** 2).sum()
    weights = trained_by("bound")[1].weight(torch.arange(1, T + 1)).numpy()
    for t in LATER:
        x_t = math.sqrt(BAR[t]) * POINT + math.sqrt(1.0 - BAR[t]) * NOISE
        guessed = (x_t - math.sqrt(1.0 - BAR[t]) * other) / math.sqrt(BAR[t])
        by_snr = 0.5 * (SNR[t - 1] / SNR[t] - 1.0)
        variance = posterior(t, x_t, POINT)[1]
        by_betas = BETA[t] ** 2 / (2.0 * variance * ALPHA[t] * (1.0 - BAR[t]))
        assert np.allclose([by_snr, by_betas, weights[t - 1]], kl_of_step(t, x_t, POINT, guessed) / distance, rtol=1e-5)
    # Two more weights of foldin, of the error of x_0: SNR(t) but at most 5, and SNR(t − 1) − SNR(t), which is 1 at t = 1.
    limited, falls = (trained_by(name)[1].weight(torch.arange(1, T + 1)).numpy() for name in ("snr", "difference"))
    assert np.allclose(limited * SNR[1:], np.minimum(SNR[1:], 5.0))
    assert np.allclose(falls * SNR[1:], [1.0, *-np.diff(SNR[1:])])


def check_simple():
    model, trainer = trained_by("simple")
    clean = torch.from_numpy(np.random.default_rng(4).normal(size=(50, 3))).float()
    step = Step(number=0, planned=1)
    by_foldin = trainer.loss(Examples(clean), step, torch.Generator().manual_seed(5))
    generator = torch.Generator().manual_seed(5)  # the same draws once more
    t = torch.randint(1, T + 1, (50,), generator=generator).numpy()
    noise = torch.randn(clean.shape, generator=generator).numpy()
    x_t = np.sqrt(BAR[t])[:, None] * clean.numpy() + np.sqrt(1.0 - BAR[t])[:, None] * noise
    with torch.no_grad():
        said = model.network(torch.from_numpy(x_t).float(), torch.from_numpy(t)).numpy()
    objective = -((noise - said) ** 2).sum(axis=1).mean()
    assert (
        abs(by_foldin.value.item() + objective / 3) < 1e-5
    )  # foldin's loss is minus that, for each of the three values
    assert abs(by_foldin.terms["squared_error"].item() + objective / 3) < 1e-5  # and here all weights are 1


def check_velocity():
    for t in range(1, T + 1):
        angle = math.atan2(math.sqrt(1.0 - BAR[t]), math.sqrt(BAR[t]))
        turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
        x_t, v = turn @ np.stack([POINT, NOISE])  # (x_0, ε) turned by the angle is (x_t, v)
        clean, now, velocity = (torch.from_numpy(one)[None] for one in (POINT, x_t, v))
        assert np.allclose(v, math.sqrt(BAR[t]) * NOISE - math.sqrt(1.0 - BAR[t]) * POINT)
        assert np.allclose(POINT, math.sqrt(BAR[t]) * x_t - math.sqrt(1.0 - BAR[t]) * v)
        assert np.allclose(NOISE, math.sqrt(1.0 - BAR[t]) * x_t + math.sqrt(BAR[t]) * v)
        assert torch.allclose(SCHEDULE.from_clean("velocity", clean, now, rows(t, now)), velocity)
        assert torch.allclose(SCHEDULE.to_clean("velocity", velocity, now, rows(t, now)), clean)


# Data in one dimension for what follows: a mixture of two Gaussians, the classes c = 0 and c = 1.
SHARES, MEANS, SDS = np.array([0.3, 0.7]), np.array([-1.5, 1.0]), np.array([0.4, 0.6])
POINTS = np.linspace(-3.0, 3.0, 13)  # values of x_t


def log_q_of_class(x_t, t):
    """log q(x_t | c) of both classes, in closed form; shape (points, 2)."""
    return norm.logpdf(x_t[:, None], math.sqrt(BAR[t]) * MEANS, np.sqrt(BAR[t] * SDS**2 + 1.0 - BAR[t]))


def log_q(x_t, t):
    """log q(x_t), in closed form."""
    return logsumexp(log_q_of_class(x_t, t) + np.log(SHARES), axis=1)


def slope(of, x_t, step=1e-4):
    """Derivative of a function by differences."""
    return (of(x_t + step) - of(x_t - step)) / (2.0 * step)


def posterior_expectation(of, x_t, t, shares=SHARES):
    """E[of(x_0, x_t) | x_t] by quadrature over x_0, with the prior q(x_0) that has these shares of the classes."""
    prior = norm.pdf(AXIS[:, None], MEANS, SDS) @ shares
    weights = prior * gaussian(x_t[:, None], math.sqrt(BAR[t]) * AXIS, 1.0 - BAR[t])
    return (weights * of(AXIS, x_t[:, None])).sum(axis=1) / weights.sum(axis=1)


def slope_given(x_0, x_t, t):
    """∇ log q(x_t | x_0)."""
    return (math.sqrt(BAR[t]) * x_0 - x_t) / (1.0 - BAR[t])


def noise_given(x_0, x_t, t):
    """The noise ε in x_t if x_0 is known."""
    return (x_t - math.sqrt(BAR[t]) * x_0) / math.sqrt(1.0 - BAR[t])


def check_score():
    for t in (1, 3, T):
        found = posterior_expectation(lambda x_0, x_t, t=t: slope_given(x_0, x_t, t), POINTS, t)
        assert np.allclose(found, slope(lambda x_t, t=t: log_q(x_t, t), POINTS), atol=1e-6)


def check_tweedie():
    for t in (1, 3, T):
        score = slope(lambda x_t, t=t: log_q(x_t, t), POINTS)
        clean = posterior_expectation(lambda x_0, x_t: x_0, POINTS, t)
        noise = posterior_expectation(lambda x_0, x_t, t=t: noise_given(x_0, x_t, t), POINTS, t)
        assert np.allclose(clean, (POINTS + (1.0 - BAR[t]) * score) / math.sqrt(BAR[t]), atol=1e-6)
        assert np.allclose(noise, -math.sqrt(1.0 - BAR[t]) * score, atol=1e-6)


def check_denoising_score_matching():
    t, rng = 4, np.random.default_rng(6)
    c = rng.choice(2, p=SHARES, size=200_000)
    x_0 = rng.normal(MEANS[c], SDS[c])
    x_t = rng.normal(math.sqrt(BAR[t]) * x_0, math.sqrt(1.0 - BAR[t]))
    some, width = AXIS[::8], 8 * WIDTH  # values of x_t for quadrature
    density, score = np.exp(log_q(some, t)), slope(lambda x_t: log_q(x_t, t), some)
    second_moment = posterior_expectation(lambda x_0, x_t: slope_given(x_0, x_t, t) ** 2, some, t)
    spread = (density * (second_moment - score**2)).sum() * width  # the last term: it does not depend on f
    for f in (np.sin, lambda x_t: -0.5 * x_t):
        off = (density * (f(some) - score) ** 2).sum() * width
        assert close_to((f(x_t) - slope_given(x_0, x_t, t)) ** 2, off + spread)


def check_ddim():
    t, eta = 4, 0.7
    x_t = torch.from_numpy(np.random.default_rng(7).normal(size=(5, 3)))
    seen = []

    def denoise(x, step):
        seen.append(x)
        return Denoised(torch.from_numpy(GUESS).expand(x.shape))

    ddim(denoise, SCHEDULE, x_t, [t, t - 1], torch.Generator().manual_seed(8), eta=eta)  # seen[1] is x_t−1
    fresh = torch.randn(x_t.shape, generator=torch.Generator().manual_seed(8), dtype=torch.float64).numpy()
    sigma = eta * math.sqrt(posterior(t, 0.0, 0.0)[1])  # σ_t² = η² β̃_t in foldin
    noise = noise_given(GUESS, x_t.numpy(), t)
    kept = math.sqrt(1.0 - BAR[t - 1] - sigma**2)
    assert np.allclose(seen[1].numpy(), math.sqrt(BAR[t - 1]) * GUESS + kept * noise + sigma * fresh)


def check_ddim_marginal():
    x_0, some = 0.7, AXIS[::100]
    for t in LATER:
        now = gaussian(AXIS, math.sqrt(BAR[t]) * x_0, 1.0 - BAR[t])
        wanted = gaussian(some, math.sqrt(BAR[t - 1]) * x_0, 1.0 - BAR[t - 1])
        for variance in (0.5 * (1.0 - BAR[t - 1]), posterior(t, 0.0, 0.0)[1]):
            kept = math.sqrt(1.0 - BAR[t - 1] - variance)
            mean = math.sqrt(BAR[t - 1]) * x_0 + kept * noise_given(x_0, AXIS, t)
            assert np.allclose(gaussian(some[:, None], mean, variance) @ now * WIDTH, wanted)
        # σ_t = 0: no integral is left, and x_t−1 is a function of x_t that must carry the one density to the other.
        moved = math.sqrt(BAR[t - 1]) * x_0 + math.sqrt(1.0 - BAR[t - 1]) * noise_given(x_0, AXIS, t)
        density = gaussian(moved, math.sqrt(BAR[t - 1]) * x_0, 1.0 - BAR[t - 1])
        assert np.allclose(now / np.gradient(moved, AXIS), density)


def check_flow():
    # In one dimension what moves the densities into each other keeps the quantile of each point, F(x̃, σ̃) = const. Hence
    # dx̃/dσ̃ = −(∂F/∂σ̃) / (∂F/∂x̃), where x̃ has the data's density widened by σ̃.
    def quantile(x, sigma, shares):
        return norm.cdf(x[:, None], MEANS, np.sqrt(SDS**2 + sigma**2)) @ shares

    for shares in (np.array([0.0, 1.0]), SHARES):  # a Gaussian, and the mixture
        for t in (1, 3, T):
            x, sigma = POINTS / math.sqrt(BAR[t]), math.sqrt(1.0 - BAR[t]) / math.sqrt(BAR[t])
            by_sigma = slope(lambda sigma, x=x, shares=shares: quantile(x, sigma, shares), sigma)
            by_x = slope(lambda x, sigma=sigma, shares=shares: quantile(x, sigma, shares), x)
            noise = posterior_expectation(lambda x_0, x_t, t=t: noise_given(x_0, x_t, t), POINTS, t, shares)
            assert np.allclose(noise, -by_sigma / by_x, atol=1e-5)

    # And foldin's sampler with σ_t = 0 and many steps on the Gaussian N(1, 0.6²): x̃ = μ + a √(σ² + σ̃²) with a fixed a.
    schedule, last = NoiseSchedule.linear(1000), 400
    x_last = torch.linspace(-2.0, 2.0, 9, dtype=torch.float64)[:, None]

    def denoise(x, t):
        bar = schedule.alpha_bar[t.unique().item()]
        return Denoised(1.0 + 0.36 * math.sqrt(bar) / (0.36 * bar + 1.0 - bar) * (x - math.sqrt(bar)))

    bar = schedule.alpha_bar[last]
    exact = 1.0 + 0.6 * (x_last - math.sqrt(bar)) / math.sqrt(0.36 * bar + 1.0 - bar)
    assert torch.allclose(ddim(denoise, schedule, x_last, range(last, 0, -1)), exact, atol=0.01)


def check_guidance():
    t, weight, class_one = 3, 2.0, np.array([0.0, 1.0])

    def denoiser(shares):
        def denoise(x, step):
            return Denoised(
                torch.from_numpy(posterior_expectation(lambda x_0, x_t: x_0, x.numpy()[:, 0], t, shares))[:, None]
            )

        return denoise

    now = torch.from_numpy(POINTS)[:, None]
    with_class, without = (
        posterior_expectation(lambda x_0, x_t: noise_given(x_0, x_t, t), POINTS, t, shares)
        for shares in (class_one, SHARES)
    )
    clean = guided(denoiser(class_one), denoiser(SHARES), weight)(now, rows(t, now)).clean
    by_foldin = SCHEDULE.from_clean("noise", clean, now, rows(t, now)).numpy()[:, 0]
    assert np.allclose(by_foldin, (1.0 + weight) * with_class - weight * without)
    leaning = slope(lambda x_t: (1.0 + weight) * log_q_of_class(x_t, t)[:, 1] - weight * log_q(x_t, t), POINTS)
    assert np.allclose(by_foldin, -math.sqrt(1.0 - BAR[t]) * leaning, atol=1e-5)
