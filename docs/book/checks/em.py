"""Checks of the equations of the chapter on latent variables and EM: each computes both sides by different means."""

import functools
import itertools

import numpy as np
import torch
from scipy.integrate import trapezoid
from scipy.optimize import minimize
from scipy.special import log_softmax, logsumexp, softmax
from scipy.stats import entropy, multivariate_normal, norm, sem
from torch import distributions as td

from foldin.data import Histories
from foldin.inference import FactorAnalysis, GaussianMixture, Points, em
from foldin.inference.moments import Moments
from foldin.models import MixtureOfMultinomials, MixtureOfMultinomialsConfig

# The mixture of most checks: forty points on a line, three Gaussians that overlap. z is the component of every point.
N, K = 40, 3
PI, MU, SD = np.array([0.5, 0.3, 0.2]), np.array([-2.0, 0.5, 3.0]), np.array([0.7, 1.2, 0.9])
THETA = PI, MU, SD
X = np.concatenate([np.random.default_rng(0).normal(m, s, n) for m, s, n in zip(MU, SD, (20, 12, 8), strict=True)])
Q = np.random.default_rng(1).dirichlet(np.ones(K), N)  # some q(z): independent over points, and not the posterior
PLANE, WEIGHTS = np.stack([X, X**2 / 4.0], axis=1), np.random.default_rng(13).uniform(0.5, 3.0, N)  # forty in the plane


def log_joint(theta=THETA, x=X):
    """log p(x_n, c_n = k | θ), shape (points, K)."""
    pi, mu, sd = theta
    return np.log(pi) + norm.logpdf(x[:, None], mu, sd)


def log_likelihood(theta=THETA, x=X):
    """log p(x | θ) of all points together."""
    return logsumexp(log_joint(theta, x), axis=1).sum()


def posterior(theta=THETA, x=X):
    """p(c_n = k | x_n, θ), shape (points, K)."""
    return softmax(log_joint(theta, x), axis=1)


def free_energy(q, theta=THETA, x=X):
    """F(q, θ) for a q that is independent over points: E_q[log p(x, z | θ)] + H(q)."""
    return (q * log_joint(theta, x)).sum() + entropy(q, axis=1).sum()


def by_foldin(theta=THETA):
    """The library's mixture with these parameters, without a floor under its variances."""
    pi, mu, sd = theta
    model = GaussianMixture(K, 1, covariance="spherical", floor=0.0)
    model.weights, model.means, model.covariances = pi.copy(), mu[:, None].copy(), sd**2
    return model


def parameters(model):
    """(π, μ, σ) of the library's mixture."""
    return model.weights, model.means[:, 0], np.sqrt(model.covariances)


def stepped(theta=THETA):
    """θ_new by the library: one E-step and one M-step from θ."""
    model = by_foldin(theta)
    model.maximize(model.summarize(Points(X[:, None])))
    return parameters(model)


def in_torch(theta=THETA):
    """(π, μ, σ²) as tensors that autograd can differentiate by."""
    pi, mu, sd = theta
    return [torch.tensor(one, requires_grad=True) for one in (pi, mu, sd**2)]


def free_energy_in_torch(q, pi, mu, variance):
    """F(q, θ) up to H(q), which does not depend on θ."""
    log_p = pi.log() + td.Normal(mu, variance.sqrt()).log_prob(torch.from_numpy(X)[:, None])
    return (torch.from_numpy(q) * log_p).sum()


def components_drawn(q, count, rng):
    """Draws of a component from probabilities q."""
    return rng.choice(K, size=count, p=q)


def close_to(mean_of, value, errors=4.5):
    """Whether the mean of samples is a value, within a number of standard errors, which are small."""
    error = errors * sem(mean_of)
    return abs(mean_of.mean() - value) < error < 1.0


def check_marginal():
    assert np.allclose(np.exp(log_joint()).sum(axis=1), np.exp(by_foldin().log_prob(X[:, None])))
    c = components_drawn(PI, 100_000, np.random.default_rng(2))  # the same sum as a mean over draws from p(z)
    for x in X[::13]:
        assert close_to(norm.pdf(x, MU[c], SD[c]), np.exp(by_foldin().log_prob(x[None, None])[0]))


