"""The learned weights against dense formulas, general-purpose optimizers, and distributions whose weights are known."""

import numpy as np
import polars as pl
import pytest
import torch
from scipy.optimize import minimize

from foldin.data import HeldOut, Histories
from foldin.errors import FitError
from foldin.evaluation import evaluate
from foldin.models import HeldOutLikelihood, HeldOutNDCG
from foldin.models.ensemble._scored import HeldOutScores, centered, floored
from foldin.models.ensemble._weights import Moments, learned_weights, likelihood_moments, maximum
from tests.models.ensemble.tables import ITEMS, Table, drawn, random_tables, table

BOTH = np.array([[0.5, 0.2], [0.5, 0.2]])


def dense(experts, held, weights: torch.Tensor) -> torch.Tensor:
    """Σ over users of the mean log-likelihood of their held-out items, user by user and in double precision."""
    total = torch.zeros((), dtype=torch.float64)
    for user in range(len(held)):
        history = held.fold_in.rows(user, user + 1)
        logits = sum(w * one.logits(history)[0].double() for w, one in zip(weights, experts, strict=True))
        may = np.setdiff1d(np.arange(ITEMS), held.seen.of(user))
        total = total + logits[held.targets.of(user)].mean() - torch.logsumexp(logits[may], dim=0)
    return total


def variances(experts, held) -> np.ndarray:
    """Mean variance of each expert's scores over the items that a user has not seen."""
    found = np.zeros((len(held), len(experts)))
    for user in range(len(held)):
        may = np.setdiff1d(np.arange(ITEMS), held.seen.of(user))
        for at, one in enumerate(experts):
            found[user, at] = one.logits(held.fold_in.rows(user, user + 1))[0, may].double().numpy().var()
    return found.mean(axis=0)


