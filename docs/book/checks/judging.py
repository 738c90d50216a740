"""Checks of the equations of the chapter on judging models: each computes both sides by different means."""

import functools
import itertools
import math
import statistics

import numpy as np
import polars as pl
import torch
from scipy.stats import binomtest, norm

from foldin.data import HeldOut, Histories
from foldin.evaluation import (
    LOG_LIKELIHOOD,
    evaluate,
    fit_temperature,
    holm,
    paired_test,
    share_interval,
    studentized_interval,
)
from foldin.evaluation.temperature import _likelihood
from foldin.models import Popularity
from foldin.training import fit

# A population of users: the three values that a metric may have, and how often two models have which.
VALUES = np.array([0.0, 0.5, 1.0])
JOINT = np.array([[0.50, 0.06, 0.02], [0.06, 0.18, 0.03], [0.02, 0.03, 0.10]])
SHARES = JOINT.sum(axis=1)  # of one model; the other has the same
MEAN = SHARES @ VALUES
VARIANCE = SHARES @ VALUES**2 - MEAN**2


def close_to(values, wanted, errors=4.5):
    """Whether the mean of samples is a value, within a number of standard errors."""
    values = np.asarray(values, dtype=np.float64)
    return abs(values.mean() - wanted) < errors * values.std() / len(values) ** 0.5


def all_signs(n):
    """All 2^n vectors of signs, one in each row."""
    return np.array(list(itertools.product((1, -1), repeat=n)))


SAMPLE = [0.0, 0.1, 0.1, 0.4, 1.0]  # the metric of five users


def users(b, sd, rho, difference):
    """N by the equation."""
    return 2.0 * b**2 * sd**2 * (1.0 - rho) / difference**2


@functools.cache
def reaching(draws, users=16, runs=20_000):
    """S_≥ in experiments in which the two models are equal: the observed signs are as random as those drawn."""
    rng = np.random.default_rng(4)
    sizes = rng.exponential(1.0, users)
    observed, *drawn = (np.abs(rng.choice([-1.0, 1.0], (runs, users)) @ sizes) for _ in range(draws + 1))
    return (np.stack(drawn) >= observed).sum(axis=0)


UNIFORM = (np.arange(600) + 0.5) / 600  # a random number, by its 600 equally likely values


def of_true_hypotheses(count, share):
    """p-values of true hypotheses that are small in turn: each is uniform, and no two lie below the share."""
    return np.add.outer(UNIFORM, share * np.arange(count)) % 1.0


def step_down(p, a):
    """Holm's procedure, word by word: which hypotheses are rejected, in order."""
    rejected = []
    for at in sorted(range(len(p)), key=lambda one: p[one]):
        if p[at] > a / (len(p) - len(rejected)):
            break
        rejected.append(at)
    return rejected


AXIS = np.linspace(-12.0, 16.0, 28_001)


def expected(function, c):
    """E[function(max of c standard normals)] by quadrature: the density of the maximum is c φ Φ^(c − 1)."""
    density = c * norm.pdf(AXIS) * norm.cdf(AXIS) ** (c - 1)
    return (function(AXIS) * density).sum() * (AXIS[1] - AXIS[0])


# Held-out users of a catalog of six items: all have seen item 0, and each has one more event.
ITEMS, TARGETS = 6, [1, 1, 2, 1, 3, 2, 1, 5, 4, 1, 2, 3]
TRAIN = [[0, 1], [0, 1, 2], [1, 2], [1], [3, 1], [1, 2, 4]]


def users_held_out(targets=None):
    """Users who have seen item 0, and the items that each of them takes next."""
    targets = targets or [[one] for one in TARGETS]
    return HeldOut(
        fold_in=Histories.from_lists([[0]] * len(targets), ITEMS),
        targets=Histories.from_lists(targets, ITEMS),
        users=pl.Series([f"user {at}" for at in range(len(targets))]),
    )


def popularity(temperature=None):
    """A model whose scores are logarithms of counts, perhaps divided by a temperature."""
    model = Popularity(ITEMS)
    fit(model, Histories.from_lists(TRAIN, ITEMS))
    if temperature is not None:
        model.calibrate(temperature)
    return model