def check_score():
    pi, mu, variance = in_torch()
    mixture = td.MixtureSameFamily(td.Categorical(pi), td.Normal(mu, variance.sqrt()))
    gradient = torch.autograd.grad(mixture.log_prob(torch.from_numpy(X)).sum(), mu)[0]
    of_each_z = (X[:, None] - MU) / SD**2  # ∂ log p(x_n, c_n = k) / ∂ μ_k; zero for the other components
    assert np.allclose((posterior() * of_each_z).sum(axis=0), gradient)


def check_insert():
    for n in range(3):
        log_p = by_foldin().log_prob(X[[n], None])[0]
        ratios = np.exp(log_joint()[n]) / Q[n]
        assert np.isclose(np.log((Q[n] * ratios).sum()), log_p)
        c = components_drawn(Q[n], 50_000, np.random.default_rng(3))
        assert close_to(ratios[c], np.exp(log_p))  # a Monte Carlo mean of the ratio is an estimate of p(x)


def check_jensen():
    rng = np.random.default_rng(4)
    for n in range(10):
        log_p, log_joint_n = by_foldin().log_prob(X[[n], None])[0], log_joint()[n]
        right = lambda q, log_joint_n=log_joint_n: q @ (log_joint_n - np.log(q))
        assert all(log_p > right(q) for q in rng.dirichlet(np.ones(K), 50))
        assert abs(log_p - right(posterior()[n])) < 1e-9  # the ratio is then the same for all z


def check_free_energy():
    rng, draws = np.random.default_rng(5), 20_000
    ratios = np.zeros(draws)
    for n in range(N):
        c = components_drawn(Q[n], draws, rng)
        ratios += log_joint()[n, c] - np.log(Q[n, c])
    assert close_to(ratios / N, free_energy(Q) / N)


def check_product():
    log_p = by_foldin().log_prob(X[:, None])
    log_posterior = np.log(by_foldin().responsibilities(X[:, None]))
    assert np.isclose((Q * (log_p[:, None] + log_posterior - np.log(Q))).sum(), free_energy(Q))


def check_gap():
    log_p = by_foldin().log_prob(X[:, None]).sum()
    kl = entropy(Q, by_foldin().responsibilities(X[:, None]), axis=1).sum()
    assert kl > 1.0
    assert np.isclose(log_p, free_energy(Q) + kl)


def check_e_step():
    assert np.isclose(free_energy(posterior()), by_foldin().log_prob(X[:, None]).sum())
    for n in range(2):  # the best q of a numerical search is the posterior
        log_p = log_joint()[n]
        loss = lambda free, log_p=log_p: -(softmax(free) * (log_p - log_softmax(free))).sum()
        found = minimize(loss, np.zeros(K), options={"gtol": 1e-6})
        assert np.allclose(softmax(found.x), by_foldin().responsibilities(X[[n], None])[0], atol=1e-4)
        assert abs(-found.fun - by_foldin().log_prob(X[[n], None])[0]) < 1e-8


def check_m_step():
    q = posterior()

    def loss(free):
        pi, mu, variance = torch.from_numpy(free).requires_grad_().view(3, K).unbind()
        return -free_energy_in_torch(q, torch.softmax(pi, 0), mu, variance.exp()).item()

    free = minimize(loss, np.concatenate([np.log(PI), MU, 2.0 * np.log(SD)]), options={"gtol": 1e-5}).x.reshape(3, K)
    pi, mu, sd = stepped()
    assert np.allclose(softmax(free[0]), pi, atol=1e-4)
    assert np.allclose(free[1], mu, atol=1e-4)
    assert np.allclose(np.exp(free[2] / 2.0), sd, atol=1e-4)
    near = functools.partial(np.random.default_rng(12).normal, scale=0.1)
    for _ in range(50):  # no other parameters near it have a larger F
        other = softmax(near(np.log(pi))), near(mu), np.exp(near(np.log(sd)))
        assert free_energy(q, other) < free_energy(q, (pi, mu, sd))


def run_from(means):
    """θ with these means, equal weights and widths of 1, and how EM by the library goes from there."""
    theta = np.full(K, 1.0 / K), np.array(means), np.ones(K)
    return theta, em(by_foldin(theta), lambda: [Points(X[:, None])], iterations=300, tolerance=1e-9)


