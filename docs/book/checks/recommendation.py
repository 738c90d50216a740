"""Checks of the equations of the chapter on recommendation: each computes both sides by different means."""

import functools
import itertools
import math

import numpy as np
import torch
from scipy.optimize import minimize, minimize_scalar
from scipy.special import log_softmax, logsumexp, softmax
from scipy.stats import multinomial, norm

from foldin.data import Histories
from foldin.evaluation import hit_rate, ndcg, recall, recall_all
from foldin.inference import gaussian_kl, log_normal, reparameterize
from foldin.kernels import multinomial_log_likelihood, softmax_cross_entropy
from foldin.models import (
    ALS,
    EASE,
    ALSConfig,
    EASEConfig,
    MultVAE,
    MultVAEConfig,
    PopularNegatives,
    RecVAE,
    RecVAEConfig,
    SampledSoftmax,
)
from foldin.models.sequential._losses import binary_loss, calibration
from foldin.models.sequential.losses import Predicted
from foldin.nn import attend
from foldin.training import RisingOverShare, Step, fit

# A log of forty users over six items, as a matrix of zeros and ones and as histories.
ITEMS, PENALTY = 6, 2.0
X = (np.random.default_rng(0).random((40, ITEMS)) < [0.7, 0.5, 0.5, 0.4, 0.3, 0.2]).astype(float)
LOG = Histories.from_lists([np.flatnonzero(user) for user in X], ITEMS)

# One softmax over five items: scores, the probability of being the next item, and that of being drawn as a negative.
SCORES = np.array([0.5, -1.0, 1.2, 0.0, -0.4])
NEXT = np.array([0.40, 0.25, 0.20, 0.10, 0.05])
NEGATIVE = np.array([0.15, 0.30, 0.20, 0.25, 0.10])


def close_to(mean_of, value, errors=4.5):
    """Whether the mean of samples is a value, within a number of standard errors, which are small."""
    error = errors * np.std(mean_of) / len(mean_of) ** 0.5
    return abs(np.mean(mean_of) - value) < error < 0.1


def check_multinomial():
    history, logits = [3, 0, 3, 2], torch.tensor([[0.2, -1.0, 0.7, 1.1]], dtype=torch.float64)
    counts = np.bincount(history, minlength=4)
    share = np.exp(logits[0].numpy()) / np.exp(logits[0].numpy()).sum()
    constant = math.log(math.factorial(len(history)) / math.prod(math.factorial(one) for one in counts))
    by_foldin = multinomial_log_likelihood(logits, torch.tensor(history), torch.tensor([0, len(history)]))
    assert np.isclose(constant + float(by_foldin), multinomial(len(history), share).logpmf(counts))


# What users are shown, and what they click if they see it: the second item is the best liked, and hardly ever shown.
SEEN, LIKED = np.array([0.50, 0.02, 0.20]), np.array([0.10, 0.50, 0.15])


def check_exposure():
    rng = np.random.default_rng(1)
    seen = rng.random((200_000, 3)) < SEEN
    clicked = seen & (rng.random((200_000, 3)) < LIKED)  # nobody clicks what is not there
    for i in range(3):
        assert close_to(clicked[:, i], SEEN[i] * LIKED[i])


def check_clicks_alone():
    clicks = SEEN * LIKED
    found = minimize(lambda f: -(clicks @ log_softmax(f)), np.zeros(3), tol=1e-12).x  # the likelihood, at its maximum
    assert np.allclose(softmax(found), SEEN * LIKED / (SEEN * LIKED).sum(), atol=1e-4)
    assert found.argmax() == 0
    assert LIKED.argmax() == 1  # the most likely click is not the best-liked item