def counted():
    """The scores of that model for items 1 to 5, by hand: the logarithm of the count plus one."""
    return np.log([1 + sum(one.count(item) for one in TRAIN) for item in range(1, ITEMS)])


def float64(values):
    """The values as a tensor."""
    return torch.as_tensor(values, dtype=torch.float64)


def check_standard_error():
    for n in (1, 2, 5):  # all samples of n users, each with its probability
        means = [np.mean(sample) for sample in itertools.product(VALUES, repeat=n)]
        chances = [np.prod(sample) for sample in itertools.product(SHARES, repeat=n)]
        variance = np.dot(chances, np.square(means)) - np.dot(chances, means) ** 2
        assert math.isclose(variance**0.5, VARIANCE**0.5 / n**0.5)


def check_paired():
    chances, differences = JOINT.ravel(), (VALUES[:, None] - VALUES[None, :]).ravel()
    assert abs(chances @ differences) < 1e-12  # the two models have the same mean
    variance = chances @ differences**2
    rho = ((JOINT * np.outer(VALUES, VALUES)).sum() - MEAN**2) / VARIANCE
    assert 0.5 < rho < 0.8
    assert math.isclose(variance, 2.0 * VARIANCE * (1.0 - rho))


def check_users():
    sd, rho, difference = 0.165, 0.9, 0.005
    b = norm.ppf(0.975) + norm.ppf(0.8)  # 1.96 + 0.84
    n = round(users(b, sd, rho, difference))
    # Experiments with n users: the z test at the level 0.05 should find the difference in 80 % of them.
    rng = np.random.default_rng(0)
    found = []
    for _ in range(300):
        first, second = rng.multivariate_normal([difference, 0.0], sd**2 * np.array([[1.0, rho], [rho, 1.0]]), n).T
        d = first - second
        found.append(abs(d.mean()) > norm.ppf(0.975) * d.std() / n**0.5)
    assert close_to(found, 0.8)
    # The numbers on the page.
    assert [round(users(2.80, sd, r, difference)) for r in (0.0, 0.9)] == [17_076, 1_708]
    assert [round(users(1.96, sd, r, difference)) for r in (0.0, 0.9)] == [8_367, 837]


def check_one_draw():
    mean = sum(SAMPLE) / 5
    middle = sum((one - mean) ** 2 for one in SAMPLE) / 5
    assert math.isclose(statistics.pvariance(SAMPLE), middle)
    assert math.isclose(middle, 4 / 5 * statistics.variance(SAMPLE))  # which divides by N − 1


def check_bootstrap_variance():
    every = np.array(list(itertools.product(SAMPLE, repeat=5)))  # all 5⁵ resamples, equally likely
    assert math.isclose(every.mean(axis=1).var(), 4 / 5 * statistics.variance(SAMPLE) / 5)


def check_no_hit():
    rng = np.random.default_rng(1)
    hits = rng.random((20_000, 79)) < 0.03
    missed = 0.97**79
    assert close_to(~hits.any(axis=1), missed)
    assert abs(missed - 1 / 11) < 0.001
    # Resamples of a sample without a hit have none, so that the percentile interval is [0, 0]; the library's is exact.
    none = np.zeros(79)
    assert not none[rng.integers(0, 79, (1000, 79))].any()
    low, high = share_interval(none, draws=200_000)
    assert low == 0.0
    assert abs((1.0 - high) ** 79 - 0.025) < 0.0008  # the hit rate that leaves 2.5 % of samples without a hit


def check_studentized():
    rng, level = np.random.default_rng(2), 0.95
    values = rng.gamma(0.5, 1e-5, 40)  # in a small unit, and skewed, so that the two ends lie differently
    n, mean, sd = 40, values.mean(), values.std(ddof=1)
    drawn = values[
        np.random.default_rng(0).integers(0, n, (30_000, n), dtype=np.int32)
    ]  # the library's draws once more
    t = (drawn.mean(axis=1) - mean) / (drawn.std(axis=1, ddof=1) / n**0.5)
    ends = np.quantile(t, [(1.0 + level) / 2.0, (1.0 - level) / 2.0], method="inverted_cdf")
    low, high = mean - ends * sd / n**0.5
    assert high - mean > 1.5 * (mean - low)
    assert np.allclose(studentized_interval(values, draws=30_000), (low, high), rtol=1e-9)


