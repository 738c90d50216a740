"""Checks of the equations of the chapter on auto-encoding variational Bayes: each computes both sides by different means."""

import functools
import itertools

import numpy as np
import torch
from scipy import stats
from scipy.optimize import minimize
from scipy.special import expit, gammaln, logit
from torch.distributions import Normal, kl_divergence

from foldin.data import Examples
from foldin.generative import VAE, Bernoulli, Gaussian, VAEConfig
from foldin.inference import (
    LatentModel,
    draws_of,
    gaussian_kl,
    iwae_bound,
    log_normal,
    perturbed,
    posteriors,
    refine_gaussian,
)
from foldin.kernels import multinomial_log_likelihood

# A model with a known evidence: z ~ N(0, I) in two dimensions, x ~ N(W z, σ_x² I) in three, so that x ~ N(0, W Wᵀ + σ_x² I).
W, SD_X = np.array([[1.2, 0.4], [0.3, -0.9], [0.8, 0.5]]), 0.7
X = np.array([[0.5, -0.3, 1.1], [-1.4, 0.8, 0.2], [2.0, 1.0, -0.6], [0.1, -1.2, 0.4]])  # four users
N, D = X.shape[0], W.shape[1]

# Its encoder, f_φ(x) = (μ, log σ²) with the same variances for all x. It is not the best one.
ENCODER, VARIANCE = 0.45 * W.T, np.array([0.35, 0.5])


class Linear(LatentModel[Examples]):
    """The model and its encoder as foldin sees them."""

    standard_prior, device = True, torch.device("cpu")

    def _check(self, data):
        pass

    def block(self):
        return 1 << 20

    def tensors(self):
        return {}

    def posterior(self, data):
        mu = data.values @ torch.from_numpy(ENCODER).T
        return mu, torch.from_numpy(np.log(VARIANCE)).expand_as(mu)

    def differentiable_log_likelihood(self, z, data):
        mean = z @ torch.from_numpy(W).T
        return log_normal(data.values, mean, torch.full_like(mean, 2.0 * np.log(SD_X)))

    def log_likelihood(self, z, data):
        return self.differentiable_log_likelihood(z, data)


MODEL = Linear()


def users(*n, times=1):
    """Users by their numbers, each as often as `times` says, as foldin takes them."""
    return Examples(torch.from_numpy(X[np.repeat(n, times)]))


def encoded(n):
    """(μ, σ²) of q(z | x_n)."""
    return ENCODER @ X[n], VARIANCE


def log_evidence(n, loadings=W, sd_x=SD_X, x=X):
    """log p(x_n), by SciPy."""
    covariance = loadings @ loadings.T + sd_x**2 * np.eye(len(loadings))
    return stats.multivariate_normal(np.zeros(len(loadings)), covariance).logpdf(x[n])


def elbo(n, mu, variance, loadings=W, sd_x=SD_X, x=X):
    """The ELBO of a Gaussian q in closed form: the mean of a square is the square of the mean plus the variance."""
    squares = ((x[n] - loadings @ mu) ** 2 + loadings**2 @ variance).sum()
    likelihood = -0.5 * (len(loadings) * np.log(2.0 * np.pi * sd_x**2) + squares / sd_x**2)
    return likelihood - 0.5 * (mu**2 + variance - 1.0 - np.log(variance)).sum()


def posterior(n, loadings=W, sd_x=SD_X, x=X):
    """(mean, inverse of the covariance matrix) of p(z | x_n), a Gaussian that is not diagonal."""
    precision = np.eye(loadings.shape[1]) + loadings.T @ loadings / sd_x**2
    return np.linalg.solve(precision, loadings.T @ x[n] / sd_x**2), precision


def kl_from_posterior(n, mu, variance):
    """KL(q(z | x_n) ‖ p(z | x_n)) of two Gaussians in closed form."""
    mean, precision = posterior(n)
    away = mu - mean
    determinants = np.log(np.linalg.det(precision)) + np.log(variance).sum()
    return 0.5 * (np.diag(precision) @ variance + away @ precision @ away - D - determinants)


def log_likelihood(n, z):
    """log p(x_n | z), by SciPy."""
    return stats.norm.logpdf(X[n], z @ W.T, SD_X).sum(axis=-1)