def check_fold_in():
    slope, offset = np.array([1.5, 0.0, -1.5]), np.array([0.0, 0.5, 0.0])
    rng = np.random.default_rng(2)
    z = rng.standard_normal(200_000)
    edges = softmax(z[:, None] * slope + offset, axis=1).cumsum(axis=1)[:, None, :2]
    events = (rng.random((200_000, 3, 1)) > edges).sum(axis=2)  # three draws from π(z) for each user
    after_two = events[(events[:, 0] == 0) & (events[:, 1] == 0), 2]
    axis = np.linspace(-8.0, 8.0, 1001)
    shares = softmax(axis[:, None] * slope + offset, axis=1)
    posterior = norm.pdf(axis) * shares[:, 0] ** 2  # p(z) p(x | z), for a history of item 0 twice
    posterior /= posterior.sum()
    for i in range(3):
        assert close_to(after_two == i, posterior @ shares[:, i])
    before = norm.pdf(axis) @ shares[:, 0] / norm.pdf(axis).sum()
    assert close_to(events[:, 2] == 0, before)
    assert posterior @ shares[:, 0] / before > 1.2  # without the history it is another probability


@torch.no_grad()
def moved(model, seed, by=1.0):
    """Move all parameters of a model away from their initial values, which make all users nearly alike."""
    generator = torch.Generator().manual_seed(seed)
    for one in model.tensors().values():
        one.add_(torch.randn(one.shape, generator=generator), alpha=by)


def check_multvae():
    beta, user = 0.3, Histories.from_lists([[0, 2, 5]], ITEMS)
    settings = MultVAEConfig(
        hidden_dims=(), latent_dim=1, dropout=0.0, beta=beta, beta_schedule=RisingOverShare(share=0.0)
    )
    model = MultVAE(ITEMS, settings, seed=3)
    moved(model, 3)
    with torch.no_grad():
        mu, logvar = (float(one) for one in model.posterior(user))
        axis = np.linspace(mu - 30.0, mu + 30.0, 4001)
        logs = model.decode(torch.from_numpy(axis[:, None]).float()).log_softmax(1)[:, [0, 2, 5]].sum(1).numpy()
        copies = Histories.from_lists([[0, 2, 5] for _ in range(20_000)], ITEMS)  # each of them draws its own z
        found = model.trainer(copies).loss(copies, Step(1, 1), torch.Generator().manual_seed(4))
    q = norm(mu, math.exp(0.5 * logvar))
    weights = q.pdf(axis) * (axis[1] - axis[0])
    kl = weights @ (q.logpdf(axis) - norm.logpdf(axis))
    expected_log = weights @ logs
    error = 4.5 * (weights @ (logs - expected_log) ** 2 / len(copies)) ** 0.5
    drawn = float(found.terms["reconstruction"])
    assert abs(drawn - expected_log) < error < 0.1
    assert kl > 0.1
    assert np.isclose(-float(found.value), drawn - beta * kl, atol=1e-4)


def check_recvae_prior():
    user = Histories.from_lists([[1, 4]], ITEMS)
    model = RecVAE(ITEMS, RecVAEConfig(hidden_dim=4, latent_dim=2, n_layers=2), seed=5)
    moved(model, 5, by=0.5)
    with torch.no_grad():
        mu, logvar = model.posterior(user)
        z = reparameterize(mu.expand(20_000, 2), logvar.expand(20_000, 2), torch.Generator().manual_seed(6))
        found = model.log_prior(z, user)
        one_draw = log_normal(z, mu, logvar) - found  # whose mean is the KL
        old, q = ([part.numpy()[0] for part in of(user)] for of in (model.frozen_posterior, model.posterior))

    def density(z, j):
        from_old = norm.pdf(z, old[0][j], np.exp(0.5 * old[1][j]))
        return 0.15 * norm.pdf(z) + 0.75 * from_old + 0.10 * norm.pdf(z, scale=np.exp(10.0) ** 0.5)

    by_scipy = sum(np.log(density(z.numpy()[:, j], j)) for j in range(2))
    assert np.allclose(found.numpy(), by_scipy, rtol=1e-4, atol=1e-4)
    axis, kl = np.linspace(-40.0, 40.0, 8001), 0.0
    for j in range(2):
        own = norm(q[0][j], np.exp(0.5 * q[1][j]))
        kl += (own.pdf(axis) * (own.logpdf(axis) - np.log(density(axis, j)))).sum() * (axis[1] - axis[0])
    assert close_to(one_draw.numpy(), kl)
    assert not close_to(one_draw.numpy(), float(gaussian_kl(mu, logvar)))  # the closed form is that of another prior