def check_never_falls():
    theta, run = run_from([-1.0, 0.0, 1.0])
    bounds = run.lower_bounds  # log p(x | θ) before each iteration
    for at in range(10):
        q, new = posterior(theta), stepped(theta)
        chain = [log_likelihood(theta), free_energy(q, theta), free_energy(q, new), log_likelihood(new)]
        links = np.diff(chain)  # an equality, what this M-step gains, what the next E-step gains
        assert np.isclose(chain[0], bounds[at])
        assert abs(links[0]) < 1e-9
        assert (links > -1e-9).all()
        assert at > 0 or (links > 0.5).tolist() == [False, True, True]
        theta = new
    rises = np.diff(bounds) / N
    assert (rises < 1e-9).tolist() == [False] * (len(rises) - 1) + [
        True
    ]  # the run ends with the first that is so small
    assert (run.converged, run.falls) == (True, ())
    elsewhere = run_from([-3.0, -1.0, 1.0])[1].lower_bounds
    assert [round(max(one), 2) for one in (bounds, elsewhere)] == [-77.57, -77.90]  # it need not be the highest maximum
    assert (np.diff(elsewhere) > -1e-9).all()


def check_gaussian_mixture():
    mixture = td.MixtureSameFamily(td.Categorical(torch.from_numpy(PI)), td.Normal(*map(torch.from_numpy, (MU, SD))))
    assert np.allclose(by_foldin().log_prob(X[:, None]), mixture.log_prob(torch.from_numpy(X)))
    plane = GaussianMixture(K, 2, covariance="spherical", floor=0.0)  # with one σ_k for both coordinates
    plane.weights, plane.means, plane.covariances = PI, np.stack([MU, MU[::-1]], axis=1), SD**2
    each = norm.logpdf(PLANE[:, None], plane.means, SD[:, None]).sum(axis=2)
    assert np.allclose(plane.log_prob(PLANE), logsumexp(np.log(PI) + each, axis=1))
    rng = np.random.default_rng(6)
    c = components_drawn(PI, 100_000, rng)  # first the component, then the point
    x = rng.normal(MU[c], SD[c])
    grid = np.linspace(-10.0, 1.0, 2001)
    below_one = trapezoid(np.exp(by_foldin().log_prob(grid[:, None])), grid)
    assert close_to((x < 1.0).astype(float), below_one)


def check_responsibility():
    densities = PI * norm.pdf(X[:, None], MU, SD)
    r = by_foldin().responsibilities(X[:, None])
    assert np.allclose(r, densities / densities.sum(axis=1, keepdims=True))
    rng = np.random.default_rng(7)
    c = components_drawn(PI, 100_000, rng)
    x = rng.normal(MU[c], SD[c])
    near = abs(x) < 1.0  # among points in a region, the share that came from k is the mean of r_k there
    for k in range(K):
        assert close_to((c[near] == k) - by_foldin().responsibilities(x[near, None])[:, k], 0.0)


def check_expected():
    x, r = X[:5], posterior()[:5]
    by_formula = np.log(PI) - 0.5 * np.log(2.0 * np.pi * SD**2) - (x[:, None] - MU) ** 2 / (2.0 * SD**2)
    total = 0.0
    for z in itertools.product(range(K), repeat=5):  # all 243 ways to give each of five points a component
        of_points = np.arange(5), np.array(z)
        total += r[of_points].prod() * log_joint(x=x)[of_points].sum()
    assert np.isclose((r * by_formula).sum(), total)


def check_mean():
    r, (pi, mu, variance) = posterior(), in_torch()
    gradient = torch.autograd.grad(free_energy_in_torch(r, pi, mu, variance), mu)[0]
    assert np.allclose((r * (X[:, None] - MU) / SD**2).sum(axis=0), gradient)
    assert np.allclose((r * X[:, None]).sum(axis=0) / r.sum(axis=0), stepped()[1])


def check_variance():
    r, (pi, mu, variance) = posterior(), in_torch()
    gradient = torch.autograd.grad(free_energy_in_torch(r, pi, mu, variance), variance)[0]
    squares = (X[:, None] - MU) ** 2
    assert np.allclose((r * (squares / (2.0 * SD**4) - 1.0 / (2.0 * SD**2))).sum(axis=0), gradient)
    new = stepped()
    assert np.allclose((r * (X[:, None] - new[1]) ** 2).sum(axis=0) / r.sum(axis=0), new[2] ** 2)
    for floor, value in (
        (0.0, PLANE.var(axis=0).mean()),
        (50.0, 50.0),
    ):  # one σ² for both coordinates, not below the floor
        model = GaussianMixture(1, 2, covariance="spherical", floor=floor)
        model.maximize(model.summarize(Points(PLANE)))
        assert np.allclose(model.covariances, value)