def check_p_value():
    d = np.array([0.31, -0.12, 0.05, 0.44, 0.27, -0.03, 0.18, 0.09, 0.36, -0.21])
    by_enumeration = np.mean(np.abs(all_signs(10) @ d) >= abs(d.sum()) - 1e-12)
    for unit in (1.0, -1e-6, 1e6):  # neither the unit nor which model comes first makes a difference
        assert math.isclose(paired_test(unit * d, np.zeros(10)), by_enumeration)
    assert math.isclose(paired_test(np.r_[d, 0.0] + 1.0, np.ones(11)), by_enumeration)  # nor a user without one
    # The sign test: all differences have one size, eight are positive and two negative.
    d = np.array([1.0, 1.0, 1.0, -1.0, 1.0, 1.0, 1.0, 1.0, -1.0, 1.0])
    by_enumeration = np.mean(np.abs(all_signs(10) @ d) >= abs(d.sum()) - 1e-12)
    assert math.isclose(binomtest(8, 10).pvalue, by_enumeration)
    assert math.isclose(paired_test(d, np.zeros(10)), by_enumeration)
    assert math.isclose(paired_test(np.zeros(10), d), by_enumeration)


def check_drawn():
    rng = np.random.default_rng(3)
    d = rng.integers(-4, 7, 61)
    chances = {0: 1.0}  # of each sum of Σ ζ d, one user after the other
    for one in d:
        sums = {}
        for total, chance in chances.items():
            for sign in (1, -1):
                sums[total + sign * one] = sums.get(total + sign * one, 0.0) + 0.5 * chance
        chances = sums
    exact = sum(chance for total, chance in chances.items() if abs(total) >= abs(d.sum()))
    assert 0.01 < exact < 0.5
    assert abs(paired_test(d, np.zeros(61)) - exact) < 4.5 * (exact * (1.0 - exact) / 9_999) ** 0.5
    # No draw reaches the sum of sixty differences that are all positive: 0 of 9,999 give 1 / 10,000, and not 0.
    assert paired_test(np.linspace(0.1, 0.2, 60), np.zeros(60)) == 1 / 10_000


def check_exchangeable():
    # Three users of equal sizes and two draws, all 8³ outcomes: many sums tie, and the bound still holds.
    sums = np.abs(all_signs(3) @ np.ones(3))
    counts = np.array([sum(one >= seen for one in drawn) for seen, *drawn in itertools.product(sums, repeat=3)])
    bound = lambda s, draws: (s + 1) / (draws + 1)
    for s in range(3):
        assert (counts <= s).mean() <= bound(s, 2)
    assert math.isclose((counts <= 0).mean(), 9 / 64)  # the bound is 1/3
    # Sixteen users of different sizes: hardly any ties, and the bound is nearly an equality.
    for s in (0, 4, 9, 18):
        assert close_to(reaching(19) <= s, bound(s, 19))


def check_valid():
    p = (reaching(19) + 1) / 20
    for a in (0.05, 0.2, 0.5):
        assert close_to(p <= a + 1e-12, a)  # so that it is not vacuous
        assert np.array_equal(p <= a + 1e-12, reaching(19) <= a * 20 - 1 + 1e-9)
    p = (reaching(20) + 1) / 21
    assert close_to(p <= 0.05, 1 / 21)  # below 1/20
    assert close_to(reaching(20) / 20 <= 0.05, 2 / 21)  # without the + 1 it is wrong almost twice as often as it says


def check_bonferroni():
    a, c = 0.1, 5
    for true in (5, 3):
        p = of_true_hypotheses(true, a / c)
        assert all(math.isclose((p[:, one] <= a / c).mean(), a / c) for one in range(true))
        bound = true * a / c
        assert math.isclose((p.min(axis=1) <= a / c).mean(), bound)  # equality in the union bound
        assert 0.9 < (1.0 - (1.0 - a / c) ** true) / bound < 1.0  # for independent p-values it is nearly one
        assert bound <= a