@functools.cache
def regressions():
    """B by least squares, one item at a time on all the others, under the ridge penalty."""
    found = np.zeros((ITEMS, ITEMS))
    for item in range(ITEMS):
        others = [one for one in range(ITEMS) if one != item]
        rows = np.concatenate((X[:, others], PENALTY**0.5 * np.eye(ITEMS - 1)))
        wanted = np.concatenate((X[:, item], np.zeros(ITEMS - 1)))
        found[others, item] = np.linalg.lstsq(rows, wanted, rcond=None)[0]
    return found


@functools.cache
def multipliers():
    """λ̃ of each item: the slope of the error, halved, along the entry of the diagonal that is held at zero."""
    return (X.T @ (X - X @ regressions())).diagonal().copy()


def lagrangian(B, of=None):
    off, held = torch.from_numpy(X) - torch.from_numpy(X) @ B, torch.from_numpy(multipliers() if of is None else of)
    return off.square().sum() + PENALTY * B.square().sum() + 2.0 * (held * B.diagonal()).sum()


def check_ease_lagrangian():
    model = EASE(ITEMS, EASEConfig(regularization=PENALTY))
    fit(model, LOG)
    assert (model.weights.diagonal() == 0.0).all()
    B = model.weights.double().clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(lagrangian(B), B)
    assert gradient.abs().max() < 1e-4  # foldin's weights are where the Lagrangian is flat
    (gradient,) = torch.autograd.grad(lagrangian(B, np.zeros(ITEMS)), B)
    assert gradient.abs().max() > 1.0  # without multipliers it is not flat there


def check_ease_gradient():
    B = torch.from_numpy(np.random.default_rng(7).normal(size=(ITEMS, ITEMS))).requires_grad_(True)
    (gradient,) = torch.autograd.grad(lagrangian(B), B)
    left, right = (X.T @ X + PENALTY * np.eye(ITEMS)) @ B.detach().numpy(), X.T @ X - np.diag(multipliers())
    assert np.allclose(gradient.numpy(), 2.0 * (left - right))
    assert np.allclose((X.T @ X + PENALTY * np.eye(ITEMS)) @ regressions(), right)


@functools.cache
def inverse():
    """P."""
    return np.linalg.inv(X.T @ X + PENALTY * np.eye(ITEMS))


def check_ease_inverse():
    assert np.allclose(np.eye(ITEMS) - inverse() @ np.diag(PENALTY + multipliers()), regressions())


def check_ease():
    P = inverse()
    B = np.eye(ITEMS) - P @ np.diag(1.0 / P.diagonal())
    assert np.allclose(B, regressions())
    assert np.isclose(B[1, 4], -P[1, 4] / P[4, 4])
    model = EASE(ITEMS, EASEConfig(regularization=PENALTY))
    fit(model, LOG)
    assert np.allclose(B, model.weights.numpy(), atol=1e-5)
    # The column of an item has the weights of its mean given the others, under a Gaussian with covariance P⁻¹.
    covariance, others = np.linalg.inv(P), [0, 1, 2, 3, 5]
    assert np.allclose(
        np.linalg.solve(covariance[np.ix_(others, others)], covariance[others, 4]), regressions()[others, 4]
    )


def check_als():
    rng, penalty, confidence = np.random.default_rng(8), 0.7, 5.0
    Y, x = rng.normal(size=(ITEMS, 3)), X[0]
    w, taken = np.ones(ITEMS), np.flatnonzero(x)
    w[taken] = confidence * np.linspace(
        0.5, 1.0, len(taken)
    )  # for the oldest event half of the confidence of the newest
    by_descent = minimize(lambda z: w @ (x - Y @ z) ** 2 + penalty * z @ z, np.zeros(3), tol=1e-10).x
    by_formula = np.linalg.inv(Y.T @ np.diag(w) @ Y + penalty * np.eye(3)) @ Y.T @ np.diag(w) @ x
    assert np.allclose(by_descent, by_formula, atol=1e-5)
    model = ALS(ITEMS, ALSConfig(embedding_dim=3, regularization=penalty, confidence=confidence, oldest=0.5))
    model.item_factors.copy_(torch.from_numpy(Y))
    assert np.allclose(model.fold_in(LOG.rows(0, 1)).numpy()[0], by_formula, atol=1e-5)