def test_value_slope_and_curvature_are_those_of_the_dense_formula():
    experts = random_tables(3)
    held = drawn(experts, np.ones((2, 3)), 30, targets=3)
    at = np.array([0.7, 0.0, 0.3])
    found = likelihood_moments(HeldOutScores(experts, held, block=7), at)
    point = torch.tensor(at, requires_grad=True)
    value = dense(experts, held, point)
    (slope,) = torch.autograd.grad(value, point)
    curvature = -torch.autograd.functional.hessian(lambda one: dense(experts, held, one), point)
    assert found.value == pytest.approx(value.item(), rel=1e-6)
    assert np.allclose(found.slope, slope.numpy(), rtol=1e-5, atol=1e-4)
    assert np.allclose(found.curvature, curvature.numpy(), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("signs", [(1.0, 1.0, 1.0), (1.0, -1.0, 1.0)], ids=["inside", "at a bound"])
def test_the_weights_are_those_of_a_general_optimizer(signs):
    experts = random_tables(3)
    held = drawn(experts, np.tile(np.array([0.6, 0.3, 0.1]) * signs, (2, 1)), 40, targets=2)
    weights, log_likelihood = learned_weights(HeldOutScores(experts, held, block=64), HeldOutLikelihood())
    spread = variances(experts, held)

    def loss(at: np.ndarray) -> tuple[float, np.ndarray]:
        point = torch.tensor(at, requires_grad=True)
        value = 0.5 * (torch.from_numpy(spread) * point**2).sum() - dense(experts, held, point)
        return value.item(), torch.autograd.grad(value, point)[0].numpy()

    best = minimize(loss, np.ones(3), jac=True, method="L-BFGS-B", bounds=[(0.0, None)] * 3, options={"ftol": 1e-15})
    assert weights.shape == (1, 3)
    assert np.allclose(weights[0], best.x, atol=1e-4)
    assert log_likelihood == pytest.approx(dense(experts, held, torch.from_numpy(weights[0])).item() / 40, abs=1e-6)
    assert (weights[0] == 0.0).tolist() == [False, signs[1] < 0.0, False]


def test_the_weights_that_the_items_were_drawn_with_are_found():
    experts, true = random_tables(2), np.array([[0.4, 0.3], [0.4, 0.3]])
    scored = HeldOutScores(experts, drawn(experts, true, 3000), block=1024)
    weights, _ = learned_weights(scored, HeldOutLikelihood())
    errors = np.sqrt(np.diag(np.linalg.inv(likelihood_moments(scored, weights[0]).curvature)))
    assert (np.abs(weights[0] - true[0]) < 4.0 * errors).all()
    assert (errors < 0.05).all()


def test_groups_of_history_lengths_have_weights_of_their_own():
    experts, true = random_tables(2), np.array([[0.8, 0.0], [0.1, 0.4]])
    scored = HeldOutScores(experts, drawn(experts, true, 3000), groups=(2, 50), block=1024)
    weights, value = learned_weights(scored, HeldOutLikelihood())
    pooled, less = learned_weights(HeldOutScores(experts, drawn(experts, true, 3000), block=1024), HeldOutLikelihood())
    assert np.abs(weights[:2] - true).max() < 0.1
    assert np.array_equal(weights[2], pooled[0])  # of histories with 50 events there are none
    assert value > less + 0.05


def test_an_expert_that_knows_nothing_adds_nothing_and_copies_share_a_weight():
    experts = random_tables(2)
    held = drawn(experts, BOTH, 400)
    alone, _ = learned_weights(HeldOutScores(experts[:1], held, block=100), HeldOutLikelihood())
    constant = table(np.ones((ITEMS, ITEMS)))
    with_constant, _ = learned_weights(HeldOutScores([experts[0], constant], held, block=100), HeldOutLikelihood())
    assert with_constant[0] == pytest.approx([alone[0, 0], 0.0], abs=1e-9)
    twice, _ = learned_weights(HeldOutScores([experts[0], experts[0]], held, block=100), HeldOutLikelihood())
    assert twice[0, 0] == pytest.approx(twice[0, 1], rel=1e-6)
    assert twice[0].sum() == pytest.approx(alone[0, 0], rel=0.01)


def test_items_that_always_come_first_have_finite_weights():
    following = table(
        5.0 * np.roll(np.eye(ITEMS), 1, axis=1)
    )  # 5 for the item after that of the history, 0 for all others
    held = HeldOut(
        fold_in=Histories.from_lists([[user % ITEMS] for user in range(40)], ITEMS),
        targets=Histories.from_lists([[(user + 1) % ITEMS] for user in range(40)], ITEMS),
        users=pl.Series([f"u{user}" for user in range(40)]),
    )
    weights, log_likelihood = learned_weights(HeldOutScores([following], held, block=10), HeldOutLikelihood())
    # The maximum of −40 log(1 + 10 exp(−5a)) − ½ σ² a², where σ² is the variance of one 5 among ten zeros.
    a, variance = weights[0, 0], 25.0 * (1 / 11) * (10 / 11)
    assert 200.0 / (1.0 + np.exp(5.0 * a) / 10.0) == pytest.approx(variance * a, rel=1e-4)
    assert log_likelihood == pytest.approx(-np.log1p(10.0 * np.exp(-5.0 * a)), abs=1e-6)


def test_ndcg_is_that_of_the_evaluation():
    experts = random_tables(1)
    held = drawn(experts, np.ones((2, 1)), 40, targets=4)
    expected = evaluate(experts[0], held, metrics=("ndcg@3", "ndcg@100"))
    scored = HeldOutScores(experts, held, block=9)
    for k in (3, 100):
        assert scored.ndcg(np.ones(1), k) == pytest.approx(expected.values(f"ndcg@{k}").mean(), abs=1e-12)
    lengths = held.fold_in.lengths
    grouped = HeldOutScores(experts, held, groups=(2,), block=9)
    assert grouped.ndcg(np.ones(1), 3, group=1) == pytest.approx(
        expected.values("ndcg@3")[lengths == 2].mean(), abs=1e-12
    )


def test_ndcg_is_searched_from_the_likelihood_on_and_the_scale_stays_the_likelihood_s():
    experts = random_tables(3)
    held = drawn(experts, np.tile([0.3, 0.3, 0.0], (2, 1)), 60, targets=2, seed=4)
    scored = HeldOutScores(experts, held, block=64)
    by_likelihood, highest = learned_weights(scored, HeldOutLikelihood())
    weights, value = learned_weights(scored, HeldOutNDCG(k=5))
    assert scored.ndcg(weights[0], 5) > scored.ndcg(by_likelihood[0], 5)
    assert value < highest
    slope = likelihood_moments(scored, weights[0]).slope @ weights[0] - variances(experts, held) @ weights[0] ** 2
    assert abs(slope) < 1e-3  # along the ray of the weights


def test_more_scores_than_are_kept_are_computed_anew(monkeypatch):
    experts, calls = random_tables(2), []
    held = drawn(experts, BOTH, 50)
    scores = Table._logits
    monkeypatch.setattr(Table, "_logits", lambda self, histories: calls.append(1) or scores(self, histories))
    kept, _ = learned_weights(HeldOutScores(experts, held, block=20), HeldOutLikelihood())
    assert len(calls) == 2 * 10  # two experts, ten blocks of five users
    monkeypatch.setattr("foldin.models.ensemble._scored._KEPT_BYTES", 0)
    anew, _ = learned_weights(HeldOutScores(experts, held, block=20), HeldOutLikelihood())
    assert len(calls) > 4 * 10
    assert np.array_equal(kept, anew)


def test_the_maximum_of_a_quadratic_over_positive_weights():
    # −½ (x − c)ᵀ H (x − c): the unconstrained maximum c lies outside, and clipping it would not be the answer.
    H, c = np.array([[2.0, 1.5], [1.5, 2.0]]), np.array([2.0, -1.0])

    def quadratic(x):
        return Moments(-0.5 * (x - c) @ H @ (x - c), -H @ (x - c), H)

    assert maximum(quadratic, np.array([1.0, 1.0])) == pytest.approx([2.0 - 0.75, 0.0])


def test_scores_that_are_not_finite_are_the_lowest():
    scores = torch.tensor([[1.0, -torch.inf, 3.0], [-torch.inf, -torch.inf, -torch.inf], [0.0, 2.0, 1.0]])
    assert floored(scores).tolist() == [[1.0, 1.0, 3.0], [0.0, 0.0, 0.0], [0.0, 2.0, 1.0]]
    assert centered(scores.clone()).tolist() == [[-2.0, -2.0, 0.0], [0.0, 0.0, 0.0], [-2.0, 0.0, -1.0]]
    assert centered(scores[2:].clone()).tolist() == [[-2.0, 0.0, -1.0]]


def test_nobody_to_learn_from_is_an_error():
    nobody = HeldOut(
        fold_in=Histories.from_lists([[], [1]], ITEMS),
        targets=Histories.from_lists([[3], []], ITEMS),
        users=pl.Series(["a", "b"]),
    )
    with pytest.raises(FitError, match="no held-out user has both a history and a target"):
        HeldOutScores(random_tables(1), nobody, block=4)
