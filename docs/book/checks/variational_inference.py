"""Checks of the equations of the chapter on variational inference: each computes both sides by different means."""

import functools
import itertools

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import entr, logsumexp, psi, rel_entr, softmax
from scipy.stats import beta, genpareto, multivariate_normal, norm, poisson

from foldin.data import Histories
from foldin.inference import GaussianApproximation, Parameter, gaussian_kl, pareto_shape, psis, reparameterize
from foldin.models import LDA, LDAConfig, Online
from foldin.probability import family_of
from foldin.training import fit

# A model with everything in closed form: z ~ N(0, I) in two dimensions, and one number x given z ~ N(W·z, S²).
W, S, X = np.array([1.0, -0.7]), 0.6, 1.5
PRECISION = np.eye(2) + np.outer(W, W) / S**2
SIGMA = np.linalg.inv(PRECISION)
MEAN = SIGMA @ W * X / S**2
EVIDENCE = norm.logpdf(X, 0.0, np.sqrt(W @ W + S**2))

# The posterior with two modes, and axes for quadrature: an integral is the sum of the values times a step.
AXIS = np.linspace(-20.0, 20.0, 2001)
STEP = AXIS[1] - AXIS[0]


def log_joint(z):
    """log p(x, z) of the model with closed forms, for z of shape (draws, 2)."""
    return norm.logpdf(X, z @ W, S) + norm.logpdf(z).sum(axis=1)


def drawn(seed, n, mean, sd):
    """Draws z of a Gaussian with independent coordinates, and their log q(z)."""
    z = np.random.default_rng(seed).normal(mean, sd, (n, 2))
    return z, norm.logpdf(z, mean, sd).sum(axis=1)


def close_to(values, value, errors=4.5):
    """Whether the mean of samples is a value, within a number of standard errors, which are small."""
    error = errors * np.std(values) / len(values) ** 0.5
    return abs(np.mean(values) - value) < error < 0.1


def two_modes(weight=0.5):
    """p(z | x) on the axis: a mixture of N(−3, 1) and N(3, 1)."""
    return (1.0 - weight) * norm.pdf(AXIS, -3.0, 1.0) + weight * norm.pdf(AXIS, 3.0, 1.0)


def kl_on_axis(first, second):
    """KL of densities on the axis by quadrature, in nats."""
    return rel_entr(first, second).sum() * STEP


def kl_from_posterior(mean, covariance):
    """KL(q(z) ‖ p(z | x)) of a Gaussian q, in closed form."""
    off, ratio = MEAN - mean, covariance @ PRECISION
    return 0.5 * (np.trace(ratio) + off @ PRECISION @ off - 2.0 - np.log(np.linalg.det(ratio)))


@functools.cache
def mean_field():
    """The library's Gaussian with a diagonal factor whose ELBO, over 4000 fixed draws, is largest."""

    def q_of(at):
        return GaussianApproximation({"z": Parameter((2,))}, at[:2], torch.diag(at[2:].exp()))

    def loss(at):
        at = torch.from_numpy(at.copy()).requires_grad_()
        z = q_of(at).draw(4000, torch.Generator().manual_seed(0))
        joint = -0.5 * ((X - z @ torch.tensor(W)) / S) ** 2 - 0.5 * z.square().sum(1)
        elbo = joint.mean() + q_of(at).entropy()
        elbo.backward()
        return -elbo.item(), -at.grad.numpy()

    return q_of(torch.from_numpy(minimize(loss, np.zeros(4), jac=True).x))


def check_every_z():
    z, _ = drawn(0, 100, 0.0, 2.0)
    difference = log_joint(z) - multivariate_normal(MEAN, SIGMA).logpdf(z)
    assert np.allclose(difference, EVIDENCE)  # the same at every z, so that its expectation is that, for every q


