"""The film of EM holds the library's iterations, and in it the free energy and the KL always add up to log p(x | θ)."""

import numpy as np
import pytest
from scipy.special import entr, rel_entr
from scipy.stats import multivariate_normal

from foldin.book.films.em import film
from foldin.inference import GaussianMixture, Points, em
from tests.book.figures.running import computed, needs_node


@pytest.fixture(scope="module", params=[(1, 0), (2, 1), (3, 0)], ids=str)
def made(request):
    return film(*request.param)


def mixture(theta):
    """The library's mixture with the parameters of a film."""
    model = GaussianMixture(len(theta["weights"]), 2, floor=0.01)
    model.weights, model.means = np.array(theta["weights"]), np.array(theta["means"])
    model.covariances = np.array(theta["covariances"])
    return model


def half_steps(made):
    """(free energy, KL, log p(x | θ), parameters, parameters whose posterior is q) after every half step."""
    series = zip(made["free_energy"], made["kl"], made["log_likelihood"], strict=True)
    for at, numbers in enumerate(series):
        yield (*numbers, made["parameters"][(at + 1) // 2], made["parameters"][at // 2])


def test_free_energy_and_kl_are_those_of_the_parameters(made):
    x = np.array(made["points"])
    for shown_free_energy, shown_kl, log_likelihood, theta, old in half_steps(made):
        q = mixture(old).responsibilities(x)
        joint = np.log(theta["weights"]) + np.stack(
            [multivariate_normal.logpdf(x, *one) for one in zip(theta["means"], theta["covariances"], strict=True)],
            axis=1,
        )
        free_energy = ((q * joint).sum(axis=1) + entr(q).sum(axis=1)).mean()
        kl = rel_entr(q, mixture(theta).responsibilities(x)).sum(axis=1).mean()
        assert shown_free_energy == pytest.approx(free_energy, abs=3e-4)
        assert shown_kl == pytest.approx(kl, abs=3e-4)
        assert log_likelihood == pytest.approx(mixture(theta).log_prob(x).mean(), abs=3e-4)


def test_an_e_step_closes_the_gap_and_an_m_step_opens_it(made):
    free_energy, kl, log_likelihood = (np.array(made[name]) for name in ("free_energy", "kl", "log_likelihood"))
    assert len(kl) == 2 * len(made["parameters"]) - 1
    assert np.allclose(free_energy + kl, log_likelihood, atol=3e-5)
    assert (np.diff(free_energy) >= -2e-5).all()
    assert (np.diff(log_likelihood) >= -2e-5).all()
    assert (kl[::2] == 0.0).all()
    if len(made["parameters"][0]["weights"]) == 1:
        assert (kl == 0.0).all()  # nothing is hidden
    else:
        assert kl[1] > 0.01


def test_its_iterations_are_those_of_the_librarys_em(made):
    x = np.array(made["points"])
    result = em(mixture(made["parameters"][0]), lambda: [Points(x)], iterations=8, tolerance=0.0)
    shown = made["log_likelihood"][::2][:9]
    assert shown == pytest.approx([one / len(x) for one in result.lower_bounds[: len(shown)]], abs=5e-4)


@needs_node
def test_the_colors_are_the_responsibilities_of_the_last_e_step(made):
    frames = computed("em", film=made)["frames"]
    x = np.array(made["points"])
    for at, (frame, (free_energy, kl, log_likelihood, theta, old)) in enumerate(
        zip(frames, half_steps(made), strict=True)
    ):
        assert frame["step"] == "EM"[at % 2]
        assert (frame["f"], frame["kl"], frame["logP"]) == (free_energy, kl, log_likelihood)
        assert (frame["theta"], frame["before"]) == (theta, old)
        assert np.allclose(frame["q"], mixture(old).responsibilities(x), atol=1e-9)


@needs_node
def test_an_iterations_rise_of_log_p_is_that_of_the_free_energy_and_the_kl(made):
    frames = computed("em", film=made)["frames"]
    for at, frame in enumerate(frames):
        assert frame["rise"]["f"] + frame["kl"] == pytest.approx(frame["rise"]["logP"], abs=3e-5)
        began = frames[max(at - (1 if at % 2 else 2), 0)]["logP"]
        assert frame["rise"]["logP"] == pytest.approx(frame["logP"] - began, abs=1e-9)
