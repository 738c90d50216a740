"""Checks of the equations of the chapter on distributions and maximum likelihood: each computes both sides by different means."""

import functools
import itertools

import numpy as np
import torch
from scipy import stats
from scipy.optimize import minimize_scalar
from scipy.special import digamma, expit, polygamma, softmax
from torch.distributions import Bernoulli, Beta, Gamma, Normal, OneHotCategorical, Poisson

from foldin.probability import (
    FAMILIES,
    beta_bernoulli,
    fit_bernoulli,
    fit_gamma,
    fit_normal,
    fit_poisson,
    gamma_poisson,
)

# The gamma distribution of the checks, of shape 2.5 and rate 1.5. Its statistics are (log x, x), and η = (shape − 1, −rate).
SHAPE, RATE = 2.5, 1.5
ETA_OF_GAMMA = torch.tensor([SHAPE - 1.0, -RATE], dtype=torch.float64)

# The Gaussian of the checks. Its statistics are (x, x²), and η = (μ/σ², −1/(2σ²)).
MU, SIGMA = 0.7, 1.3
ETA_OF_GAUSSIAN = np.array([MU / SIGMA**2, -0.5 / SIGMA**2])

# Grids for quadrature: an integral is the sum of the values times the distance of two points.
LINE, STEP = np.linspace(-20.0, 20.0, 4001, retstep=True)
HALF, HALF_STEP = np.linspace(0.0, 40.0, 40_002, retstep=True)
HALF = HALF[:-1] + HALF_STEP / 2.0  # the middles of the cells, so that 0 is no point
COUNTS = np.arange(200)

# Five observations of 0 or 1 in every possible way, for expectations by enumeration.
N = 5
ALL_DATA = np.array(list(itertools.product((0, 1), repeat=N)))

# A prior for a Poisson rate e^η, which counts as N₀ observations with mean S₀, and a grid of η.
N_0, S_0 = 2.5, 1.8
ETAS, ETA_STEP = np.linspace(-8.0, 4.0, 4001, retstep=True)


def statistics_of_gamma(x):
    return np.stack((np.log(x), x))


def statistics_of_gaussian(x):
    return np.stack((x, x**2))


def density_of_gaussian(x, eta):
    """The density of SciPy, from natural parameters."""
    variance = -0.5 / eta[1]
    return stats.norm.pdf(x, eta[0] * variance, variance**0.5)


def normalizer_of_gaussian(eta):
    """A(η) = log ∫ h₀(x) exp(η · s(x)) dx by quadrature."""
    return np.log((np.exp(eta @ statistics_of_gaussian(LINE)) / np.sqrt(2.0 * np.pi)).sum() * STEP)


def gradient(function, eta, h=1e-5):
    """The gradient of a function of η by central differences, with a row for each coordinate."""
    return np.array([(function(eta + h * e) - function(eta - h * e)) / (2.0 * h) for e in np.eye(len(eta))])


@functools.cache
def weibull(shape=1.7):
    """A model that is no exponential family: its density, its score and the derivative of the score, on a grid."""
    x = torch.from_numpy(HALF)
    theta = torch.full_like(x, shape, requires_grad=True)
    log_density = theta.log() + (theta - 1.0) * x.log() - x**theta
    (score,) = torch.autograd.grad(log_density.sum(), theta, create_graph=True)
    (slope,) = torch.autograd.grad(score.sum(), theta)
    return log_density.exp().detach().numpy(), score.detach().numpy(), slope.numpy()


def likelihood_of_every_data(theta):
    """The probability of each row of ALL_DATA."""
    return stats.bernoulli.pmf(ALL_DATA, theta).prod(axis=1)


def normalized(log_values):
    """The density on the grid of η that is proportional to exp(log_values)."""
    return softmax(log_values) / ETA_STEP


def check_objective():
    x = np.array([0, 1, 0, 0, 1, 0, 0, 0])
    found = minimize_scalar(
        lambda theta: -stats.bernoulli.logpmf(x, theta).mean(), bounds=(0.01, 0.99), method="bounded"
    )
    fit = fit_bernoulli(x)
    assert abs(float(fit.distribution.probs) - found.x) < 1e-4
    assert abs(fit.log_likelihood / len(x) + found.fun) < 1e-8