def log_prior(z):
    return stats.norm.logpdf(z).sum(axis=-1)


def log_q(n, z):
    mu, variance = encoded(n)
    return stats.norm.logpdf(z, mu, variance**0.5).sum(axis=-1)


def log_joint(n, z):
    """log p(x_n, z), as one Gaussian of the pair (x, z)."""
    covariance = np.block([[W @ W.T + SD_X**2 * np.eye(len(W)), W], [W.T, np.eye(D)]])
    pairs = np.concatenate([np.broadcast_to(X[n], (*z.shape[:-1], len(W))), z], axis=-1)
    return stats.multivariate_normal(np.zeros(len(W) + D), covariance).logpdf(pairs)


# Gauss–Hermite quadrature: Σ of weight × value at these points is the mean under N(0, 1), exactly if the value is a polynomial.
POINTS, SHARES = np.polynomial.hermite_e.hermegauss(20)
SHARES = SHARES / SHARES.sum()


def nodes(n):
    """(points z, their weights) whose weighted sums are means under q(z | x_n)."""
    mu, variance = encoded(n)
    noise = np.array(list(itertools.product(POINTS, POINTS)))
    return mu + variance**0.5 * noise, np.outer(SHARES, SHARES).ravel()


def mean_under_q(n, value):
    """E of a function of z under q(z | x_n), by quadrature."""
    z, weights = nodes(n)
    return weights @ value(z)


def close_to(mean_of, value, errors=4.5):
    """Whether the mean of samples is a value, within a number of standard errors, which are small."""
    mean_of = np.asarray(mean_of)
    error = errors * mean_of.std() / len(mean_of) ** 0.5
    return abs(mean_of.mean() - value) < error < 0.5


@functools.cache
def drawn(n=0, draws=3, times=20_000, seed=0):
    """Draws by the library: log p(x | z), log p(z) and log q(z | x), each of shape (draws, times)."""
    data = users(n, times=times)
    return draws_of(
        MODEL, data, (posteriors(MODEL, data),), MODEL.log_prior, draws, torch.Generator().manual_seed(seed)
    )


def check_amortized():
    vae = VAE((6,), VAEConfig(hidden_dims=(4,), latent_dim=D), seed=1)
    x = np.random.default_rng(0).random((5, 6)).astype(np.float32)
    mu, logvar = vae.posterior(Examples(torch.from_numpy(x)))
    w, b = ([one.detach().numpy() for one in many] for many in (vae.encoder.weights, vae.encoder.biases))
    f = np.tanh(x @ w[0].T + b[0]) @ w[1].T + b[1]  # f_φ(x), for all five users by the same network
    assert np.allclose(np.hstack([mu.detach(), logvar.detach()]), f, atol=1e-6)
    z = np.full((5, D), 0.3)
    by_scipy = [
        np.prod([stats.norm(f[n, j], np.exp(f[n, D + j]) ** 0.5).pdf(z[n, j]) for j in range(D)]) for n in range(5)
    ]
    assert np.allclose(log_normal(torch.from_numpy(z), mu, logvar).exp().detach(), by_scipy, rtol=1e-5)


def check_evidence():
    for n in range(N):
        by_quadrature = mean_under_q(n, lambda z, n=n: log_joint(n, z) - log_q(n, z))
        kl = kl_from_posterior(n, *encoded(n))
        assert kl > 0.1
        assert abs(by_quadrature + kl - log_evidence(n)) < 1e-9


def check_two_terms():
    for n in range(N):
        by_quadrature = mean_under_q(n, lambda z, n=n: log_joint(n, z) - log_q(n, z))
        assert abs(by_quadrature - elbo(n, *encoded(n))) < 1e-9


def check_bernoulli():
    rng = np.random.default_rng(0)
    f, x = rng.normal(size=(3, 8)), rng.integers(0, 2, (3, 8))
    found = Bernoulli().log_prob(torch.from_numpy(f)[:, None], torch.from_numpy(x).double())
    assert np.allclose(found, stats.bernoulli.logpmf(x, expit(f)).sum(axis=1))
    p = 1.0 / (1.0 + np.exp(-f))
    assert np.allclose(found, (x * np.log(p) + (1 - x) * np.log(1 - p)).sum(axis=1))


