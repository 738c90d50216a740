"""Checks of the equations of the chapter on the decomposition of the KL term: each computes both sides by different means."""

import functools
import itertools

import numpy as np
import torch
from scipy.special import logsumexp
from scipy.stats import multivariate_normal, norm

from foldin.inference import aggregate_log_density, decompose_kl

# The encoder of all checks: five users, each with a Gaussian q(z | x_n) in two dimensions; the prior is N(0, I).
rng = np.random.default_rng(0)
N, D = 5, 2
MU, SD = rng.normal(0.0, 1.2, (N, D)), rng.uniform(0.3, 0.8, (N, D))
NEAR = MU + 0.2  # a point near each mean

# A grid for quadrature: an integral is the sum of the values times the area of a cell.
AXIS = np.linspace(-8.0, 8.0, 161)
STEP = AXIS[1] - AXIS[0]
GRID = np.stack(np.meshgrid(AXIS, AXIS, indexing="ij"), axis=-1).reshape(-1, D)


def log_q_given(z, mu=MU):
    """log q(z | x_n), shape (points, N)."""
    return norm.logpdf(z[:, None, :], mu, SD).sum(axis=2)


def log_q(z, mu=MU):
    """log q(z) of the aggregate."""
    return logsumexp(log_q_given(z, mu), axis=1) - np.log(N)


def log_q_of(j, z):
    """log q(z_j) of one dimension of the aggregate."""
    return logsumexp(norm.logpdf(z[:, None], MU[:, j], SD[:, j]), axis=1) - np.log(N)


def log_p(z):
    return norm.logpdf(z).sum(axis=1)


def kl_in_closed_form():
    """The mean KL by the formula for Gaussians."""
    return 0.5 * (MU**2 + SD**2 - 1.0 - 2.0 * np.log(SD)).sum(axis=1).mean()


def entropy_given():
    """Mean entropy of q(z | x_n) in closed form."""
    return (0.5 * np.log(2.0 * np.pi * np.e) + np.log(SD)).sum(axis=1).mean()


def entropy(mu=MU):
    """Entropy of q(z) by quadrature."""
    return -(np.exp(log_q(GRID, mu)) * log_q(GRID, mu)).sum() * STEP**2


def entropy_of(j):
    """Entropy of q(z_j) by quadrature."""
    return -(np.exp(log_q_of(j, AXIS)) * log_q_of(j, AXIS)).sum() * STEP


def kl_of_dimension(j):
    """KL(q(z_j) ‖ p(z_j)) by quadrature."""
    return (np.exp(log_q_of(j, AXIS)) * (log_q_of(j, AXIS) - norm.logpdf(AXIS))).sum() * STEP


def draws(n):
    """Draws (user, z) from q(n, z)."""
    users = rng.integers(N, size=n)
    return users, rng.normal(MU[users], SD[users])


def close_to(mean_of, value, errors=4.5):
    """Whether the mean of samples is a value, within a number of standard errors, which are small."""
    error = errors * mean_of.std() / len(mean_of) ** 0.5
    return abs(mean_of.mean() - value) < error < 0.1


@functools.cache
def by_foldin():
    """The decomposition by the library, from a thousand draws of z for each user."""
    generator = torch.Generator().manual_seed(0)
    return decompose_kl(torch.from_numpy(MU), torch.from_numpy(2.0 * np.log(SD)), generator, draws=1000)


def check_mean():
    assert abs(by_foldin().kl - kl_in_closed_form()) < 0.1
    # From two draws for each user, term by term, with the same noise once more.
    found = decompose_kl(*map(torch.from_numpy, (MU, 2.0 * np.log(SD))), torch.Generator().manual_seed(1), draws=2)
    generator, terms = torch.Generator().manual_seed(1), []
    for _ in range(2):
        z = MU + SD * torch.randn((N, D), generator=generator, dtype=torch.float64).numpy()
        marginals = [log_q_of(j, z[:, j]) for j in range(D)]
        terms.append(
            [
                (log_q_given(z).diagonal() - log_q(z)).mean(),
                (log_q(z) - sum(marginals)).mean(),
                *((marginals[j] - norm.logpdf(z[:, j])).mean() for j in range(D)),
                (log_q_given(z).diagonal() - log_p(z)).mean(),
            ]
        )
    by_library = found.mutual_information, found.total_correlation, *found.dimension_wise, found.kl
    assert np.allclose(np.mean(terms, axis=0), by_library)