def check_regroup():
    x = stats.binom.rvs(6, 0.4, size=50, random_state=0)
    values, counts = np.unique(x, return_counts=True)
    shares = counts / len(x)
    assert abs(shares.sum() - 1.0) < 1e-12
    for theta in (0.2, 0.4, 0.7):
        one_by_one = stats.binom.logpmf(x, 6, theta).mean()
        assert abs(shares @ stats.binom.logpmf(values, 6, theta) - one_by_one) < 1e-12


def check_kl():
    x = stats.binom.rvs(6, 0.4, size=50, random_state=0)
    counts = np.bincount(x, minlength=7)  # which SciPy turns into shares
    for theta in (0.2, 0.4, 0.7):
        entropy, kl = stats.entropy(counts), stats.entropy(counts, stats.binom.pmf(np.arange(7), 6, theta))
        assert abs(stats.binom.logpmf(x, 6, theta).mean() - (-entropy - kl)) < 1e-12
        assert kl > 0.0


def check_family():
    x = torch.from_numpy(HALF[::500])
    by_foldin = FAMILIES[Gamma].log_prob(ETA_OF_GAMMA, x)
    assert np.allclose(by_foldin, stats.gamma.logpdf(x, SHAPE, scale=1.0 / RATE))
    by_foldin = FAMILIES[Normal].log_prob(torch.from_numpy(ETA_OF_GAUSSIAN), torch.from_numpy(LINE[::100]))
    assert np.allclose(by_foldin, stats.norm.logpdf(LINE[::100], MU, SIGMA))
    k = torch.arange(20.0, dtype=torch.float64)
    by_foldin = FAMILIES[Poisson].log_prob(torch.tensor([np.log(3.0)]), k)
    assert np.allclose(by_foldin, stats.poisson.logpmf(k, 3.0))  # here h₀(x) = 1/x!


def check_normalizer():
    integral = np.exp(ETA_OF_GAMMA.numpy() @ statistics_of_gamma(HALF)).sum() * HALF_STEP  # h₀ = 1
    assert abs(float(FAMILIES[Gamma].log_partition(ETA_OF_GAMMA)) - np.log(integral)) < 1e-5
    eta = torch.from_numpy(ETA_OF_GAUSSIAN)
    assert abs(float(FAMILIES[Normal].log_partition(eta)) - normalizer_of_gaussian(ETA_OF_GAUSSIAN)) < 1e-8
    total = np.exp(0.8 * COUNTS - np.cumsum(np.log(np.maximum(COUNTS, 1)))).sum()  # Poisson: a sum, and h₀(x) = 1/x!
    assert abs(float(FAMILIES[Poisson].log_partition(torch.tensor([0.8], dtype=torch.float64))) - np.log(total)) < 1e-8


def check_bernoulli():
    for theta in (0.05, 0.3, 0.5, 0.9):
        eta = np.log(theta / (1.0 - theta))
        for x in (0, 1):
            assert abs(stats.bernoulli.pmf(x, theta) - np.exp(eta * x - np.log(1.0 + np.exp(eta)))) < 1e-12
        by_foldin = FAMILIES[Bernoulli].natural(Bernoulli(torch.tensor(theta, dtype=torch.float64)))
        assert abs(float(by_foldin) - eta) < 1e-6


def check_gaussian():
    exponent = MU / SIGMA**2 * LINE - LINE**2 / (2.0 * SIGMA**2) - MU**2 / (2.0 * SIGMA**2) - np.log(SIGMA)
    assert np.allclose(np.exp(exponent) / np.sqrt(2.0 * np.pi), stats.norm.pdf(LINE, MU, SIGMA))


def check_gaussian_normalizer():
    one, two = ETA_OF_GAUSSIAN
    in_natural = -(one**2) / (4.0 * two) - 0.5 * np.log(-2.0 * two)
    assert abs(normalizer_of_gaussian(ETA_OF_GAUSSIAN) - in_natural) < 1e-8
    assert abs(normalizer_of_gaussian(ETA_OF_GAUSSIAN) - (MU**2 / (2.0 * SIGMA**2) + np.log(SIGMA))) < 1e-8


def check_slope():
    x = LINE[1600:2600:50]
    by_differences = gradient(lambda eta: density_of_gaussian(x, eta), ETA_OF_GAUSSIAN)
    slope_of_a = gradient(normalizer_of_gaussian, ETA_OF_GAUSSIAN)
    right = density_of_gaussian(x, ETA_OF_GAUSSIAN) * (statistics_of_gaussian(x) - slope_of_a[:, None])
    assert np.allclose(by_differences, right, atol=1e-7)