def check_gap():
    mean, sd = np.array([0.2, -0.4]), np.array([0.5, 0.9])
    z, log_q = drawn(1, 100_000, mean, sd)
    assert close_to(log_joint(z) - log_q, EVIDENCE - kl_from_posterior(mean, np.diag(sd**2)))


def check_joint_and_entropy():
    q = mean_field()
    mean, variances = q.mean.numpy(), q.factor.diagonal().numpy() ** 2
    likelihood = norm.logpdf(X, mean @ W, S) - 0.5 * variances @ W**2 / S**2
    prior = norm.logpdf(mean).sum() - 0.5 * variances.sum()
    entropy = 0.5 * np.log(2.0 * np.pi * np.e * variances).sum()
    assert abs(entropy - q.entropy().item()) < 1e-9
    z, log_q = drawn(2, 100_000, mean, np.sqrt(variances))
    assert close_to(log_joint(z) - log_q, likelihood + prior + entropy)
    assert np.allclose(q.log_prob(torch.from_numpy(z)).numpy(), log_q)


def check_bound():
    def bound(mean, sd):
        likelihood = norm.logpdf(X, mean @ W, S) - 0.5 * sd**2 @ W**2 / S**2
        return likelihood - gaussian_kl(torch.tensor(mean)[None], torch.tensor(2.0 * np.log(sd))[None]).item()

    rng = np.random.default_rng(3)
    for _ in range(50):
        mean, sd = rng.normal(size=2), rng.uniform(0.2, 1.5, 2)
        assert bound(mean, sd) < EVIDENCE
        assert abs(EVIDENCE - bound(mean, sd) - kl_from_posterior(mean, np.diag(sd**2))) < 1e-9
    kl = 0.5 * (np.trace(SIGMA) + MEAN @ MEAN - 2.0 - np.log(np.linalg.det(SIGMA)))  # q is the posterior itself
    likelihood = norm.logpdf(X, MEAN @ W, S) - 0.5 * W @ SIGMA @ W / S**2
    assert abs(likelihood - kl - EVIDENCE) < 1e-9


def check_forward():
    p = two_modes(0.7)
    entropy, mean, variance = entr(p).sum() * STEP, 1.2, 1.0 + 4.0 * 9.0 * 0.3 * 0.7
    for mu, sigma in ((0.0, 2.0), (1.2, 3.0), (-1.0, 5.0)):
        formula = -entropy + 0.5 * np.log(2.0 * np.pi * sigma**2) + (variance + (mean - mu) ** 2) / (2.0 * sigma**2)
        assert abs(formula - kl_on_axis(p, norm.pdf(AXIS, mu, sigma))) < 1e-6


def check_moments():
    for weight in (0.5, 0.7):
        p = two_modes(weight)
        best = minimize(
            lambda at, p=p: kl_on_axis(p, norm.pdf(AXIS, at[0], np.exp(at[1]))), [0.5, 0.8], method="Nelder-Mead"
        ).x
        mean, variance = 6.0 * weight - 3.0, 1.0 + 36.0 * weight * (1.0 - weight)
        assert np.allclose([best[0], np.exp(2.0 * best[1])], [mean, variance], atol=0.01)


def check_one_mode():
    p = two_modes()
    found = kl_on_axis(norm.pdf(AXIS, 3.0, 1.0), p)
    assert 0.0 < np.log(2.0) - found < 0.01
    assert kl_on_axis(norm.pdf(AXIS, 0.0, np.sqrt(10.0)), p) > 0.85  # the Gaussian of the moments
    for start, mean, sd, kl in ((2.0, 2.984, 1.023, 0.689), (-2.0, -2.984, 1.023, 0.689), (0.3, 0.0, 2.744, 0.841)):
        best = minimize(
            lambda at: kl_on_axis(norm.pdf(AXIS, at[0], np.exp(at[1])), p), [start, 0.5], method="Nelder-Mead"
        )
        assert np.allclose([best.x[0], np.exp(best.x[1]), best.fun], [mean, sd, kl], atol=0.001)