def check_joint():
    total = sum(np.exp(log_q_given(GRID)[:, n]).sum() * STEP**2 / N for n in range(N))
    assert abs(total - 1.0) < 1e-8


def check_aggregate():
    mu, logvar = torch.from_numpy(MU), torch.from_numpy(2.0 * np.log(SD))
    z = torch.from_numpy(NEAR)
    found, of_dimensions = aggregate_log_density(z, mu, logvar)
    by_scipy = [
        np.mean([multivariate_normal(MU[n], np.diag(SD[n] ** 2)).pdf(one) for n in range(N)]) for one in z.numpy()
    ]
    assert np.allclose(found.exp(), by_scipy)
    assert np.allclose(of_dimensions[:, 1], log_q_of(1, z.numpy()[:, 1]))


def check_one_expectation():
    users, z = draws(200_000)
    values = log_q_given(z)[np.arange(len(z)), users] - log_p(z)
    assert close_to(values, kl_in_closed_form())


def check_insert():
    weights = np.exp(log_q_given(GRID)) / N * STEP**2  # of q(n, z), shape (points, N)
    first = (weights * (log_q_given(GRID) - log_q(GRID)[:, None])).sum()
    second = (weights * (log_q(GRID) - log_p(GRID))[:, None]).sum()
    assert abs(first + second - kl_in_closed_form()) < 1e-6


def check_information():
    users, z = draws(200_000)
    values = log_q_given(z)[np.arange(len(z)), users] - log_q(z)
    assert close_to(values, entropy() - entropy_given())  # I(n; z) = H(z) − H(z | n)


def check_marginalize():
    _, z = draws(200_000)
    by_quadrature = (np.exp(log_q(GRID)) * (log_q(GRID) - log_p(GRID))).sum() * STEP**2
    assert close_to(log_q(z) - log_p(z), by_quadrature)


def check_surgery():
    information = entropy() - entropy_given()
    marginal = (np.exp(log_q(GRID)) * (log_q(GRID) - log_p(GRID))).sum() * STEP**2
    assert abs(information + marginal - kl_in_closed_form()) < 1e-6


def check_own_share():
    assert (log_q(GRID)[:, None] - log_q_given(GRID) + np.log(N) > -1e-12).all()


def check_log_n():
    assert 0.0 < entropy() - entropy_given() < np.log(N)
    far_apart = 4.5 * np.array([[-1, -1], [-1, 1], [0, 0], [1, -1], [1, 1]])
    assert abs(entropy(far_apart) - entropy_given() - np.log(N)) < 0.001  # z says which user it was
    alike = np.zeros((N, D))
    assert 0.0 < entropy(alike) - entropy_given() < 0.2  # z says little, through the widths alone


def check_factorized_prior():
    assert np.allclose(multivariate_normal(np.zeros(D), np.eye(D)).logpdf(GRID), log_p(GRID))


def check_total_correlation():
    product = sum(log_q_of(j, GRID[:, j]) for j in range(D))
    by_quadrature = (np.exp(log_q(GRID)) * (log_q(GRID) - product)).sum() * STEP**2
    assert abs(by_foldin().total_correlation - by_quadrature) < 0.1


def check_insert_marginals():
    marginal = (np.exp(log_q(GRID)) * (log_q(GRID) - log_p(GRID))).sum() * STEP**2
    correlation = sum(entropy_of(j) for j in range(D)) - entropy()
    assert abs(correlation + sum(kl_of_dimension(j) for j in range(D)) - marginal) < 1e-6


def check_each_dimension():
    ratios = sum(log_q_of(j, GRID[:, j]) - norm.logpdf(GRID[:, j]) for j in range(D))
    in_two_dimensions = (np.exp(log_q(GRID)) * ratios).sum() * STEP**2
    assert abs(in_two_dimensions - sum(kl_of_dimension(j) for j in range(D))) < 1e-6