def check_mean():
    by_autograd = FAMILIES[Gamma].mean(ETA_OF_GAMMA.repeat(3, 1))  # three rows alike
    by_quadrature = statistics_of_gamma(HALF) @ stats.gamma.pdf(HALF, SHAPE, scale=1.0 / RATE) * HALF_STEP
    assert np.allclose(by_autograd, by_quadrature, atol=1e-5)
    assert np.allclose(by_autograd, [digamma(SHAPE) - np.log(RATE), SHAPE / RATE])
    by_autograd = FAMILIES[Normal].mean(torch.from_numpy(ETA_OF_GAUSSIAN))
    assert np.allclose(by_autograd, [MU, MU**2 + SIGMA**2])


def check_covariance():
    by_autograd = FAMILIES[Gamma].information(ETA_OF_GAMMA).numpy()
    density, s = stats.gamma.pdf(HALF, SHAPE, scale=1.0 / RATE) * HALF_STEP, statistics_of_gamma(HALF)
    middle = FAMILIES[Gamma].mean(ETA_OF_GAMMA).numpy()
    by_quadrature = (s * density) @ (s - middle[:, None]).T
    assert np.allclose(by_autograd, by_quadrature, atol=1e-4)
    draws = stats.gamma.rvs(SHAPE, scale=1.0 / RATE, size=200_000, random_state=0)
    off = statistics_of_gamma(draws) - middle[:, None]
    products = off[:, None] * off[None]  # the mean of these is the covariance
    assert (abs(products.mean(axis=2) - by_autograd) < 4.5 * stats.sem(products, axis=2)).all()
    assert np.allclose(by_autograd, [[polygamma(1, SHAPE), 1.0 / RATE], [1.0 / RATE, SHAPE / RATE**2]])


def check_convex():
    rng = np.random.default_rng(0)
    for _ in range(20):
        first, second = (np.array([rng.normal(), -rng.uniform(0.1, 2.0)]) for _ in range(2))
        for a in (0.1, 0.5, 0.8):
            ends = a * normalizer_of_gaussian(first) + (1.0 - a) * normalizer_of_gaussian(second)
            assert normalizer_of_gaussian(a * first + (1.0 - a) * second) <= ends
    # Equality between two different η: logits that differ by a constant have the same distribution.
    log_sum = FAMILIES[OneHotCategorical].log_partition
    logits = torch.tensor([0.3, -1.0, 2.0], dtype=torch.float64)
    assert abs(float(log_sum(logits + 1.0) - 0.5 * log_sum(logits) - 0.5 * log_sum(logits + 2.0))) < 1e-12
    apart = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)  # not a constant: the function lies below its chord
    gap = float(0.5 * log_sum(logits) + 0.5 * log_sum(logits + 2.0 * apart) - log_sum(logits + apart))
    first, middle, last = (np.exp([0.3 + one, -1.0, 2.0]).sum() for one in range(3))
    assert abs(gap - np.log((first * last) ** 0.5 / middle)) < 1e-12
    assert gap > 0.01


def check_moment_matching():
    x = stats.gamma.rvs(3.0, scale=0.5, size=400, random_state=0)
    shape, _, scale = stats.gamma.fit(x, floc=0.0)  # by numerical maximization of the likelihood
    eta = torch.tensor([shape - 1.0, -1.0 / scale], dtype=torch.float64)
    average = statistics_of_gamma(x).mean(axis=1)
    assert np.allclose(FAMILIES[Gamma].mean(eta), average, atol=1e-4)
    assert np.allclose(FAMILIES[Gamma].from_mean(torch.from_numpy(average)), eta, atol=1e-3)
    assert abs(float(fit_gamma(x).distribution.concentration) - shape) < 1e-3


def check_score_mean():
    (density, score, _), (other, _, _) = weibull(), weibull(1.2)
    assert np.allclose(density, stats.weibull_min.pdf(HALF, 1.7))
    mean = lambda values, weights: (values * weights).sum() * HALF_STEP
    assert abs(mean(1.0, density) - 1.0) < 1e-4
    assert abs(mean(score, density)) < 1e-4
    assert 0.3 < mean(abs(score), density) < 1.0  # the score itself is not close to zero
    assert abs(mean(score, other)) > 0.1  # under another parameter its mean is not zero


