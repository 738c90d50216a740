"""The figure of denoisers shows posterior means and errors that other computations give, and what foldin learns."""

import numpy as np
import pytest
import torch

from foldin.book.films.denoiser import LEVELS, film
from foldin.diffusion import NoiseSchedule
from tests.book.figures.running import computed, needs_node

SHARES, MEANS, SDS = np.array([0.4, 0.6]), np.array([-1.3, 0.9]), np.array([0.35, 0.5])
ALPHA_BAR = NoiseSchedule.cosine(100).alpha_bar[list(LEVELS)]
GRID = np.linspace(-4.0, 4.0, 121)
POINTS = np.array([-1.41, -1.3, -0.91, 0.2, 0.4, 0.74, 0.84, 1.05])


def tiny(points=POINTS):
    """A film of two frames whose network guesses √ᾱ_t x_t, then tanh(2 x_t)."""
    frames = [[np.sqrt(one) * GRID for one in ALPHA_BAR], [np.tanh(2.0 * GRID) for _ in ALPHA_BAR]]
    return {
        "points": points.tolist(),
        "levels": list(LEVELS),
        "alphaBar": ALPHA_BAR.tolist(),
        "shares": SHARES.tolist(),
        "means": MEANS.tolist(),
        "sds": SDS.tolist(),
        "edge": 4.0,
        "shown": 3.0,
        "frames": [
            {"steps": 16 * at, "clean": [one.tolist() for one in clean], "draws": [0.1] * 40}
            for at, clean in enumerate(frames)
        ],
    }


@needs_node
@pytest.mark.parametrize("t", [5, 35, 75])
def test_the_guess_that_memorizes_is_tweedies_formula_for_the_training_points(t):
    values = computed("denoiser", {"t": t}, tiny())
    alpha_bar = ALPHA_BAR[LEVELS.index(t)]
    x = torch.tensor(values["grid"], dtype=torch.float64, requires_grad=True)
    squares = (x[:, None] - np.sqrt(alpha_bar) * torch.tensor(POINTS)).square()
    (score,) = torch.autograd.grad(torch.logsumexp(-0.5 * squares / (1.0 - alpha_bar), dim=1).sum(), x)
    expected = (x.detach() + (1.0 - alpha_bar) * score) / np.sqrt(alpha_bar)
    assert np.allclose(values["memorizing"], expected.numpy(), atol=1e-8)


@needs_node
@pytest.mark.parametrize("t", [5, 35, 75])
def test_the_guess_for_the_true_density_is_the_posterior_mean_by_quadrature(t):
    values = computed("denoiser", {"t": t}, tiny())
    alpha_bar = ALPHA_BAR[LEVELS.index(t)]
    clean = np.linspace(-6.0, 6.0, 6001)
    log_q = np.log((SHARES / SDS * np.exp(-0.5 * ((clean[:, None] - MEANS) / SDS) ** 2)).sum(axis=1))
    for at in range(60, 301, 40):
        x = values["grid"][at]
        log_weights = log_q - 0.5 * (x - np.sqrt(alpha_bar) * clean) ** 2 / (1.0 - alpha_bar)
        weights = np.exp(log_weights - log_weights.max())
        assert values["truth"][at] == pytest.approx((weights * clean).sum() / weights.sum(), abs=1e-5)


@needs_node
@pytest.mark.parametrize("t", [5, 35, 75])
def test_the_errors_are_those_of_draws_of_data_and_noise(t):
    values = computed("denoiser", {"t": t}, tiny())
    alpha_bar = ALPHA_BAR[LEVELS.index(t)]
    rng, n = np.random.default_rng(0), 200_000
    component = rng.choice(2, p=SHARES, size=n)
    for place, clean in enumerate((rng.choice(POINTS, size=n), rng.normal(MEANS[component], SDS[component]))):
        x = np.sqrt(alpha_bar) * clean + np.sqrt(1.0 - alpha_bar) * rng.standard_normal(n)
        for guess, error in (
            (values["memorizing"], values["errors"]["memorizing"][place]),
            (values["truth"], values["errors"]["truth"][place]),
            *((one["guess"], one["errors"][place]) for one in values["frames"]),
        ):
            squares = (clean - np.interp(x, values["grid"], guess)) ** 2
            # The figure's grid ends at ±4, and it is interpolated.
            assert abs(squares.mean() - error) < 4.5 * squares.std() / n**0.5 + 1e-3 * error + 1e-4


@needs_node
@pytest.mark.parametrize("t", [5, 25, 75])
@pytest.mark.parametrize("count", [8, 64])
def test_each_exact_guess_has_the_lowest_error_on_its_own_data(t, count):
    points = POINTS if count == 8 else np.random.default_rng(1).normal(0.0, 1.0, count)
    values = computed("denoiser", {"t": t, "count": count}, tiny(points))
    memorizing, truth = values["errors"]["memorizing"], values["errors"]["truth"]
    others = [frame["errors"] for frame in values["frames"]]
    assert memorizing[0] < min(one[0] for one in (truth, *others))
    assert truth[1] < min(one[1] for one in (memorizing, *others))


@needs_node
def test_the_film_is_of_a_network_that_learns_from_its_points():
    made = film(8, epochs=2)
    assert [frame["steps"] for frame in made["frames"]] == [0, 16, 32]
    assert np.allclose(made["alphaBar"], ALPHA_BAR, atol=1e-6)
    assert len(made["points"]) == 8
    assert film(8, epochs=2) == made
    for frame in made["frames"]:
        assert np.array(frame["clean"]).shape == (len(LEVELS), len(GRID))
        assert sum(frame["draws"]) * 6.0 / 40 <= 1.0 + 0.02  # a density, to three decimals, of the draws within ±3
    values = computed("denoiser", {"t": 35}, made)
    assert values["frames"][-1]["errors"][0] < values["frames"][0]["errors"][0]
    assert np.allclose(values["frames"][1]["guess"][::3], made["frames"][1]["clean"][LEVELS.index(35)])