# log p(x, z) for one x and three discrete coordinates z_j of 2, 3 and 4 values, and factors q_j.
TABLE = np.random.default_rng(4).normal(0.0, 1.5, (2, 3, 4))
FACTORS = [np.random.default_rng(5 + j).dirichlet(np.ones(n)) for j, n in enumerate(TABLE.shape)]


def elbo_of(factors):
    """E_q[log p(x, z) − log q(z)] by enumeration of all z."""
    q = np.einsum("a,b,c->abc", *factors)
    return (q * (TABLE - np.log(q))).sum()


def check_one_factor():
    entropies = [-(one * np.log(one)).sum() for one in FACTORS]
    for j, indices in enumerate(("abc,b,c->a", "abc,a,c->b", "abc,a,b->c")):
        others = [one for at, one in enumerate(FACTORS) if at != j]
        inner = np.einsum(indices, TABLE, *others)
        right = FACTORS[j] @ inner + entropies[j] + sum(one for at, one in enumerate(entropies) if at != j)
        assert abs(right - elbo_of(FACTORS)) < 1e-12


def check_optimal_factor():
    best = softmax(np.einsum("abc,a,c->b", TABLE, FACTORS[0], FACTORS[2]))
    searched = minimize(lambda logits: -elbo_of([FACTORS[0], softmax(logits), FACTORS[2]]), np.zeros(3))
    assert np.allclose(softmax(searched.x), best, atol=1e-4)
    kl = (FACTORS[1] * np.log(FACTORS[1] / best)).sum()  # what any other factor loses
    assert abs(elbo_of([FACTORS[0], best, FACTORS[2]]) - elbo_of(FACTORS) - kl) < 1e-12


def check_gaussian_factor():
    draw = np.random.default_rng(6)
    root, mu = draw.normal(size=(3, 5)), draw.normal(size=3)
    precision = root @ root.T
    means, sds = draw.normal(size=3), np.array([0.5, 1.0, 1.5])  # of the factors q_j
    axis = np.linspace(-8.0, 8.0, 1601)
    for j in range(3):
        others = [at for at in range(3) if at != j]
        log_q = np.zeros(len(axis))
        for signs in itertools.product([-1.0, 1.0], repeat=2):  # means ± standard deviations: exact for squares
            z = np.empty((len(axis), 3))
            z[:, j], z[:, others] = axis, means[others] + sds[others] * np.array(signs)
            log_q -= 0.25 * 0.5 * np.einsum("na,ab,nb->n", z - mu, precision, z - mu)
        q = np.exp(log_q - logsumexp(log_q))
        mean = mu[j] - sum(precision[j, at] * (means[at] - mu[at]) for at in others) / precision[j, j]
        assert abs(q @ axis - mean) < 1e-6
        assert abs(q @ (axis - mean) ** 2 - 1.0 / precision[j, j]) < 1e-6


def check_smaller_variances():
    for j in range(2):  # by the textbook's formula for a conditional variance
        conditional = SIGMA[j, j] - SIGMA[j, 1 - j] ** 2 / SIGMA[1 - j, 1 - j]
        assert abs(conditional - 1.0 / PRECISION[j, j]) < 1e-12
        assert 0.2 < conditional / SIGMA[j, j] < 0.7
    q = mean_field()
    assert np.allclose(q.factor.diagonal().numpy() ** 2, 1.0 / np.diag(PRECISION), rtol=0.05)
    assert np.allclose(q.mean.numpy(), MEAN, atol=0.05)
    diagonal = np.diag([0.5, 2.0])
    assert np.allclose(1.0 / np.diag(np.linalg.inv(diagonal)), np.diag(diagonal))  # uncorrelated: equal


# Six users alike, each with the events 0, 0, 1, 3 of a catalog of five items; two topics.
A, B_PRIOR, EVENTS = 0.8, 0.5, [0, 0, 1, 3]
COUNTS = np.bincount(EVENTS, minlength=5)
USERS = Histories.from_lists([EVENTS] * 6, 5)


