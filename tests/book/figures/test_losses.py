"""The figure of the losses shows the losses of foldin, and their means over all draws of negatives."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from foldin.kernels import softmax_cross_entropy
from foldin.models.sequential._losses import binary_loss, calibration, sampled_softmax_loss
from tests.book.figures.running import computed, needs_node

ITEMS = torch.eye(5, dtype=torch.float64)
SETTINGS = [
    {"negatives": 1},
    {"negatives": 2, "scores": 0.4, "added": 1.5, "seed": 3},
    {"negatives": 2, "scores": 1.0, "added": -2.0, "drawn": "uniform", "seed": 7},
    {"negatives": 3, "scores": 0.0, "added": 0.7, "seed": 11},
]


def loss_of(kind, f, y, drawn, q):
    """The loss of one target and its negatives, by foldin; without the correction, by PyTorch."""
    hidden, target, negatives = f[None], torch.tensor([y]), torch.tensor(drawn)
    if kind == "full":
        return softmax_cross_entropy(hidden, ITEMS, target)
    if kind == "corrected":
        return sampled_softmax_loss(hidden, ITEMS, target, negatives, (len(drawn) * q[negatives]).log())
    if kind == "plain":
        return cross_entropy(f[[y, *drawn]][None], torch.tensor([0]))
    beta = 1.0 if kind == "bce" else calibration(1.0, len(drawn), 5)
    return binary_loss(hidden, ITEMS, target, negatives[None], beta)


def mean_of(kind, f, p, q, sets):
    """(mean, its gradient by the scores) over the targets, and over sets of negatives with their probabilities."""
    scores = f.clone().requires_grad_(True)
    total = sum(p[y] * chance * loss_of(kind, scores, y, drawn, q) for y in range(5) for drawn, chance in sets(y))
    (gradient,) = torch.autograd.grad(total, scores)
    return float(total.detach()), gradient.numpy()


def all_draws(kind, draws, q):
    """For a target: every sequence of negatives, and its probability."""

    def sets(y):
        if kind == "gbce":  # uniform, from the items other than the target
            others = [i for i in range(5) if i != y]
            return [(drawn, 0.25**draws) for drawn in itertools.product(others, repeat=draws)]
        every = itertools.product(range(5), repeat=draws)
        return [(drawn, math.prod(float(q[i]) for i in drawn)) for drawn in every]

    return sets


@needs_node
@pytest.mark.parametrize("given", SETTINGS)
def test_losses_and_gradients_are_those_of_foldin_over_all_draws_and_for_one(given):
    values = computed("losses", given)
    p, q, f = (torch.tensor(values[one], dtype=torch.float64) for one in ("p", "q", "f"))
    loss, gradient = mean_of("full", f, p, q, lambda y: [((0,), 1.0)])
    assert values["full"]["loss"] == pytest.approx(loss)
    assert np.allclose(values["full"]["gradient"], gradient)
    for kind in ("corrected", "plain", "bce", "gbce"):
        found = values[kind]
        loss, gradient = mean_of(kind, f, p, q, all_draws(kind, given["negatives"], q))
        assert found["loss"] == pytest.approx(loss), kind
        assert np.allclose(found["gradient"], gradient), kind
        assert found["off"] == pytest.approx(np.abs(gradient - values["full"]["gradient"]).max()), kind
        negatives = values["others"] if kind == "gbce" else [values["picked"]] * 5
        loss, gradient = mean_of(kind, f, p, q, lambda y, negatives=negatives: [(negatives[y], 1.0)])
        assert found["one"]["loss"] == pytest.approx(loss), kind
        assert np.allclose(found["one"]["gradient"], gradient), kind


@needs_node
@pytest.mark.parametrize("draws", [1, 5, 8])
def test_each_loss_has_no_mean_gradient_at_the_scores_that_the_table_says(draws):
    at_p, at_ratio = (computed("losses", {"scores": each, "negatives": draws}) for each in (0.0, 1.0))
    assert np.allclose(at_p["full"]["gradient"], 0.0, atol=1e-12)
    assert min(at_p[kind]["off"] for kind in ("corrected", "plain", "bce", "gbce")) > 0.02
    for kind in ("plain", "bce"):
        assert np.allclose(at_ratio[kind]["gradient"], 0.0, atol=1e-12)
    assert at_ratio["full"]["gradient"][1] < -0.05  # the most popular item should rise
    uniform = computed("losses", {"negatives": draws, "drawn": "uniform"})
    assert np.allclose(uniform["plain"]["gradient"], 0.0, atol=1e-12)


@needs_node
def test_the_correction_leaves_a_bias_that_falls_with_the_number_of_negatives():
    several = [computed("losses", {"negatives": draws}) for draws in (1, 2, 4, 8)]
    off = [one["corrected"]["off"] for one in several]
    assert off == sorted(off, reverse=True)
    assert off[-1] < 0.3 * off[0]
    losses = [one["corrected"]["loss"] for one in several]
    assert losses == sorted(losses)
    assert losses[-1] < several[0]["full"]["loss"]  # by Jensen's inequality