def check_gaussian():
    rng = np.random.default_rng(0)
    mean, sd, x = rng.uniform(0.1, 0.9, (3, 8)), 0.01, rng.random((3, 8))
    # foldin's decoder gives the logit of the mean, and the log of the variance above a floor of (1/255)².
    outputs = np.stack([logit(mean), np.full_like(mean, np.log(sd**2 - 255.0**-2))], axis=1)
    found = Gaussian().log_prob(torch.from_numpy(outputs), torch.from_numpy(x))
    by_formula = -0.5 * (np.log(2.0 * np.pi) + np.log(sd**2) + (x - mean) ** 2 / sd**2).sum(axis=1)
    by_scipy = [stats.multivariate_normal(mean[n], sd**2 * np.eye(8)).logpdf(x[n]) for n in range(3)]
    assert np.allclose(found, by_formula, rtol=1e-5)
    assert np.allclose(by_formula, by_scipy)


def check_multinomial():
    f, x = np.random.default_rng(0).normal(size=(2, 5)), np.array([[1, 0, 2, 0, 1], [0, 3, 0, 1, 1]])
    items = np.concatenate([np.repeat(np.arange(5), one) for one in x])
    offsets = torch.tensor([0, x[0].sum(), x.sum()])
    found = multinomial_log_likelihood(torch.from_numpy(f), torch.from_numpy(items), offsets)
    p = np.exp(f) / np.exp(f).sum(axis=1, keepdims=True)
    orders = gammaln(x.sum(axis=1) + 1) - gammaln(x + 1).sum(axis=1)  # log of the number of orders of the events
    assert np.allclose(found, [stats.multinomial(x[n].sum(), p[n]).logpmf(x[n]) - orders[n] for n in range(2)])


def check_expected_log_q():
    _, variance = encoded(0)
    by_formula = -0.5 * (np.log(2.0 * np.pi) + np.log(variance) + 1.0).sum()
    assert abs(mean_under_q(0, lambda z: log_q(0, z)) - by_formula) < 1e-9
    assert abs(-stats.norm.entropy(scale=variance**0.5).sum() - by_formula) < 1e-12


def check_expected_log_p():
    mu, variance = encoded(0)
    by_formula = -0.5 * (np.log(2.0 * np.pi) + mu**2 + variance).sum()
    assert abs(mean_under_q(0, log_prior) - by_formula) < 1e-9


def check_kl():
    mu, logvar = posteriors(MODEL, users(*range(N)))
    found = gaussian_kl(mu, logvar)
    for n in range(N):
        by_torch = kl_divergence(Normal(mu[n], torch.exp(0.5 * logvar[n])), Normal(0.0, 1.0)).sum()
        by_quadrature = mean_under_q(n, lambda z, n=n: log_q(n, z) - log_prior(z))
        assert abs(found[n] - by_torch) < 1e-12
        assert abs(found[n] - by_quadrature) < 1e-9


def check_estimator_a():
    by_library = drawn().log_weights.mean(dim=0)  # S = 3 draws, 20,000 times
    generator, (mu, variance) = torch.Generator().manual_seed(0), encoded(0)
    noise = [torch.randn((20_000, D), generator=generator, dtype=torch.float64).numpy() for _ in range(3)]
    z = mu + variance**0.5 * np.stack(noise)  # the same draws
    assert np.allclose(by_library, (log_joint(0, z) - log_q(0, z)).mean(axis=0))
    assert close_to(by_library, elbo(0, *encoded(0)))  # no bias


def check_estimator_b():
    one_draw = MODEL.elbo(users(1, times=60_000), torch.Generator().manual_seed(1))
    by_library = one_draw.bound.reshape(20_000, 3).mean(dim=1)  # S = 3 draws, 20,000 times
    noise = torch.randn((60_000, D), generator=torch.Generator().manual_seed(1), dtype=torch.float64).numpy()
    mu, variance = encoded(1)
    reconstruction = log_likelihood(1, mu + variance**0.5 * noise).reshape(20_000, 3).mean(axis=1)
    kl = float(kl_divergence(Normal(*(torch.from_numpy(one) for one in (mu, variance**0.5))), Normal(0.0, 1.0)).sum())
    assert np.allclose(by_library, reconstruction - kl)
    assert close_to(by_library, elbo(1, mu, variance))  # no bias