def lda(**settings):
    """The library's model, whose local updates go on until they have converged."""
    config = LDAConfig(
        n_components=2, alpha=A, eta=B_PRIOR, local_iterations=1000, local_tolerance=1e-7, epochs=1, **settings
    )
    model = LDA(5, config, seed=1)
    model.topics.copy_(torch.from_numpy(np.random.default_rng(7).uniform(0.5, 4.0, (5, 2))))
    return model


def local_optimum(topics, rounds=400):
    """ã and r of one user, by the two equations in turn; topics are b̃, items × topics."""
    found = np.ones(2)
    for _ in range(rounds):
        r = softmax(psi(found) + psi(topics) - psi(topics.sum(axis=0)), axis=1)
        found = A + COUNTS @ r
    return found, r


def check_lda():
    model, n = lda(), 100_000
    draw, topics = np.random.default_rng(8), model.topics.numpy()
    of_user, *_ = model.tastes(USERS)
    by_foldin = (of_user / of_user.sum()) @ model.item_shares()
    c = draw.random(n) < draw.dirichlet(of_user, n)[:, 1]  # the generative story, one event of each draw of π and θ
    theta = np.where(c[:, None], draw.dirichlet(topics[:, 1], n), draw.dirichlet(topics[:, 0], n))
    items = (draw.random(n)[:, None] > theta.cumsum(axis=1)[:, :-1]).sum(axis=1)
    assert all(close_to(items == i, by_foldin[i]) for i in range(5))


def check_lda_user():
    r = np.random.default_rng(9).dirichlet(np.ones(2), 5)[EVENTS]  # of each event
    share = np.linspace(0.0005, 0.9995, 1000)
    log_pi = np.stack([np.log(share), np.log(1.0 - share)])
    log_q = (A - 1.0) * log_pi.sum(axis=0)
    for topics in itertools.product(range(2), repeat=len(EVENTS)):  # E under q of the topics, by enumeration
        weight = np.prod([r[at, topic] for at, topic in enumerate(topics)])
        log_q += weight * sum(log_pi[topic] for topic in topics)
    q = np.exp(log_q - logsumexp(log_q)) / (share[1] - share[0])
    a = A + r.sum(axis=0)
    assert np.allclose(q, beta(a[0], a[1]).pdf(share), atol=0.01)
    assert np.allclose(lda().tastes(USERS), local_optimum(lda().topics.numpy())[0], rtol=1e-4)


def check_lda_event():
    topics, (a, r) = lda().topics.numpy(), local_optimum(lda().topics.numpy())
    draw = np.random.default_rng(10)
    log_pi = np.log(draw.dirichlet(a, 200_000)).mean(axis=0)
    log_theta = np.stack([np.log(draw.dirichlet(one, 200_000)).mean(axis=0) for one in topics.T], axis=1)
    for i in EVENTS:  # the r that makes the event's part of the ELBO largest, with expectations by sampling

        def part(logit, at=log_pi + log_theta[i]):
            own = softmax([0.0, logit[0]])
            return -(own @ (at - np.log(own)))

        assert np.allclose(softmax([0.0, minimize(part, [0.0]).x[0]]), r[i], atol=0.01)
    assert np.allclose(A + COUNTS @ r, lda().tastes(USERS), rtol=1e-4)


def check_allocation():
    rates, total = np.array([0.7, 1.5, 2.2]), 5
    parts = [y for y in itertools.product(range(total + 1), repeat=3) if sum(y) == total]
    joint = np.array([poisson.pmf(y, rates).prod() for y in parts])
    factorials = np.cumprod([1, 1, 2, 3, 4, 5])
    multinomial = [factorials[total] / factorials[list(y)].prod() * ((rates / rates.sum()) ** y).prod() for y in parts]
    assert np.allclose(joint / joint.sum(), multinomial)


