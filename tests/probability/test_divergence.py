import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import i0e
from torch import distributions as td

from foldin.errors import ConfigError, ShapeError
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


INSIDE = {
    "normal": td.Normal(t(0.3), t(1.2)),
    "laplace": td.Laplace(t(0.0), t(1.0)),
    "student t": td.StudentT(t(5.0), t(0.0), t(1.0)),
    "gamma": td.Gamma(t(2.0), t(1.5)),
    "exponential": td.Exponential(t(0.8)),
    "log-normal": td.LogNormal(t(0.0), t(0.7)),
    "inverse gamma": td.InverseGamma(t(4.0), t(3.0)),
    "beta": td.Beta(t(2.0), t(3.0)),
    "von mises": td.VonMises(t(0.5), t(2.0)),
    "poisson": td.Poisson(t(2.0)),
    "geometric": td.Geometric(t(0.4)),
    "negative binomial": td.NegativeBinomial(t(3.0), probs=t(0.4)),
    "binomial": td.Binomial(7, probs=t(0.3)),
    "bernoulli": td.Bernoulli(t(0.3)),
    "categorical": td.Categorical(t(0.2, 0.5, 0.3)),
}
# Where each may be: a range, and whether of whole numbers.
RANGE = {
    **dict.fromkeys(("normal", "laplace", "student t"), (-np.inf, np.inf, False)),
    **dict.fromkeys(("gamma", "exponential", "log-normal", "inverse gamma"), (0.0, np.inf, False)),
    "beta": (0.0, 1.0, False),
    "von mises": (-np.pi, np.pi, False),
    **dict.fromkeys(("poisson", "geometric", "negative binomial"), (0.0, np.inf, True)),
    "binomial": (0.0, 7.0, True),
    "bernoulli": (0.0, 1.0, True),
    "categorical": (0.0, 2.0, True),
}


@pytest.mark.parametrize("one", INSIDE)
def test_a_divergence_is_infinite_where_one_has_values_that_the_other_has_not(one):
    for other, q in INSIDE.items():
        (low, high, whole), (least, most, all_whole) = RANGE[one], RANGE[other]
        infinite = low < least or high > most or whole != all_whole or (one, other) == ("exponential", "inverse gamma")
        found = kl(INSIDE[one], q, np.random.default_rng(0), draws=4000)
        assert bool(torch.isinf(found.value)) == infinite, (one, other)
        assert np.isfinite(float(found.standard_error.detach()))
        if infinite:
            assert float(kl(INSIDE[one], q).value) == np.inf  # without a generator too


def test_tails_too_heavy_for_a_mean_make_a_divergence_infinite():
    rng = np.random.default_rng(0)
    assert torch.isinf(
        kl(td.StudentT(t(2.0, 2.5), t(0.0, 0.0), t(1.0, 1.0)), td.Normal(t(0.0), t(1.0)), rng).value
    ).tolist() == [
        True,
        False,
    ]
    assert float(kl(td.InverseGamma(t(1.0), t(1.0)), td.Gamma(t(2.0), t(1.0)), rng).value) == np.inf
    assert float(kl(td.Gamma(t(1.0), t(1.0)), td.InverseGamma(t(2.0), t(1.0)), rng).value) == np.inf
    assert np.isfinite(float(kl(td.Gamma(t(1.5), t(1.0)), td.InverseGamma(t(2.0), t(1.0)), rng).value))


@pytest.mark.parametrize("kappas", [(0.01, 3.0), (2.0, 2.5), (60.0, 40.0), (49.9, 50.1)])
def test_kl_of_von_mises_is_its_integral(kappas):
    p, q = td.VonMises(t(0.5), t(kappas[0])), td.VonMises(t(-0.4), t(kappas[1]))
    log_p, log_q = (
        lambda x, m=float(d.loc), k=float(d.concentration): k * np.cos(x - m) - k - np.log(2 * np.pi * i0e(k))
        for d in (p, q)
    )
    exact = quad(lambda x: np.exp(log_p(x)) * (log_p(x) - log_q(x)), -np.pi, np.pi, points=[0.5], limit=400)[0]
    found = kl(p, q)
    assert float(found.value) == pytest.approx(exact, rel=1e-9)
    assert float(found.standard_error) == 0.0
    height = quad(lambda x: -np.exp(log_p(x)) * log_p(x), -np.pi, np.pi, points=[0.5], limit=400)[0]
    assert float(entropy(p).value) == pytest.approx(height, rel=1e-9)