def check_first_rejection():
    rng, a, c, true = np.random.default_rng(5), 0.2, 6, 4
    places, limit, most = [], lambda place: a / (c - place + 1), a / true
    for _ in range(2000):
        p = rng.random(c)
        p[true:] **= 8  # the last two hypotheses are false and have small p-values
        rejected = step_down(p, a)
        wrong = [place for place, one in enumerate(rejected, start=1) if one < true]
        if wrong:
            places.append(wrong[0])
            assert np.sort(p)[wrong[0] - 1] <= limit(wrong[0]) <= most
    assert set(places) == {1, 2, 3}
    assert math.isclose(limit(3), most)  # at place 3 the two bounds are equal


def check_holm():
    a, true = 0.1, 3
    rng, share = np.random.default_rng(6), a / true
    for false in (np.full((600, 2), 1e-9), rng.beta(0.25, 1.0, (600, 2))):
        p = np.hstack([of_true_hypotheses(true, share), false])
        wrong = [any(one < true for one in step_down(row, a)) for row in p]
        one_is_small = (p[:, :true].min(axis=1) <= share).mean()
        assert np.mean(wrong) <= one_is_small
        assert math.isclose(one_is_small, a)
        for row in p[::7]:  # the library's adjusted p-values make the same decisions
            assert [at for at, one in enumerate(holm(row)) if one <= a] == sorted(step_down(row, a))
    p = np.hstack([of_true_hypotheses(true, share), np.full((600, 2), 1e-9)])
    wrong = [any(one < true for one in step_down(row, a)) for row in p]
    assert math.isclose(np.mean(wrong), a)  # equality, where the false ones are always rejected
    assert np.allclose(holm([0.01, 0.02, 0.04]), [0.03, 0.04, 0.04])  # the example on the page


def check_jensen():
    for c in (2, 10, 100):
        for b in (0.1, 1.0, 3.0):
            assert math.exp(b * expected(lambda x: x, c)) < expected(lambda x, b=b: np.exp(b * x), c)
        small = expected(lambda x: np.exp(0.01 * x), c) / math.exp(0.01 * expected(lambda x: x, c))
        assert 1.0 < small < 1.0001  # close to equality for a small b


def check_exponential_moment():
    moment = lambda b, c: expected(lambda x: np.exp(b * x), c)
    bound = lambda b, c: c * math.exp(b**2 / 2)
    assert math.isclose(moment(1.5, 1), bound(1.5, 1))  # one Gaussian
    for c in (2, 10, 100):
        assert all(moment(b, c) < bound(b, c) for b in (0.5, 2.0, 4.0))
        assert 0.95 < moment(5.0, c) / bound(5.0, c) < 1.0  # nearly equal


def check_inflation():
    rng, mean, error = np.random.default_rng(7), 0.4, 0.00165
    ratios = []
    for c in (2, 50, 1000):
        best = rng.normal(mean, error, (1000, c)).max(axis=1)
        assert close_to(best - mean, error * expected(lambda x: x, c))
        bound = math.sqrt(2.0 * math.log(c))
        assert math.isclose(bound, min(math.log(c) / b + b / 2.0 for b in np.linspace(0.01, 6.0, 5_000)), rel_tol=1e-5)
        ratios.append(expected(lambda x: x, c) / bound)
    assert 0.4 < ratios[0] < ratios[1] < ratios[2] < 1.0
    assert ratios[2] > 0.85  # and it rises to 1
    # The numbers on the page: with fifty candidates, and 10,000 users with a standard deviation of 0.165.
    assert round(error * math.sqrt(2.0 * math.log(50)), 4) == 0.0046
    assert round(error * expected(lambda x: x, 50), 4) == 0.0037


def check_perplexity():
    shares = np.exp(counted()) / np.exp(counted()).sum()
    geometric = np.prod([1.0 / shares[one - 1] for one in TARGETS]) ** (1.0 / len(TARGETS))
    found = evaluate(popularity(), users_held_out(), metrics=("ndcg@3",))
    summary = found.summary()
    assert math.isclose(summary["perplexity"]["mean"], geometric, rel_tol=1e-5)
    # A high likelihood is a low perplexity: the two ends of the interval change places.
    ends = [-math.log(summary["perplexity"][end]) for end in ("high", "low")]
    assert np.allclose(ends, [summary[LOG_LIKELIHOOD][end] for end in ("low", "high")])
    assert tuple(summary["ndcg@3"][end] for end in ("low", "high")) == share_interval(found.values("ndcg@3"))
    assert math.isclose(found.values(LOG_LIKELIHOOD).mean(), -math.log(geometric), rel_tol=1e-5)