# For gradients: f(z) = sin z and q = N(μ, σ²), with φ = (μ, log σ), where E f = sin(μ) exp(−σ²/2).
MU, SD = 0.7, 0.8


def gradient_in_closed_form():
    """∇ of sin(μ) exp(−σ²/2) in μ and log σ, by automatic differentiation."""
    at = torch.tensor([MU, np.log(SD)], dtype=torch.float64, requires_grad=True)
    (at[0].sin() * torch.exp(-0.5 * torch.exp(2.0 * at[1]))).backward()
    return at.grad.numpy()


def check_score():
    z = np.random.default_rng(11).normal(MU, SD, 200_000)
    scores = (z - MU) / SD**2, ((z - MU) / SD) ** 2 - 1.0
    for score, value in zip(scores, gradient_in_closed_form(), strict=True):
        assert close_to(np.sin(z) * score, value)
        assert close_to(score, 0.0)


def check_reparameterization():
    mu = torch.full((200_000, 1), MU, dtype=torch.float64, requires_grad=True)
    log_sd = torch.full((200_000, 1), np.log(SD), dtype=torch.float64, requires_grad=True)
    reparameterize(mu, 2.0 * log_sd, torch.Generator().manual_seed(0)).sin().sum().backward()
    value = gradient_in_closed_form()
    assert close_to(mu.grad.numpy().ravel(), value[0])
    assert close_to(log_sd.grad.numpy().ravel(), value[1])


def check_two_variances():
    nodes, weights = np.polynomial.hermite_e.hermegauss(12)  # exact for polynomials up to degree 23
    weights = weights / weights.sum()
    for mu in (-2.0, 0.0, 1.0, 3.0):
        z = mu + nodes
        for values, variance in ((z**2 * (z - mu), mu**4 + 14.0 * mu**2 + 15.0), (2.0 * z, 4.0)):
            assert np.isclose(weights @ values, 2.0 * mu)  # both are unbiased
            assert np.isclose(weights @ values**2 - (weights @ values) ** 2, variance)


def check_natural():
    # Poisson counts with rate z ~ Gamma(2, 1); q is a Gamma with natural parameters (shape − 1, −rate).
    counts, z = torch.tensor([3.0, 1.0, 4.0]), torch.linspace(1e-4, 40.0, 40_000, dtype=torch.float64)
    joint = torch.distributions.Gamma(2.0, 1.0).log_prob(z)
    joint = joint + sum(torch.distributions.Poisson(z).log_prob(one) for one in counts)
    eta = torch.tensor([1.5, -1.2], dtype=torch.float64, requires_grad=True)
    log_q = torch.distributions.Gamma(eta[0] + 1.0, -eta[1]).log_prob(z)
    elbo = (log_q.exp() * (joint - log_q)).sum() * (z[1] - z[0])  # by quadrature
    (gradient,) = torch.autograd.grad(elbo, eta)
    information = family_of(torch.distributions.Gamma(2.5, 1.2)).information(eta)
    conjugate = torch.tensor([2.0 + 8.0 - 1.0, -(1.0 + 3.0)], dtype=torch.float64)  # of the posterior Gamma(10, 4)
    assert torch.allclose(torch.linalg.solve(information, gradient), conjugate - eta, atol=1e-4)


def check_stochastic_step():
    online = Online(batch_size=3, delay=2.0, forgetting=0.8)
    model = lda(online=online)
    topics = model.topics.numpy().copy()
    fit(model, USERS, epochs=1)  # two steps, each with three of the six users
    for t in range(2):
        rho = (t + 1.0 + online.delay) ** -online.forgetting
        of_batch = 3.0 * COUNTS[:, None] * local_optimum(topics)[1]
        topics = (1.0 - rho) * topics + rho * (B_PRIOR + 6.0 / 3.0 * of_batch)
    assert np.allclose(model.topics.numpy(), topics, rtol=1e-4)
    shares = np.random.default_rng(12).random(6)  # the sum over a batch, averaged over all batches
    batches = [6.0 / 3.0 * sum(chosen) for chosen in itertools.combinations(shares, 3)]
    assert np.isclose(np.mean(batches), shares.sum())