def check_attention():
    rng, length, width = np.random.default_rng(9), 5, 4
    Q, K, V = rng.normal(size=(3, length, width))
    one_by_one = np.zeros((length, width))
    for t in range(length):  # a position with itself and the earlier ones
        weights = np.exp([Q[t] @ K[s] / width**0.5 for s in range(t + 1)])
        one_by_one[t] = sum(weights[s] * V[s] for s in range(t + 1)) / weights.sum()
    mask = np.triu(np.full((length, length), -np.inf), 1)
    assert np.allclose(softmax(Q @ K.T / width**0.5 + mask, axis=1) @ V, one_by_one)
    q, k, v = (torch.from_numpy(one)[None, None] for one in (Q, K, V))
    assert np.allclose(attend(q, k, v)[0, 0].numpy(), one_by_one)


def check_softmax_gradient():
    y, scores = 3, torch.from_numpy(SCORES)[None].requires_grad_(True)
    softmax_cross_entropy(scores, torch.eye(5, dtype=torch.float64), torch.tensor([y])).backward()
    formula = softmax(SCORES) - np.eye(5)[y]
    assert np.allclose(scores.grad.numpy()[0], formula)
    steps = 1e-5 * np.eye(5)
    slopes = [(log_softmax(SCORES - one)[y] - log_softmax(SCORES + one)[y]) / 2e-5 for one in steps]
    assert np.allclose(slopes, formula, atol=1e-8)


def estimate(y, drawn, q=NEGATIVE, f=SCORES):
    """Â from the negatives that were drawn."""
    kept = sum(math.exp(f[i]) / q[i] for i in drawn if i != y)
    return math.log(math.exp(f[y]) + kept / len(drawn))


def expected(function, y, draws, q=NEGATIVE):
    """Expectation of a function of the estimate, over all possible draws of negatives."""
    every = itertools.product(range(5), repeat=draws)
    return sum(math.prod(q[i] for i in drawn) * function(estimate(y, drawn, q)) for drawn in every if q[[*drawn]].all())


def check_sampled():
    targets, scores = torch.tensor([0, 2, 2]), torch.from_numpy(np.stack((SCORES, SCORES[::-1], np.exp(SCORES))))
    loss = SampledSoftmax(negatives=PopularNegatives(n=4))
    step = Predicted(
        scores, torch.eye(5, dtype=torch.float64), targets, LOG, torch.tensor([3]), torch.from_numpy(NEGATIVE).log()
    )
    drawn, _ = loss.negatives.draw(step.log_share, targets, torch.Generator().manual_seed(2))
    assert (drawn == 2).any()  # a draw that is the target of some tokens, so that the brackets matter
    f = scores.numpy()
    by_hand = [estimate(y, drawn.tolist(), f=f[row]) - f[row, y] for row, y in enumerate(targets.tolist())]
    assert np.isclose(float(loss(step, torch.Generator().manual_seed(2)).value), np.mean(by_hand))


def check_unbiased():
    for y, draws in ((0, 1), (3, 2), (1, 3)):
        assert np.isclose(expected(math.exp, y, draws), np.exp(SCORES).sum())


def check_jensen():
    gaps = [logsumexp(SCORES) - expected(lambda a: a, 3, draws) for draws in (1, 2, 4)]
    assert gaps[0] > gaps[1] > gaps[2] > 0.001
    best = np.exp(SCORES) * (np.arange(5) != 3)  # negatives drawn in proportion to e^f: every draw gives the same
    assert np.isclose(expected(lambda a: a, 3, 2, best / best.sum()), logsumexp(SCORES))


def risk(f, beta, draws):
    """Right side of the equation of the risk, item by item."""
    return beta * NEXT * np.log1p(np.exp(-f)) + draws * NEGATIVE * np.log1p(np.exp(f))