def check_fisher():
    x = stats.poisson.rvs(4.0, size=30, random_state=0)
    rate = x.mean()
    score = COUNTS / rate - 1.0  # of x log θ − θ − log x!
    pmf = stats.poisson.pmf(COUNTS, rate)
    assert abs(pmf @ score) < 1e-9
    variance = pmf @ score**2
    assert abs(1.0 / (len(x) * float(fit_poisson(x).standard_errors["rate"]) ** 2) - variance) < 1e-6
    y = stats.norm.rvs(MU, SIGMA, size=30, random_state=0)
    fit = fit_normal(y)
    sd = float(fit.distribution.scale)
    score = (LINE**2 / sd**2 - 1.0) / sd  # of σ, at mean 0
    variance = (stats.norm.pdf(LINE, 0.0, sd) * score**2).sum() * STEP
    assert abs(1.0 / (len(y) * float(fit.standard_errors["scale"]) ** 2) - variance) < 1e-6
    z = np.array([1, 0, 0, 1, 0, 0, 0, 0])
    variance = (
        0.25 * (1.0 / 0.25) ** 2 + 0.75 * (1.0 / 0.75) ** 2
    )  # of the score of θ̂ = 1/4, which is 1/θ or −1/(1 − θ)
    assert abs(1.0 / (len(z) * float(fit_bernoulli(z).standard_errors["probs"]) ** 2) - variance) < 1e-6
    theta = expit(0.4)  # of η the Fisher information is ∇²A(η)
    by_foldin = FAMILIES[Bernoulli].information(torch.tensor([0.4], dtype=torch.float64))
    assert abs(float(by_foldin) - (theta * (1.0 - theta) ** 2 + (1.0 - theta) * theta**2)) < 1e-12


def check_curvature():
    density, score, slope = weibull()
    variance = (score**2 * density).sum() * HALF_STEP
    assert abs(variance + (slope * density).sum() * HALF_STEP) < 1e-4
    closed = (np.pi**2 / 6.0 + (1.0 - np.euler_gamma) ** 2) / 1.7**2
    assert abs(variance - closed) < 1e-4


def check_unbiased():
    theta, weights = 0.3, np.array([0.4, 0.3, 0.2, 0.1, 0.0])  # a weighted mean is unbiased if its weights sum to 1
    chance = likelihood_of_every_data(theta)
    scores = (ALL_DATA / theta - (1 - ALL_DATA) / (1.0 - theta)).sum(axis=1)
    assert abs(chance @ scores) < 1e-12
    covariance = lambda estimate: np.cov(estimate, scores, aweights=chance, ddof=0)[0, 1]
    for estimate in (ALL_DATA.mean(axis=1), ALL_DATA @ weights, *ALL_DATA.T):
        assert abs(chance @ estimate - theta) < 1e-12
        assert abs(covariance(estimate) - 1.0) < 1e-12
    biased = (1.0 + ALL_DATA.sum(axis=1)) / (2.0 + N)  # the middle of the line: the derivative of its expectation
    assert abs(chance @ biased - (1.0 + N * theta) / (2.0 + N)) < 1e-12
    h = 1e-5
    by_differences = (likelihood_of_every_data(theta + h) - likelihood_of_every_data(theta - h)) @ biased / (2.0 * h)
    assert abs(covariance(biased) - by_differences) < 1e-8


def check_cramer_rao():
    theta, rng = 0.3, np.random.default_rng(0)
    chance = likelihood_of_every_data(theta)
    bound = 1.0 / (N * (1.0 / theta + 1.0 / (1.0 - theta)))  # E[g²] = θ/θ² + (1 − θ)/(1 − θ)²
    variance = lambda estimate: chance @ (estimate - theta) ** 2
    for _ in range(20):
        assert variance(ALL_DATA @ rng.dirichlet(np.ones(N))) >= bound
    assert abs(variance(ALL_DATA.mean(axis=1)) - bound) < 1e-12  # the mean attains it
    below = stats.norm.cdf(LINE)
    median_of_three = 6.0 * below * (1.0 - below) * stats.norm.pdf(LINE)  # its density, for data of N(0, 1)
    variance_of_median = (LINE**2 * median_of_three).sum() * STEP
    assert abs(variance_of_median - (1.0 - 3.0**0.5 / np.pi)) < 1e-9  # known in closed form
    assert variance_of_median > 1.0 / 3.0  # 𝓘(μ) = 1: the median of three stays above the bound