def check_variance():
    z, weights = nodes(0)
    ratio = log_q(0, z) - log_prior(z)

    def right_side(likelihood):
        covariance = np.cov(np.stack([ratio, likelihood]), aweights=weights, ddof=0)
        return covariance[0, 0] - 2.0 * covariance[0, 1]

    by_quadrature = right_side(log_likelihood(0, z))
    a, b = drawn().log_weights.mean(dim=0).numpy(), drawn().likelihood.mean(dim=0).numpy()  # less a constant, the KL
    assert close_to(3.0 * ((a - a.mean()) ** 2 - (b - b.mean()) ** 2), by_quadrature)
    assert by_quadrature < -0.2  # here q is near the posterior, and A is the better estimator
    assert right_side(log_likelihood(0, np.clip(z, -0.1, 0.1))) > 0.2  # for a decoder that hardly looks at z it is B


def check_draw():
    mu, variance = encoded(0)
    shares = np.random.default_rng(0).random((500, D))  # if ε is a quantile of N(0, 1), z is the same quantile of q
    noise = torch.from_numpy(stats.norm.ppf(shares))
    found = perturbed(torch.from_numpy(mu), torch.from_numpy(np.log(variance)), noise)
    assert np.allclose(found, stats.norm.ppf(shares, mu, variance**0.5))