def check_proper():
    rng = np.random.default_rng(8)
    truth = np.array([0.5, 0.3, 0.15, 0.05])
    for p in rng.dirichlet(np.ones(4), 50):
        divergence = float(
            torch.distributions.kl_divergence(*map(torch.distributions.Categorical, (float64(truth), float64(p))))
        )
        assert math.isclose(truth @ np.log(p), truth @ np.log(truth) - divergence, rel_tol=1e-9)
        assert truth @ np.log(p) < truth @ np.log(truth)
    drawn = rng.choice(4, 100_000, p=truth)
    assert close_to(np.log(truth)[drawn], truth @ np.log(truth))


def check_tempered():
    plain = evaluate(popularity(), users_held_out(), metrics=("ndcg@3",))
    for eta in (0.2, 1.0, 3.0):
        found = evaluate(popularity(1.0 / eta), users_held_out(), metrics=("ndcg@3",))
        p = [math.exp(eta * one) / sum(math.exp(eta * other) for other in counted()) for one in counted()]
        assert np.allclose(found.values(LOG_LIKELIHOOD), [math.log(p[one - 1]) for one in TARGETS], atol=1e-5)
        assert np.array_equal(found.values("ndcg@3"), plain.values("ndcg@3"))  # no list is changed
        losses = plain.values(LOG_LIKELIHOOD) - found.values(LOG_LIKELIHOOD)
        assert eta == 1.0 or losses.sum() > 0.1  # the model was trained for a temperature of 1


def check_slope():
    scores, observed = [1.3, -0.4, 0.2, 2.1], 2
    for at in (0.0, 0.7, 2.0):
        eta = float64(at).requires_grad_()
        (found,) = torch.autograd.grad(torch.log_softmax(eta * float64(scores), dim=0)[observed], eta)
        p = [math.exp(at * one) / sum(math.exp(at * other) for other in scores) for one in scores]
        assert math.isclose(float(found), scores[observed] - np.dot(p, scores), rel_tol=1e-9)
    # The library's sum over users, who have one to three events each, with its first and second derivative.
    targets, at, eta = [[1], [1, 2], [3, 5, 4]], np.arange(3), float64(0.7).requires_grad_()
    log_p = torch.log_softmax(eta * float64(counted()), dim=0)
    total = sum(log_p[item - 1] for events in targets for item in events)
    (first,) = torch.autograd.grad(total, eta, create_graph=True)
    (second,) = torch.autograd.grad(first, eta)
    by_foldin = _likelihood(popularity(), users_held_out(targets), at, 0.7)
    assert np.allclose(by_foldin, [one.item() for one in (total, first, -second)], rtol=1e-6)
    # At the temperature that the library finds, the mean over users of the slopes is zero.
    eta = 1.0 / fit_temperature(popularity(), users_held_out()).temperature
    p = np.exp(eta * counted()) / np.exp(eta * counted()).sum()
    assert abs(np.mean([counted()[one - 1] for one in TARGETS]) - p @ counted()) < 1e-3


def check_exact_and_bound():
    # p(z) = N(0, 1) and p(x | z) = N(w z, 1), so that p(x) = N(0, 1 + w²); the second model is N(0, 2.2²).
    w, x, mean, sd = 1.2, 1.5, 0.3, 0.9  # of q(z | x)
    elbo = (
        -0.5 * math.log(2.0 * math.pi)
        - 0.5 * ((x - w * mean) ** 2 + w**2 * sd**2)  # E log p(x | z)
        - 0.5 * (mean**2 + sd**2 - 1.0 - math.log(sd**2))  # KL from the prior
    )
    q, posterior = norm(mean, sd), norm(w * x / (1.0 + w**2), (1.0 + w**2) ** -0.5)
    kl = (q.pdf(AXIS) * (q.logpdf(AXIS) - posterior.logpdf(AXIS))).sum() * (AXIS[1] - AXIS[0])
    exact, other = norm.logpdf(x, scale=(1.0 + w**2) ** 0.5), norm.logpdf(x, scale=2.2)
    assert math.isclose(exact - other, elbo - other + kl, rel_tol=1e-9)
    assert elbo < other < exact  # the better model looks worse by its bound