def check_weights():
    r = posterior()
    pi, mu, variance = in_torch()
    multiplier = 7.0  # any λ: the derivative is checked away from the solution
    lagrangian = free_energy_in_torch(r, pi, mu, variance) + multiplier * (1.0 - pi.sum())
    assert np.allclose(r.sum(axis=0) / PI - multiplier, torch.autograd.grad(lagrangian, pi)[0])
    solution = r.mean(axis=0)
    assert np.allclose(r.sum(axis=0) / solution - N, 0.0)
    assert np.allclose(solution, stepped()[0])
    for other in np.random.default_rng(8).dirichlet(N * solution, 200):
        assert free_energy(r, (other, MU, SD)) < free_energy(r, (solution, MU, SD))


def check_multinomials():
    train = Histories.from_lists([[0, 1, 1], [0, 1], [2, 3, 3, 3], [3, 1], [2, 2], [0]], 4)
    model = MixtureOfMultinomials(4, MixtureOfMultinomialsConfig(n_components=2, precision="double"))
    model.trainer(train).begin(train, torch.Generator().manual_seed(0))
    x, a = np.stack([np.bincount(train.of(u), minlength=4) for u in range(6)]), model.pseudo.numpy()
    pi, theta = model.log_class.exp().numpy(), model.log_items.exp().numpy().T
    joint = pi * (theta ** x[:, None, :]).prod(axis=2)
    r = joint / joint.sum(axis=1, keepdims=True)
    assert np.allclose(r, model.class_shares(train))
    sums = model.summarize(train).sums
    assert np.allclose(np.column_stack([sums["classes"], sums["items"].T]), r.T @ np.column_stack([np.ones(6), x]))
    # It is the maximum of E_q[log p(x, z | θ)] plus the log prior, Σ_i a_i log θ_ki for each class.
    value = lambda theta: (r.T @ x * np.log(theta)).sum() + (a * np.log(theta)).sum()
    before = em(model, lambda: [train], iterations=1).lower_bounds[0]  # the library's bound has the log prior too
    assert np.isclose(before, np.log(joint.sum(axis=1)).sum() + (a * np.log(theta)).sum())
    counts = a + r.T @ x
    solution = counts / counts.sum(axis=1, keepdims=True)
    assert np.allclose(solution, model.log_items.exp().T)
    assert np.allclose(r.mean(axis=0), model.log_class.exp())
    best = minimize(lambda free: -value(softmax(free.reshape(2, 4), axis=1)), np.zeros(8), options={"gtol": 1e-6})
    assert np.allclose(softmax(best.x.reshape(2, 4), axis=1), solution, atol=1e-4)


def check_statistics():
    model, r = by_foldin(), posterior()
    first, second = (model.summarize(Points(part[:, None])) for part in (X[:15], X[15:]))
    merged = first.merge(second)
    moments = merged.sums["moments"]  # weight, mean and scatter about the mean: the three sums follow from them
    squares = moments.scatter[:, 0] + moments.weight * moments.mean[:, 0] ** 2
    assert np.allclose(moments.weight, r.sum(axis=0))
    assert np.allclose(moments.weight * moments.mean[:, 0], r.T @ X)
    assert np.allclose(squares, r.T @ X**2)
    model.maximize(merged)
    assert np.allclose(parameters(model), stepped())
    # So it is for weighted points in the plane, and 10⁹ away from the origin, where sums of squares would lose all digits.
    scatter = WEIGHTS.sum() * np.cov(PLANE.T, aweights=WEIGHTS, ddof=0)
    for away, squares in itertools.product((0.0, 1e9), (False, True)):
        parts = [Moments.of(PLANE[part] + away, WEIGHTS[part], squares=squares) for part in (slice(15), slice(15, N))]
        for both in (parts[0] + parts[1], parts[1] + parts[0]):
            assert np.isclose(both.weight[0], WEIGHTS.sum())
            assert np.allclose(both.mean[0] - away, np.average(PLANE, axis=0, weights=WEIGHTS))
            assert np.allclose(both.scatter[0], scatter.diagonal() if squares else scatter)


# Factor analysis: four coordinates, two factors.
LOADINGS = np.random.default_rng(10).normal(0.0, 1.0, (4, 2))
CENTER, PSI = np.array([1.0, -1.0, 0.5, 2.0]), np.diag([0.5, 0.8, 1.1, 0.4])


@functools.cache
def factors_by_foldin():
    """The library's factor analysis with these parameters."""
    model = FactorAnalysis(2, 4)
    model.loadings, model.mean, model.noise = LOADINGS, CENTER, np.diag(PSI)
    return model