def check_gradient():
    # For g(z) = cos z the expectation is known: cos(μ) exp(−σ²/2).
    mu, logvar = torch.tensor([0.4], dtype=torch.float64), torch.tensor([-0.6], dtype=torch.float64)
    noise = torch.randn((100_000, 1), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    wide_mu, wide_logvar = (one.expand(100_000, 1).clone().requires_grad_() for one in (mu, logvar))
    inside = torch.cos(perturbed(wide_mu, wide_logvar, noise))
    inside.sum().backward()  # the gradient of g at each draw
    mu.requires_grad_()
    logvar.requires_grad_()
    known = torch.cos(mu) * torch.exp(-0.5 * logvar.exp())
    known.backward()  # the gradient of the expectation
    assert close_to(inside.detach()[:, 0], known.item())
    assert close_to(wide_mu.grad[:, 0], float(mu.grad))
    assert close_to(wide_logvar.grad[:, 0], float(logvar.grad))
    assert min(abs(float(mu.grad)), abs(float(logvar.grad))) > 0.05


def check_minibatch():
    by_evidence = [log_evidence(n) - kl_from_posterior(n, *encoded(n)) for n in range(N)]
    elbos = [elbo(n, *encoded(n)) for n in range(N)]
    for m in (1, 2, 3):
        batches = [N / m * sum(elbos[n] for n in batch) for batch in itertools.combinations(range(N), m)]
        assert abs(np.mean(batches) - sum(by_evidence)) < 1e-9
        assert np.std(batches) > 0.1


# A model with z = 0 or 1, for which any expectation over draws is a finite sum: p(x, z), and q(z = 1 | x).
JOINT, ONE = np.array([0.06, 0.14]), 0.35
WEIGHTS = JOINT / np.array([1.0 - ONE, ONE])


@functools.cache
def exact_bound(draws):
    """L_S: the number of draws with z = 1 is binomial."""
    ones = np.arange(draws + 1)
    means = ((draws - ones) * WEIGHTS[0] + ones * WEIGHTS[1]) / draws
    return stats.binom.pmf(ones, draws, ONE) @ np.log(means)


def check_iwae():
    rng = np.random.default_rng(0)
    for draws in (1, 2, 5):
        z = (rng.random((draws, 50_000)) < ONE).astype(int)
        assert close_to(iwae_bound(torch.from_numpy(np.log(WEIGHTS[z]))), exact_bound(draws))
    log_weights = drawn().log_weights  # of the linear model
    assert np.allclose(iwae_bound(log_weights), np.log(np.exp(log_weights.numpy()).mean(axis=0)))


def check_below_evidence():
    assert abs((1.0 - ONE) * WEIGHTS[0] + ONE * WEIGHTS[1] - JOINT.sum()) < 1e-12  # the mean of a weight is p(x)
    assert all(exact_bound(draws) < np.log(JOINT.sum()) for draws in range(1, 60))
    assert abs(exact_bound(5000) - np.log(JOINT.sum())) < 1e-4
    by_draws = iwae_bound(drawn().log_weights).mean()  # of the linear model, with S = 3
    assert by_draws - elbo(0, *encoded(0)) > 0.2
    assert log_evidence(0) - by_draws > 0.02


def check_leave_one_out():
    w = np.random.default_rng(0).exponential(size=6)
    without = [np.mean(subset) for subset in itertools.combinations(w, 5)]
    assert abs(np.mean(without) - w.mean()) < 1e-12


def check_monotone():
    draws = 5
    middle = 0.0
    for z in itertools.product((0, 1), repeat=draws):
        share = np.prod([(1.0 - ONE, ONE)[one] for one in z])
        w = WEIGHTS[list(z)]
        middle += share * np.mean([np.log(np.delete(w, s).mean()) for s in range(draws)])
    assert abs(middle - exact_bound(draws - 1)) < 1e-12
    bounds = [exact_bound(draws) for draws in range(1, 60)]
    assert (np.diff(bounds) > 0.0).all()
    by_definition = (1.0 - ONE) * np.log(WEIGHTS[0]) + ONE * np.log(WEIGHTS[1])
    assert abs(bounds[0] - by_definition) < 1e-12  # L_1 is the ELBO


def check_bias():
    limit = ((1.0 - ONE) * WEIGHTS[0] ** 2 + ONE * WEIGHTS[1] ** 2) / JOINT.sum() ** 2 / 2.0 - 0.5
    off = [draws * (np.log(JOINT.sum()) - exact_bound(draws)) - limit for draws in (500, 1000, 2000)]
    assert abs(off[2]) < 1e-3 * limit
    assert abs(off[1] / off[2] - 2.0) < 0.01  # what is left falls as 1/S too


def best_gaussian(n, of=(W, SD_X, X)):
    """(μ, σ²) of the Gaussian with the highest ELBO, by numerical optimization of the ELBO in closed form."""

    def loss(both):
        return -elbo(n, both[:D], np.exp(both[D:]), *of)

    found = minimize(loss, np.zeros(2 * D), method="BFGS", options={"gtol": 1e-8}).x
    return found[:D], np.exp(found[D:])


def check_gap():
    data = users(*range(N))

    def bound(z, mu, logvar):
        return MODEL.differentiable_log_likelihood(z, data) - gaussian_kl(mu, logvar)

    mu, logvar = refine_gaussian(bound, *posteriors(MODEL, data), torch.Generator().manual_seed(0), steps=60)
    for n in range(N):
        best = best_gaussian(n)
        approximation = kl_from_posterior(n, *best)  # log p(x) − ELBO(q*)
        amortization = elbo(n, *best) - elbo(n, *encoded(n))
        assert approximation > 0.02
        assert amortization > 0.2
        assert abs(approximation + amortization - (log_evidence(n) - elbo(n, *encoded(n)))) < 1e-6
        found = elbo(n, mu[n].numpy(), logvar[n].exp().numpy())
        assert -1e-9 < elbo(n, *best) - found < 0.1  # the library comes close to q*
    first = log_evidence(0), elbo(0, *encoded(0)), elbo(0, *best_gaussian(0))
    assert np.allclose(first, (-3.636, -4.020, -3.678), atol=0.001)  # the numbers of the page


def check_correlated():
    one_number = (np.array([[1.0, 1.0]]), 0.5**0.5, np.array([[1.3]]))  # exercise 4: x is z_1 + z_2 plus noise
    for n, of in ((0, (W, SD_X, X)), (1, (W, SD_X, X)), (0, one_number)):
        covariance = np.linalg.inv(posterior(n, *of)[1])
        rho = covariance[0, 1] / (covariance[0, 0] * covariance[1, 1]) ** 0.5
        mu, variance = best_gaussian(n, of)
        assert abs(log_evidence(n, *of) - elbo(n, mu, variance, *of) + 0.5 * np.log(1.0 - rho**2)) < 1e-6
    assert abs(rho + 2.0 / 3.0) < 1e-9