def check_three_terms():
    information = entropy() - entropy_given()
    correlation = sum(entropy_of(j) for j in range(D)) - entropy()
    dimensions = sum(kl_of_dimension(j) for j in range(D))
    assert abs(information + correlation + dimensions - kl_in_closed_form()) < 1e-6
    found = by_foldin()
    assert abs(found.mutual_information - information) < 0.1
    assert abs(found.mutual_information + found.marginal_kl - found.kl) < 1e-9


# A decoder of one number, p(x | z) = N(x; w·z, 1), and the numbers of the five users.
W, X = np.array([1.0, -0.5]), np.array([0.3, -1.0, 2.0, 0.0, 1.5])


def expected_log_likelihood():
    """E log p(x_n | z) under q(n, z), in closed form."""
    off = (X - MU @ W) ** 2 + (SD**2) @ W**2
    return (-0.5 * np.log(2.0 * np.pi) - 0.5 * off).mean()


def check_elbo():
    users, z = draws(400_000)
    elbos = norm.logpdf(X[users], z @ W) + log_p(z) - log_q_given(z)[np.arange(len(z)), users]
    information = entropy() - entropy_given()
    marginal = (np.exp(log_q(GRID)) * (log_q(GRID) - log_p(GRID))).sum() * STEP**2
    assert close_to(elbos, expected_log_likelihood() - information - marginal)


def check_best_prior():
    information = entropy() - entropy_given()
    users, z = draws(200_000)
    given = log_q_given(z)[np.arange(len(z)), users]
    squares = (MU**2 + SD**2).sum(axis=1).mean()  # E ‖z‖²
    for scale in (0.8, 1.2, 2.0):  # priors N(0, scale² I)
        kl = -entropy_given() + 0.5 * D * np.log(2.0 * np.pi * scale**2) + squares / (2.0 * scale**2)
        assert close_to(given - norm.logpdf(z, scale=scale).sum(axis=1), kl)
        assert kl > information
    assert close_to(given - log_q(z), information)  # the aggregate as the prior


def check_weights():
    weights, found = np.array([0.5, 4.0, 1.5]), by_foldin()  # α, β and γ
    by_library = found.mutual_information, found.total_correlation, float(found.dimension_wise.sum())
    information, correlation = entropy() - entropy_given(), sum(entropy_of(j) for j in range(D)) - entropy()
    by_quadrature = information, correlation, sum(kl_of_dimension(j) for j in range(D))
    assert abs(weights @ np.subtract(by_library, by_quadrature)) < 0.05  # the objectives differ by no more


def stratified(n, others, z):
    """q̂(z) from a batch of user n and others."""
    own, rest = np.exp(log_q_given(z)[:, n]), np.exp(log_q_given(z)[:, list(others)]).sum(axis=1)
    return own / N + (N - 1) / (N * len(others)) * rest


def check_stratified():
    batch = [0, 2, 3]
    mu, logvar = torch.from_numpy(MU[batch]), torch.from_numpy(2.0 * np.log(SD[batch]))
    z = torch.from_numpy(NEAR[batch])
    found, _ = aggregate_log_density(z, mu, logvar, users=N, method="stratified")
    assert np.allclose(found[0].exp(), stratified(0, [2, 3], z.numpy()[:1]))


def check_unbiased():
    z = NEAR
    for n in range(N):
        others = [one for one in range(N) if one != n]
        batches = [stratified(n, chosen, z) for chosen in itertools.combinations(others, 2)]
        assert np.allclose(np.mean(batches, axis=0), np.exp(log_q(z)))


def check_jensen():
    z = NEAR
    for n in range(N):
        others = [one for one in range(N) if one != n]
        logs = [np.log(stratified(n, chosen, z)) for chosen in itertools.combinations(others, 2)]
        gap = log_q(z) - np.mean(logs, axis=0)
        assert (gap > 0.0).all()
        assert gap[n] < 0.2  # it is small at draws of the user, whose density is always in the estimate
