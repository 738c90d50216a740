import numpy as np
import pytest
import torch
from scipy.integrate import quad
from torch import distributions as td

from foldin.errors import ConfigError
from foldin.probability import entropy, kl, sample
from tests.probability.test_fits import CASES, t

REAL = {
    "normal": td.Normal(t(0.3), t(1.2)),
    "laplace": td.Laplace(t(0.0), t(1.0)),
    "student t": td.StudentT(t(5.0), t(0.0), t(1.0)),
}
POSITIVE = {
    "gamma": td.Gamma(t(2.0), t(1.5)),
    "exponential": td.Exponential(t(0.8)),
    "log-normal": td.LogNormal(t(0.0), t(0.7)),
    "inverse gamma": td.InverseGamma(t(4.0), t(3.0)),
}


def density(q):
    return lambda x: float(q.log_prob(t(x)))


@pytest.mark.parametrize("group", [REAL, POSITIVE], ids=["real", "positive"])
def test_divergences_are_integrals(group):
    """In closed form where there is one, within four standard errors by Monte Carlo."""
    rng = np.random.default_rng(0)
    low = -60.0 if group is REAL else 0.0
    for one, p in group.items():
        for other, q in group.items():
            if (one, other) == ("exponential", "inverse gamma"):
                continue  # infinite: E[1/x] is
            log_p, log_q = density(p), density(q)
            inside = lambda x, a=log_p, b=log_q: np.exp(a(x)) * (a(x) - b(x)) if a(x) > -600 else 0.0
            exact = quad(inside, low, 60.0, points=[0.1, 1.0, 5.0], limit=400)[0]
            found = kl(p, q, rng)
            assert float(found.value) >= -1e-9 - 4 * float(found.standard_error)
            assert float(found.value) == pytest.approx(exact, abs=1e-5 + 4 * float(found.standard_error)), (one, other)


def test_entropies_are_integrals():
    for group in (REAL, POSITIVE):
        for q in group.values():
            log_q = density(q)
            inside = lambda x, a=log_q: -np.exp(a(x)) * a(x) if a(x) > -600 else 0.0
            low = -200.0 if group is REAL else 0.0
            exact = quad(inside, low, 200.0, points=[0.1, 1.0, 5.0], limit=400)[0]
            found = entropy(q, np.random.default_rng(0))
            assert float(found.value) == pytest.approx(exact, abs=1e-4 + 4 * float(found.standard_error))


def test_a_closed_form_has_no_error_and_without_one_a_generator_is_needed():
    closed = kl(REAL["normal"], td.Normal(t(0.0), t(1.0)))
    assert float(closed.standard_error) == 0.0
    with pytest.raises(ConfigError, match=r"KL\(StudentT ‖ Normal\) has no closed form: pass a generator"):
        kl(REAL["student t"], REAL["normal"])
    mixture = td.MixtureSameFamily(td.Categorical(probs=t(0.4, 0.6)), td.Normal(t(-2.0, 2.0), t(1.0, 0.5)))
    with pytest.raises(ConfigError, match="no entropy in closed form"):
        entropy(mixture)
    assert float(entropy(mixture, np.random.default_rng(0)).standard_error) > 0.0


def test_mixtures_are_drawn_in_their_shares():
    mixture = td.MixtureSameFamily(td.Categorical(probs=t(0.25, 0.75)), td.Normal(t(-9.0, 9.0), t(1.0, 1.0)))
    x = sample(mixture, 20_000, np.random.default_rng(0))
    assert float((x < 0).double().mean()) == pytest.approx(0.25, abs=0.01)
    points = td.MixtureSameFamily(
        td.Categorical(probs=t(0.25, 0.75)),
        td.MultivariateNormal(torch.tensor([[-9.0, 0.0], [9.0, 1.0]]).double(), torch.eye(2).double()),
    )
    y = sample(points, 20_000, np.random.default_rng(0))
    assert y.shape == (20_000, 2)
    assert float((y[:, 0] < 0).double().mean()) == pytest.approx(0.25, abs=0.01)
    assert float(y[:, 1].mean()) == pytest.approx(0.75, abs=0.05)


def test_draws_are_batched_and_come_from_their_generator_alone():
    q = td.Gamma(t(1.0, 2.0, 3.0), t(1.0, 1.0, 2.0))
    state = torch.get_rng_state()
    a, b = (sample(q, 5, np.random.default_rng(3)) for _ in range(2))
    assert a.shape == (5, 3)
    assert torch.equal(a, b)
    assert torch.equal(state, torch.get_rng_state())
    with pytest.raises(ConfigError, match="Gumbel: no draws for this family"):
        sample(td.Gumbel(t(0.0), t(1.0)), 2, np.random.default_rng(0))


@pytest.mark.parametrize("name", CASES)
def test_draws_have_the_shape_that_pytorch_gives_them(name):
    truth = CASES[name][1]
    assert sample(truth, 3, np.random.default_rng(0)).shape == (3, *truth.batch_shape, *truth.event_shape)
