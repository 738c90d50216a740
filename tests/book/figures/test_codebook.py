"""The figure of a codebook shows what foldin's quantizer learns, and for FSQ what PyTorch's gradients give."""

import functools

import numpy as np
import pytest
import torch

from foldin.book.films.codebook import film
from foldin.inference import nearest
from foldin.nn import code_use
from tests.book.figures.running import computed, needs_node

VERSIONS = [(start, revival) for start in ("spread", "corner") for revival in ("off", "on")]


@functools.cache
def shown(method, start, revival):
    """(film, values of the figure)."""
    made = film(start, revival)
    return made, computed("codebook", {"method": method, "start": start, "revival": revival}, made)


@needs_node
@pytest.mark.parametrize(("start", "revival"), VERSIONS)
def test_error_perplexity_and_dead_codes_are_those_of_the_library(start, revival):
    made, values = shown("vq", start, revival)
    points = np.array(made["points"])
    assert len(values["frames"]) == len(made["codes"]) == len(made["reset"]) == 61
    for at in (0, 1, 12, 60):
        codes, squares = nearest(points, np.array(made["codes"][at]))
        frame = values["frames"][at]
        assert frame["error"] == pytest.approx(squares.mean(), rel=1e-9)
        assert frame["perplexity"] == pytest.approx(code_use(codes[:, None], (16,)).perplexity[0], rel=1e-9)
        assert frame["dead"] == 16 - len(np.unique(codes))
        assert frame["counts"] == np.bincount(codes, minlength=16).tolist()


@needs_node
def test_codes_that_start_in_a_corner_die_unless_they_are_reset():
    alone, revived = (shown("vq", "corner", revival)[1]["frames"][-1] for revival in ("off", "on"))
    assert alone["dead"] >= 8
    assert revived["dead"] <= 2
    assert revived["error"] < 0.3 * alone["error"]


@needs_node
def test_a_code_without_points_stays_where_it_is():
    made, values = shown("vq", "corner", "off")
    assert not any(made["reset"])
    for at, frame in enumerate(values["frames"][:-1]):
        empty = np.array(frame["counts"]) == 0
        now, later = np.array(made["codes"][at]), np.array(made["codes"][at + 1])
        assert np.abs(later - now)[empty].max() < 0.0015  # the film has three decimals


def test_a_code_that_is_reset_is_a_point_and_had_hardly_any():
    made = film("corner", "on")
    points = {tuple(one) for one in made["points"]}
    resets = [(at, k) for at, some in enumerate(made["reset"]) for k in some]
    assert len(resets) >= 8
    for at, k in resets:
        assert tuple(made["codes"][at][k]) in points
        codes, _ = nearest(np.array(made["points"]), np.array(made["codes"][at - 1]))
        assert (codes == k).sum() <= 15  # of 240, of which 15 would be the even share


@needs_node
@pytest.mark.parametrize("start", ["spread", "corner"])
def test_the_encoder_of_fsq_takes_gradient_steps_straight_through_the_rounding(start):
    made, values = shown("fsq", start, "off")
    frames = values["frames"]
    x = torch.tensor(made["points"], dtype=torch.float64)
    weights = torch.tensor(frames[0]["weights"], dtype=torch.float64, requires_grad=True)
    for frame in frames[:13]:
        assert frame["weights"] == pytest.approx(weights.tolist(), abs=1e-8)
        encoder, decoder = weights.view(2, 2, 3)
        bounded = 1.5 * torch.tanh(x @ encoder[:, :2].T + encoder[:, 2])
        rounded = (bounded.detach() - 0.5).round() + 0.5
        passed = bounded + (rounded - bounded).detach()
        loss = (x - passed @ decoder[:, :2].T - decoder[:, 2]).square().sum(dim=1).mean()
        _, counts = rounded.unique(dim=0, return_counts=True)
        shares = counts / len(x)
        assert frame["error"] == pytest.approx(loss.item(), abs=1e-8)
        assert frame["perplexity"] == pytest.approx(torch.exp(-(shares * shares.log()).sum()).item(), rel=1e-5)
        assert frame["dead"] == 16 - len(counts)
        assert np.allclose(frame["points"], bounded.detach().numpy(), atol=1e-8)
        (slope,) = torch.autograd.grad(loss, weights)
        weights = (weights - 0.15 * slope).detach().requires_grad_()
    assert frames[-1]["error"] < frames[0]["error"]
    assert frames[-1]["dead"] < frames[0]["dead"]