def check_standard_error():
    # The estimate of σ is σ √(χ²/N), with χ² of N − 1 degrees of freedom: its standard deviation is known for every N.
    exact = lambda n: SIGMA / n**0.5 * stats.chi.std(n - 1)
    drawn = stats.norm.rvs(0.0, SIGMA, size=(200_000, 3), random_state=1).std(axis=1)
    assert abs(drawn.std() / exact(3) - 1.0) < 0.01
    information = (stats.norm.pdf(LINE, 0.0, SIGMA) * (LINE**2 / SIGMA**2 - 1.0) ** 2).sum() * STEP / SIGMA**2
    off = [abs(exact(n) * (n * information) ** 0.5 - 1.0) for n in (10, 100, 1000)]
    assert off[0] > off[1] > off[2]
    assert off[2] < 0.001
    x = stats.norm.rvs(MU, SIGMA, size=1000, random_state=0)
    assert abs(float(fit_normal(x).standard_errors["scale"]) / exact(1000) - 1.0) < 0.1  # foldin has σ̂ in place of σ


def check_conjugate_prior():
    prior = normalized(N_0 * (ETAS * S_0 - np.exp(ETAS)))  # A(η) = e^η
    gamma = stats.gamma.pdf(np.exp(ETAS), N_0 * S_0, scale=1.0 / N_0) * np.exp(ETAS)  # density of the rate × d rate/dη
    assert np.allclose(prior, gamma, atol=1e-6)
    a, b = 2.0, 3.5
    prior = normalized(
        (a + b) * (ETAS * a / (a + b) - np.logaddexp(0.0, ETAS))
    )  # Bernoulli: N₀ = a + b, s₀ = a/(a + b)
    theta = expit(ETAS)
    beta = stats.beta.pdf(theta, a, b) * theta * (1.0 - theta)
    assert np.allclose(prior, beta, atol=1e-5)


def check_posterior():
    x = np.array([0, 3, 1, 2, 4, 0, 1])
    likelihood = stats.poisson.logpmf(x[:, None], np.exp(ETAS)).sum(axis=0)
    by_bayes = normalized(N_0 * (ETAS * S_0 - np.exp(ETAS)) + likelihood)
    strength = N_0 + len(x)
    by_formula = normalized(strength * (ETAS * (N_0 * S_0 + len(x) * x.mean()) / strength - np.exp(ETAS)))
    assert np.allclose(by_bayes, by_formula)
    number = lambda value: torch.tensor(float(value), dtype=torch.float64)
    by_foldin, of_next = gamma_poisson(Gamma(number(N_0 * S_0), number(N_0)), number(x.sum()), number(len(x)))
    rates = torch.from_numpy(np.exp(ETAS))
    assert np.allclose(by_formula, (by_foldin.log_prob(rates).exp() * rates).numpy(), atol=1e-6)
    assert abs((np.exp(ETAS) * by_formula).sum() * ETA_STEP - (N_0 * S_0 + x.sum()) / strength) < 1e-6  # E[∇A(η)]
    for k in range(4):  # the next count: its probability is the mean of the Poisson's under the posterior
        chance = (stats.poisson.pmf(k, np.exp(ETAS)) * by_formula).sum() * ETA_STEP
        assert abs(float(of_next.log_prob(number(k)).exp()) - chance) < 1e-6


def check_weighted_mean():
    a, b, x = 2.0, 3.5, np.array([1, 0, 0, 1, 1, 0, 0, 0])
    theta = (np.arange(20_000) + 0.5) / 20_000
    weights = stats.beta.pdf(theta, a, b) * stats.bernoulli.pmf(x[:, None], theta).prod(axis=0)
    by_quadrature = (theta * weights).sum() / weights.sum()
    n, share = len(x), len(x) / (a + b + len(x))
    assert abs(by_quadrature - (a + n * x.mean()) / (a + b + n)) < 1e-6
    assert abs(by_quadrature - ((1.0 - share) * a / (a + b) + share * x.mean())) < 1e-6
    posterior, _ = beta_bernoulli(Beta(a, b), torch.tensor(x.sum()), torch.tensor(n - x.sum()))
    assert abs(float(posterior.mean) - by_quadrature) < 1e-6