def check_binary_risk():
    beta, draws, total = 0.4, 2, 0.0
    scores, items = torch.from_numpy(SCORES)[None], torch.eye(5, dtype=torch.float64)
    for y, *drawn in itertools.product(range(5), repeat=1 + draws):
        chance = NEXT[y] * math.prod(NEGATIVE[i] for i in drawn)
        total += chance * float(binary_loss(scores, items, torch.tensor([y]), torch.tensor([drawn]), beta))
    assert np.isclose(total, risk(SCORES, beta, draws).sum())
    # Of several tokens the library's loss is the mean.
    many, targets, negatives = scores.repeat(3, 1), torch.tensor([0, 3, 3]), torch.tensor([[1, 4], [2, 2], [0, 1]])
    each = [float(binary_loss(scores, items, targets[[at]], negatives[[at]], beta)) for at in range(3)]
    assert np.isclose(float(binary_loss(many, items, targets, negatives, beta)), np.mean(each))


def check_binary_optimum():
    def lowest(i, beta, draws):
        return minimize_scalar(lambda f: risk(f, beta, draws)[i], tol=1e-10).x

    for beta, draws in ((1.0, 1), (0.3, 7)):
        found = [lowest(i, beta, draws) for i in range(5)]
        assert np.allclose(found, np.log(beta * NEXT / (draws * NEGATIVE)), atol=1e-4)


def check_calibration():
    draws, items = 3, 5
    a = draws / (items - 1)
    for b in (0.0, 0.75, 1.0):
        beta = 1.0 - b * (1.0 - a)
        assert np.isclose(beta, calibration(b, draws, items))  # foldin's, in the form of the paper

        def mean_loss(f, beta=beta):  # each target with the mean over its negatives: all items but itself
            positive, negative = np.log1p(np.exp(-f)), np.log1p(np.exp(f))
            return sum(NEXT[y] * (beta * positive[y] + draws * np.delete(negative, y).mean()) for y in range(items))

        found = 1.0 / (1.0 + np.exp(-minimize(mean_loss, np.zeros(items), tol=1e-12).x))
        assert np.allclose(found, beta * NEXT / (beta * NEXT + a * (1.0 - NEXT)), atol=1e-4)
        assert np.allclose(found, NEXT, atol=1e-4) == (b == 1.0)


def check_ndcg():
    for ranking, places in (((0, 1, 0, 0, 1, 0), 4), ((1, 0, 1, 1, 0, 0), 2)):

        def gain(labels, places=places):
            return sum(label / math.log2(v + 1) for v, label in enumerate(labels[:places], start=1))

        best = max(gain(one) for one in itertools.permutations(ranking))  # of all lists that there are
        found = ndcg(np.array([ranking[:places]], bool), np.array([sum(ranking)]))
        assert 0.0 < found[0] < 1.0
        assert np.isclose(found[0], gain(ranking) / best)


def check_recall():
    hits, relevant = np.array([[True, False, True], [True, True, True]]), np.array([2, 50])
    assert np.allclose(recall(hits, relevant), [2 / 2, 3 / 3])
    assert np.allclose(recall_all(hits, relevant), [2 / 2, 3 / 50])  # which no list of three can bring to 1


def check_expected_rank():
    rng = np.random.default_rng(11)

    def sampled_places(place, items, draws):
        others = np.delete(np.arange(1, items + 1), place - 1)  # the full places of the other items
        return 1 + (rng.choice(others, size=(20_000, draws)) < place).sum(axis=1)

    for place in (2, 8, 18):
        assert close_to(sampled_places(place, 21, 10), 1 + 10 * (place - 1) / (21 - 1))
    assert (sampled_places(1, 21, 10) == 1).all()

    def hit(places):
        return hit_rate(places[:, None] == np.arange(1, 11), np.ones(len(places), np.int64)).mean()

    first, second = (1, 900), (50, 50)  # the places at which two models rank the targets of two users
    assert [hit(np.array(of)) for of in (first, second)] == [0.5, 0.0]
    mean = [np.mean([hit(sampled_places(place, 1001, 100)) for place in of]) for of in (first, second)]
    assert mean[0] < 0.51
    assert mean[1] > 0.95  # the order is reversed