def check_factor_analysis():
    covariance = LOADINGS @ LOADINGS.T + PSI
    rng = np.random.default_rng(11)
    x = rng.normal(rng.standard_normal((50_000, 2)) @ LOADINGS.T + CENTER, np.sqrt(PSI.diagonal()))
    away = x - CENTER
    for i, j in itertools.product(range(4), repeat=2):
        assert close_to(away[:, i] * away[:, j], covariance[i, j])
    assert np.allclose(factors_by_foldin().log_prob(x[:9]), multivariate_normal(CENTER, covariance).logpdf(x[:9]))


def check_posterior_mean():
    inverse = np.linalg.inv(PSI)
    x = np.array([0.3, 0.2, -0.5, 1.0])
    by_formula = np.linalg.inv(np.eye(2) + LOADINGS.T @ inverse @ LOADINGS) @ LOADINGS.T @ inverse @ (x - CENTER)
    axis = np.linspace(-7.0, 7.0, 141)  # by quadrature over z: p(z | x) ∝ p(z) p(x | z)
    z = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    log_p = norm.logpdf(z).sum(axis=1) + norm.logpdf(x, z @ LOADINGS.T + CENTER, np.sqrt(np.diag(PSI))).sum(axis=1)
    assert np.allclose(by_formula, softmax(log_p) @ z, atol=1e-6)
    assert np.allclose(by_formula, factors_by_foldin().posterior(x[None])[0][0])


# For the speed of EM only one parameter is unknown: θ, the mean of the first component.
def with_mean(theta):
    """The parameters with θ as the first mean."""
    return PI, np.array([theta, *MU[1:]]), SD


def complete_and_missing(theta):
    """(I_com, I_mis) of all points: expectation and variance over the component of each point."""
    r, score = posterior(with_mean(theta))[:, 0], (X - theta) / SD[0] ** 2
    return (r / SD[0] ** 2).sum(), (r * score**2 - (r * score) ** 2).sum()


def one_step(theta):
    """θ_new: the weighted mean, by the E-step at θ_old = θ."""
    r = posterior(with_mean(theta))[:, 0]
    return (r @ X) / r.sum()


@functools.cache
def highest():
    """θ̂, the maximum of the likelihood, by a search that does not use EM."""
    loss = lambda theta: -log_likelihood(with_mean(theta[0]))
    return float(minimize(loss, np.array([-2.0]), method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-13}).x[0])


def observed(theta):
    """I_obs by autograd, twice."""
    free = torch.tensor(theta, dtype=torch.float64, requires_grad=True)
    means = torch.cat([free[None], torch.from_numpy(MU[1:])])
    mixture = td.MixtureSameFamily(td.Categorical(torch.from_numpy(PI)), td.Normal(means, torch.from_numpy(SD)))
    first = torch.autograd.grad(mixture.log_prob(torch.from_numpy(X)).sum(), free, create_graph=True)[0]
    return -torch.autograd.grad(first, free)[0].item()


def check_information():
    for theta in (-3.0, -2.0, -0.5, highest()):
        complete, missing = complete_and_missing(theta)
        assert np.isclose(complete, observed(theta) + missing)


def missing_share(distance):
    """The share of missing information about the weight ½ of two known Gaussians of width 1, by quadrature over x."""
    x = np.linspace(-12.0, 12.0, 4001)
    first, second = norm.pdf(x, -distance / 2.0), norm.pdf(x, distance / 2.0)
    # For each point I_obs = ((first − second) / p(x))² and I_com = 1 / (½ · ½).
    return 1.0 - trapezoid((first - second) ** 2 / (0.5 * first + 0.5 * second), x) / 4.0


def check_rate():
    complete, missing = complete_and_missing(highest())
    share = missing / complete
    assert abs(1.0 - observed(highest()) / complete - share) < 1e-5
    slope = (one_step(highest() + 1e-3) - one_step(highest() - 1e-3)) / 2e-3
    assert abs(slope - share) < 1e-4
    theta = highest() + 0.01  # and a run of EM comes nearer by that factor in each step
    for _ in range(3):
        theta, before = one_step(theta), theta
        assert abs((theta - highest()) / (before - highest()) - share) < 0.01
    assert 0.05 < share < 0.95
    assert [round(missing_share(distance), 2) for distance in (1.0, 2.0, 4.0)] == [0.80, 0.45, 0.07]  # as in the text
