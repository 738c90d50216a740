"""LDA and Poisson factorization."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import gammaln

from foldin.data import Histories
from foldin.models import (
    LDA,
    PLSA,
    CoordinateAscent,
    LDAConfig,
    Online,
    PLSAConfig,
    PoissonFactorization,
    PoissonFactorizationConfig,
    StochasticAscent,
)
from foldin.ranking import WithSpread, scores
from foldin.testing import two_tastes
from foldin.training import fit
from tests.lists import recommend

logs = st.lists(st.lists(st.integers(0, 7), max_size=6, unique=True), min_size=1, max_size=12).filter(any)


def bounds(model, train, epochs=12) -> np.ndarray:
    return np.array([record.terms["ascend/elbo"] for record in fit(model, train, epochs=epochs).records])


@settings(max_examples=12)
@given(logs, st.integers(1, 4), st.integers(0, 5))
def test_coordinate_ascent_never_lowers_the_bound_of_poisson_factorization(lists, factors, seed):
    config = PoissonFactorizationConfig(n_components=factors, ascent=CoordinateAscent(restart=False))
    found = bounds(PoissonFactorization(8, config, seed=seed), Histories.from_lists(lists, 8))
    assert (np.diff(found) > -1e-9 * np.abs(found[1:])).all()


@settings(max_examples=12)
@given(logs, st.integers(1, 4), st.integers(0, 5))
def test_batch_lda_does_not_lower_its_bound(lists, topics, seed):
    config = LDAConfig(n_components=topics, local_iterations=500, local_tolerance=1e-7, alpha=0.5)
    found = bounds(LDA(8, config, seed=seed), Histories.from_lists(lists, 8))
    # A user may end in another optimum than in the sweep before; with a single one there is nothing to choose.
    assert found[-1] >= found[0] - 1e-6
    if topics == 1:
        assert (np.diff(found) > -1e-6).all()


def log_evidence_of_lda(lists, items, topics, alpha, eta) -> float:
    """log p(everything) by summing over every assignment of events to topics."""
    events = [(user, item) for user, own in enumerate(lists) for item in own]
    terms = []
    for assignment in itertools.product(range(topics), repeat=len(events)):
        of_users, of_topics = np.zeros((len(lists), topics)), np.zeros((topics, items))
        for (user, item), topic in zip(events, assignment, strict=True):
            of_users[user, topic] += 1
            of_topics[topic, item] += 1
        total = 0.0
        for counts, prior in ((of_users, alpha), (of_topics, eta)):
            width = counts.shape[1]
            total += np.sum(gammaln(width * prior) - gammaln(width * prior + counts.sum(axis=1)))
            total += np.sum(gammaln(prior + counts) - gammaln(prior))
        terms.append(total)
    return float(np.logaddexp.reduce(terms))


def test_the_bound_of_lda_is_below_an_enumerated_evidence_and_exact_with_one_topic():
    lists = [[0, 1, 2], [2, 3], [0, 3]]
    train = Histories.from_lists(lists, 4)
    for seed in range(3):
        model = LDA(
            4, LDAConfig(n_components=2, alpha=0.7, eta=0.4, local_tolerance=1e-8, local_iterations=500), seed=seed
        )
        best = bounds(model, train, epochs=50)[-1] * len(train)
        exact = log_evidence_of_lda(lists, 4, 2, 0.7, 0.4)
        assert exact - 5.0 < best < exact
    alone = LDA(4, LDAConfig(n_components=1, alpha=0.7, eta=0.4))
    assert bounds(alone, train)[-1] * len(train) == pytest.approx(log_evidence_of_lda(lists, 4, 1, 0.7, 0.4))


def test_one_factor_has_its_posterior_in_closed_form():
    """With K = 1 nothing is divided: shapes are prior + events, and rates solve their own two equations."""
    train = Histories.from_lists([[0, 1, 2], [1], []], 4)
    model = PoissonFactorization(
        4, PoissonFactorizationConfig(n_components=1, local_tolerance=1e-9, local_iterations=500)
    )
    fit(model, train, epochs=40)
    shape, rate = model.tastes(train)
    assert shape[:, 0] == pytest.approx(0.3 + train.lengths, rel=1e-6)
    sums = model.item_gammas().mean.sum()
    for user in range(3):
        activity = 0.3 + shape[user, 0] / rate[user, 0]
        assert rate[user, 0] == pytest.approx(0.6 / activity + sums, rel=1e-5)


def test_the_bound_of_poisson_factorization_is_its_formula():
    """Against a sum over every variable, one at a time, with expectations by sampling."""
    train = Histories.from_lists([[0, 1], [2]], 3)
    model = PoissonFactorization(
        3, PoissonFactorizationConfig(n_components=2, ascent=CoordinateAscent(restart=False)), seed=1
    )
    trainer = model.trainer(train)
    for _ in range(3):
        trainer.ascend(train, torch.Generator())
    users, items = trainer.users, model.item_gammas()
    of_event = train.users()
    rates = (users.geometric[of_event] * items.geometric[train.items]).sum(axis=1)
    exact = float(np.log(rates).sum()) - float(users.mean.sum(axis=0) @ items.mean.sum(axis=0))
    for side in (users, items):
        exact = trainer.with_side(exact, side)
    rng, draws, kappa = np.random.default_rng(0), 200_000, model.kappa()

    def log_gamma(x, shape, rate):
        return shape * np.log(rate) - gammaln(shape) + (shape - 1) * np.log(x) - rate * x

    total, side_means = np.zeros(draws), []
    for side in (users, items):
        activity = rng.gamma(kappa, 1.0 / side.activity_rate, size=(draws, len(side.activity_rate)))
        value = rng.gamma(side.shape, 1.0 / side.rate, size=(draws, *side.shape.shape))
        total += log_gamma(activity, 0.3, 0.3).sum(1) - log_gamma(activity, kappa, side.activity_rate).sum(1)
        total += log_gamma(value, 0.3, activity[:, :, None]).sum((1, 2))
        total -= log_gamma(value, side.shape, side.rate).sum((1, 2))
        side_means.append(value)
    theta, beta = side_means
    phi = users.geometric[of_event] * items.geometric[train.items] / rates[:, None]
    logs_ = np.log(theta[:, of_event]) + np.log(beta[:, train.items]) - np.log(phi)
    total += (phi * logs_).sum((1, 2)) - np.einsum("nuk,nik->n", theta, beta)
    assert exact == pytest.approx(total.mean(), abs=5 * total.std() / draws**0.5)


@pytest.mark.parametrize(
    ("kind", "config"),
    [(LDA, LDAConfig(n_components=3)), (PoissonFactorization, PoissonFactorizationConfig(n_components=3))],
)
def test_a_stochastic_step_over_everybody_at_full_rate_is_the_sweep(kind, config):
    train = two_tastes(30, 12)
    stochastic = config.with_settings(
        {"online": Online(batch_size=30, delay=0.0)}
        if kind is LDA
        else {"ascent": StochasticAscent(batch_size=30, delay=0.0)}
    )
    whole, step = kind(12, config, seed=2), kind(12, stochastic, seed=2)
    fit(whole, train, epochs=1)
    fit(step, train, epochs=1)
    for name, value in whole.state().items():
        assert torch.allclose(value, step.state()[name], rtol=1e-5), name


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        (LDA, LDAConfig(n_components=3)),
        (LDA, LDAConfig(n_components=3, online=Online(batch_size=7))),
        (PoissonFactorization, PoissonFactorizationConfig(n_components=3)),
        (PoissonFactorization, PoissonFactorizationConfig(n_components=3, ascent=CoordinateAscent(restart=False))),
        (PoissonFactorization, PoissonFactorizationConfig(n_components=3, ascent=StochasticAscent(batch_size=7))),
    ],
    ids=str,
)
def test_a_resumed_training_ends_bit_equal(kind, config, tmp_path):
    train = two_tastes(30, 12)
    whole, parts, again = (kind(12, config, seed=2) for _ in range(3))
    fit(whole, train, epochs=6)
    fit(parts, train, epochs=6, folder=tmp_path, until=lambda record: record.epoch == 2)
    fit(again, train, epochs=6, folder=tmp_path, resume=True)
    for name, value in whole.state().items():
        assert torch.equal(value, again.state()[name]), name
        assert not torch.equal(value, parts.state()[name])


@pytest.mark.parametrize(
    "model",
    [
        LDA(12, LDAConfig(n_components=800, epochs=3)),
        PoissonFactorization(12, PoissonFactorizationConfig(shape=1e-3, epochs=3)),
    ],
    ids=["lda", "poisson"],
)
def test_tiny_shares_never_divide_by_zero(model):
    """Expected logarithms below what single precision holds, and an item that nobody took in training."""
    result = fit(model, two_tastes(30, 12).where(two_tastes(30, 12).items != 5))
    assert all(np.isfinite(list(record.terms.values())).all() for record in result.records)
    assert torch.isfinite(scores(model, Histories.from_lists([[5], [5, 0, 2], []], 12))).all()


def test_stochastic_inference_learns_too():
    train = two_tastes(60, 12)
    asked = Histories.from_lists([[0, 2, 4], [1, 3]], 12)
    for model in (
        LDA(12, LDAConfig(n_components=4, online=Online(batch_size=10), epochs=15)),
        PoissonFactorization(
            12, PoissonFactorizationConfig(n_components=4, ascent=StochasticAscent(batch_size=10, delay=4.0), epochs=15)
        ),
    ):
        fit(model, train)
        lists = recommend(model, asked, 3).items
        assert (lists[0] % 2 == 0).all()
        assert (lists[1] % 2 == 1).all()


def test_the_density_of_a_topic_model_is_the_mixture_of_its_topics():
    model = LDA(12, LDAConfig(n_components=3, epochs=5))
    fit(model, two_tastes(30, 12))
    users = Histories.from_lists([[0, 2], []], 12)
    gamma = model.tastes(users)
    expected = gamma / gamma.sum(axis=1, keepdims=True) @ model.item_shares()
    assert np.allclose(scores(model, users).exp().numpy(), expected, atol=1e-6)
    assert gamma.sum(axis=1) == pytest.approx([3 * model.alpha + 2, 3 * model.alpha])


@settings(max_examples=12)
@given(logs, st.integers(1, 4), st.integers(0, 5))
def test_em_raises_the_posterior_of_plsa(lists, topics, seed):
    config = PLSAConfig(n_components=topics, user_pseudo=0.5, local_iterations=2000, local_tolerance=1e-7)
    records = fit(PLSA(8, config, seed=seed), Histories.from_lists(lists, 8), epochs=8).records
    found = np.array([record.terms["em/log_posterior"] for record in records])
    # With a pseudo-count of a half a user's part is concave: one optimum, which every sweep finds anew.
    assert (np.diff(found) > -1e-5 * np.abs(found[1:])).all()


def test_plsa_with_one_topic_is_popularity():
    train = Histories.from_lists([[0, 1, 2], [1], [1, 2]], 4)
    model = PLSA(4, PLSAConfig(n_components=1, item_pseudo=0.5))
    fit(model, train, epochs=2)
    shares = scores(model, Histories.empty(1, 4)).exp().numpy()[0]
    assert shares == pytest.approx(np.array([1.5, 3.5, 2.5, 0.5]) / 8, rel=1e-5)


def test_plsa_without_pseudo_counts_reaches_the_likelihood_of_separate_groups():
    train = two_tastes(40, 10)
    model = PLSA(10, PLSAConfig(n_components=2, user_pseudo=0.0, item_pseudo=0.0))
    fit(model, train, epochs=60)
    tastes = model.tastes(train)
    assert tastes.max(axis=1).min() > 0.99
    odd = model.topics.numpy()[1::2].sum(axis=0)
    assert sorted(odd.round(2)) == [0.0, 1.0]


@pytest.mark.parametrize(
    "model",
    [
        LDA(6, LDAConfig(n_components=3)),
        PoissonFactorization(6, PoissonFactorizationConfig(n_components=3)),
    ],
)
def test_a_longer_history_narrows_the_credible_interval(model):
    rng = np.random.default_rng(0)
    fit(model, Histories.from_lists([rng.permutation(6)[:3].tolist() for _ in range(300)], 6), epochs=5)
    short, long = Histories.from_lists([[0]], 6), Histories.from_lists([[0, 1, 2, 3] * 25], 6)
    width = []
    for users in (short, long):
        found = recommend(model, users, 6, ranker=WithSpread(draws=300), exclude_seen=False).spread
        width.append(float((found.high - found.low).sum()))
    assert width[1] < 0.6 * width[0]


@pytest.mark.parametrize(
    "model",
    [
        LDA(6, LDAConfig(n_components=5, alpha=0.001, eta=0.001)),
        PoissonFactorization(6, PoissonFactorizationConfig(n_components=5, shape=0.01)),
    ],
)
def test_draws_under_extreme_priors_are_numbers(model):
    fit(model, Histories.from_lists([[0, 1], [2], [3, 4, 5]], 6), epochs=3)
    users = Histories.from_lists([[], [0], [1, 2]], 6)
    found = recommend(model, users, 3, ranker=WithSpread(draws=40)).spread
    for values in (found.mean, found.sd, found.low, found.high):
        assert np.isfinite(values).all()
    assert (found.mean.sum(axis=1) <= 1.0 + 1e-6).all()


def test_an_event_of_weight_three_is_three_events():
    rng = np.random.default_rng(0)
    lists = [rng.choice(8, rng.integers(1, 6), replace=False) for _ in range(30)]
    weights = [rng.integers(1, 4, len(one)) for one in lists]
    once = Histories.from_lists(lists, 8)
    weighted = replace(once, values=np.concatenate(weights).astype(np.float32))
    repeated = Histories.from_lists([np.repeat(a, w) for a, w in zip(lists, weights, strict=True)], 8)
    models = [LDA(8, LDAConfig(n_components=3), seed=1) for _ in range(3)]
    trainers = [model.trainer(weighted) for model in models]
    for _ in range(3):
        bounds = [
            trainers[0].ascend(weighted, weighted=True),
            trainers[1].ascend(repeated),
            trainers[2].ascend(weighted),
        ]
    assert bounds[0] == pytest.approx(bounds[1], rel=1e-5)
    assert torch.allclose(models[0].topics, models[1].topics, rtol=1e-3)
    assert not torch.allclose(models[0].topics, models[2].topics, rtol=1e-3)
    assert np.allclose(models[0].tastes(weighted, weighted=True), models[0].tastes(repeated), rtol=1e-3)