def check_weights():
    z, log_q = drawn(13, 100_000, MEAN, np.array([0.8, 0.9]))
    assert close_to(np.exp(log_joint(z) - log_q), np.exp(EVIDENCE))


def pareto(x):
    """(k, σ) of excesses by Zhang and Stephens: θ = −k/σ is a mean over a grid, weighted by the likelihood of SciPy's density."""
    n, count = len(x), 30 + int(len(x) ** 0.5)
    quartile = np.sort(x)[int(n / 4 + 0.5) - 1]
    theta = 1.0 / x.max() + (1.0 - np.sqrt(count / (np.arange(count) + 0.5))) / (3.0 * quartile)
    shape = lambda at: np.log1p(-at * x).mean()  # the k of highest likelihood for this θ
    found = softmax([genpareto.logpdf(x, shape(at), scale=-shape(at) / at).sum() for at in theta]) @ theta
    return (n * shape(found) + 10.0 * 0.5) / (n + 10.0), -shape(found) / found  # a prior: ten excesses with k = 0.5


def smoothed(w):
    """(weights, ascending and normalized, whose largest are quantiles of the fitted distribution; k̂)."""
    w, tail = np.sort(w), int(np.ceil(min(0.2 * len(w), 3.0 * len(w) ** 0.5)))
    cutoff = w[-tail - 1]
    k, sigma = pareto(w[-tail:] - cutoff)
    quantiles = cutoff + genpareto.ppf((np.arange(tail) + 0.5) / tail, k, scale=sigma)
    w[-tail:] = np.minimum(quantiles, w[-1])
    return w / w.sum(), k


def check_tail():
    sigma, log_a = 0.7, 1e5  # p = N(0, 1), q = N(0, σ²): log w = log σ + z² (1/σ² − 1) / 2, and ξ = 1 − σ²
    edge = np.sqrt(2.0 * (log_a - np.log(sigma)) / (sigma**-2 - 1.0))
    assert abs((np.log(2.0) + norm.logsf(edge / sigma)) / log_a + 1.0 / (1.0 - sigma**2)) < 1e-3
    rho = 0.8  # mean field for correlation ρ: log w = const + ρ (u² − v²) / 2 with u, v ~ N(0, 1), and ξ = ρ
    v = np.linspace(-10.0, 10.0, 2001)
    beyond = np.log(2.0) + norm.logsf(np.sqrt(2.0 * log_a / rho + v**2)) + norm.logpdf(v) + np.log(v[1] - v[0])
    assert abs(logsumexp(beyond) / log_a + 1.0 / rho) < 1e-3
    uniform = 1.0 - np.random.default_rng(14).random(100_000)
    for xi in (0.3, 0.6, 1.0):  # weights u^−ξ have exactly this tail
        assert abs(psis(-xi * np.log(uniform))[1] - xi) < 0.15
        assert np.allclose(pareto_shape(uniform[:90] ** -xi - 1.0), pareto(uniform[:90] ** -xi - 1.0))
        for n in (90, 1000):  # and in small samples k̂ and the weights follow the paper step by step
            log_w, k = psis(-xi * np.log(uniform[:n]))
            weights, by_hand = smoothed(uniform[:n] ** -xi)
            assert np.isclose(k, by_hand)
            assert np.allclose(np.exp(log_w)[np.argsort(-uniform[:n])], weights)
    assert psis(np.zeros(50))[1] == -np.inf  # equal weights have no tail
    underflowed = [pareto_shape(one)[0] for one in (np.zeros(9), np.append(np.zeros(8), 1.0))]
    assert underflowed == [-np.inf, np.inf]  # zeros are taken for excesses that are too small for a double