def test_kl_of_von_mises_at_huge_concentrations_is_that_of_normals():
    p, q = td.VonMises(t(0.0), t(1e12)), td.VonMises(t(1e-6), t(2e12))
    normal = td.kl_divergence(td.Normal(t(0.0), t(1e-6)), td.Normal(t(1e-6), t(2e12) ** -0.5))
    assert float(kl(p, q).value) == pytest.approx(float(normal), rel=1e-9)
    assert float(kl(p, p).value) == 0.0


def test_counts_are_summed():
    p, q = td.Binomial(3, probs=t(0.4)), td.Binomial(5, probs=t(0.3))
    exact = sum(
        float(p.log_prob(t(float(x))).exp() * (p.log_prob(t(float(x))) - q.log_prob(t(float(x))))) for x in range(4)
    )
    assert float(kl(p, q).value) == pytest.approx(exact)
    assert float(kl(td.Categorical(t(0.5, 0.5)), td.Categorical(t(0.2, 0.3, 0.5))).value) == pytest.approx(
        0.5 * np.log(0.5 / 0.2) + 0.5 * np.log(0.5 / 0.3)
    )
    assert float(
        kl(td.Categorical(t(0.5, 0.5, 0.0)), td.Bernoulli(t(0.2)), np.random.default_rng(0)).value
    ) == pytest.approx(0.5 * np.log(0.5 / 0.8) + 0.5 * np.log(0.5 / 0.2))
    assert float(kl(td.Binomial(1, probs=t(0.5)), td.Bernoulli(t(1.0))).value) == np.inf
    a, b = td.NegativeBinomial(t(3.0), probs=t(0.4)), td.NegativeBinomial(t(3.0), probs=t(0.7))
    x = torch.arange(400).double()
    exact = float((a.log_prob(x).exp() * (a.log_prob(x) - b.log_prob(x))).sum())
    assert float(kl(a, b).value) == pytest.approx(exact, rel=1e-9)
    assert float(kl(td.Multinomial(6, t(0.5, 0.5)), td.Multinomial(6, t(0.2, 0.8))).value) == pytest.approx(
        6 * (0.5 * np.log(0.5 / 0.2) + 0.5 * np.log(0.5 / 0.8))
    )


def test_what_has_no_divergence_is_said():
    with pytest.raises(ShapeError, match=r"values have shapes \(\) and \(2,\)"):
        kl(td.Normal(t(0.0), t(1.0)), td.Dirichlet(t(1.0, 2.0)))
    with pytest.raises(ShapeError, match=r"batches have shapes \(2,\) and \(3,\)"):
        kl(td.Gamma(t(1.0, 2.0), t(1.0, 1.0)), td.Gamma(t(1.0, 2.0, 3.0), t(1.0)))
    with pytest.raises(ConfigError, match="draws = 1: must be at least 2"):
        kl(td.Normal(t(0.0), t(1.0)), td.StudentT(t(3.0)), np.random.default_rng(0), draws=1)
    with pytest.raises(ConfigError, match="underflow to the edge"):
        kl(td.Gamma(t(1e-3), t(1.0)), td.LogNormal(t(0.0), t(1.0)), np.random.default_rng(0))
    with pytest.raises(ConfigError, match="n = -1"):
        sample(td.Normal(t(0.0), t(1.0)), -1, np.random.default_rng(0))
    with pytest.raises(ConfigError, match="Poisson: no draws with these parameters"):
        sample(td.Poisson(t(1e30)), 2, np.random.default_rng(0))
