"""Annealed importance sampling where log p(x) is known exactly."""

import json
import math

import numpy as np
import pytest
import torch

from foldin.errors import ShapeError
from foldin.inference import Annealing, annealed_weights, bound_report, log_normal, tuned_schedule
from foldin.inference.ais import _Path, _sigmoid
from foldin.inference.bracket import _bounds
from foldin.inference.proposals import Joint
from tests.inference.linear_gaussian import LinearGaussian


def exact_draws(model, data, seed=5):
    mean = data.values @ model.W @ model.covariance / model.s2
    noise = torch.randn(mean.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return mean + noise @ torch.linalg.cholesky(model.covariance).T


@pytest.mark.long
def test_the_bracket_of_200_dimensions_holds_the_truth_and_is_narrower_than_a_nat():
    """Importance weights are worth little here: by 500 draws of the best Gaussian the bound is some 30 nats too low."""
    model = LinearGaussian(200, 100, scale=0.2)
    data = model.data(20)
    truth = model.evidence.log_prob(data.values)
    generator = torch.Generator().manual_seed(0)
    mu, logvar = model.best(data)
    z = mu + (0.5 * logvar).exp() * torch.randn(500, *mu.shape, generator=generator, dtype=torch.float64)
    weights = torch.stack([Joint(model).log_prob(one, data) - log_normal(one, mu, logvar) for one in z])
    assert float((truth - torch.logsumexp(weights, 0) + math.log(500)).mean()) > 20.0
    settings = Annealing(temperatures=300, chains=4)
    lower, upper, accepted = _bounds(Joint(model), data, (mu, logvar), generator, settings, exact_draws(model, data))
    assert float(lower.mean()) <= float(truth.mean()) <= float(upper.mean())
    assert float((upper - lower).mean()) < 1.0
    assert 0.6 < accepted < 0.95


def test_the_weights_are_unbiased_in_both_directions():
    """E[w] = p(x) forward and E[1/w] = 1/p(x) in reverse: with few temperatures and a poor q too."""
    model = LinearGaussian(2, 3, s2=0.5)
    data = model.data(1)
    many = type(data)(data.values.repeat(20_000, 1))
    mu, logvar = model.best(many)
    mu, logvar = mu + 0.5, logvar + 0.3
    generator, settings = torch.Generator().manual_seed(0), Annealing(temperatures=4, leapfrogs=3)

    def log_joint(z):
        return Joint(model).log_prob(z, many)

    schedule = tuned_schedule(log_joint, mu, logvar, generator, settings)
    truth = model.evidence.log_prob(many.values)
    forward, _ = annealed_weights(log_joint, mu, logvar, schedule, generator, settings)
    ratio = (forward - truth).exp()
    assert float(ratio.mean()) == pytest.approx(1.0, abs=4 * float(ratio.std()) / 20_000**0.5)
    assert float((forward - truth).mean()) < -0.005
    reverse, _ = annealed_weights(log_joint, mu, logvar, schedule, generator, settings, exact=exact_draws(model, many))
    ratio = (truth - reverse).exp()
    assert float(ratio.mean()) == pytest.approx(1.0, abs=4 * float(ratio.std()) / 20_000**0.5)
    assert float((reverse - truth).mean()) > 0.005


def test_a_transition_keeps_the_density_between():
    model = LinearGaussian(2, 3, s2=0.5)
    data = model.data(1)
    many = type(data)(data.values.repeat(20_000, 1))
    mu, logvar = torch.full((20_000, 2), 0.4).double(), torch.full((20_000, 2), 0.2).double()
    beta = 0.6
    own = torch.diag((-logvar[0]).exp())
    precision = (1 - beta) * own + beta * model.precision
    shift = (1 - beta) * own @ mu[0] + beta * data.values[0] @ model.W / model.s2
    mean, covariance = torch.linalg.solve(precision, shift), torch.linalg.inv(precision)
    generator = torch.Generator().manual_seed(0)
    start = (
        mean + torch.randn(20_000, 2, generator=generator, dtype=torch.float64) @ torch.linalg.cholesky(covariance).T
    )
    path = _Path(lambda z: Joint(model).log_prob(z, many), mu, logvar, 4)
    state, accepted = path.moved(path.at(start), beta, torch.full((20_000,), 0.25).double(), generator)
    assert 0.3 < float(accepted.exp().mean()) < 0.99
    assert float((state.z - start).abs().mean()) > 0.2
    assert torch.allclose(state.z.mean(0), mean, atol=0.03)
    assert torch.allclose(torch.cov(state.z.T), covariance, atol=0.03)


def test_a_schedule_goes_from_nought_to_one():
    for temperatures in (1, 2, 77):
        found = _sigmoid(temperatures)
        assert found[0] == 0.0
        assert found[-1] == 1.0
        assert found == sorted(found)
    model = LinearGaussian(3, 4)
    data = model.data(2)
    mu, logvar = model.best(data)
    for temperatures in (1, 2, 77):
        settings = Annealing(temperatures)
        made = tuned_schedule(
            lambda z: Joint(model).log_prob(z, data), mu, logvar, torch.Generator().manual_seed(0), settings
        )
        assert len(made.betas) == temperatures + 1
        assert made.step_sizes.shape == (temperatures, 2)
        assert (made.betas[0], made.betas[-1]) == (0.0, 1.0)
        assert made.betas == sorted(made.betas)


@pytest.mark.parametrize("bad", [{"temperatures": 0}, {"leapfrogs": 0}, {"chains": 0}])
def test_annealing_needs_a_step_of_each_kind(bad):
    with pytest.raises(ShapeError, match="at least"):
        Annealing(**bad)


def report(model, rows, **settings):
    data = model.data(rows)
    units = np.full(rows, float(len(model.W)))
    return data, bound_report(model, data, units, **({"annealed": 0, "draws": 100} | settings))


def test_the_report_brackets_simulated_rows_and_bounds_the_others():
    model = LinearGaussian(5, 6, s2=0.3, shift=0.2)
    data, found = report(model, 12, annealed=12, annealing=Annealing(60, 4))
    truth = float(model.evidence.log_prob(data.values).mean())
    annealed = found["annealed"]
    assert annealed["lower"]["per_user"] == pytest.approx(truth, abs=0.35)
    made = annealed["simulated"]
    assert made["upper"]["per_user"] - made["lower"]["per_user"] == pytest.approx(made["width"]["per_user"])
    assert abs(made["width"]["per_user"]) < 0.7
    for name in ("elbo_refined", "iwae_refined", "best_bound"):
        assert found["gap"][name]["per_user"] < truth + 0.05
    json.dumps(found, allow_nan=False)


def test_a_model_that_cannot_be_sampled_has_no_upper_bound():
    class Closed(LinearGaussian):
        def simulated(self, z, data, generator):
            return None

    _, found = report(Closed(3, 4), 4, annealed=4, annealing=Annealing(10, 3), draws=30)
    assert found["annealed"]["simulated"] is None
    assert found["annealed"]["lower"]["per_user"] < 0


def test_an_exact_encoder_has_no_gap_to_split():
    """In narrow posteriors a step of a fixed size overshoots: what is refined must not be worse than the encoder's answer."""
    model = LinearGaussian(6, 9, s2=1e-4, orthogonal=True)
    data, found = report(model, 10)
    truth = float(model.evidence.log_prob(data.values).mean())
    gap = found["gap"]
    assert gap["best_bound"]["per_user"] == pytest.approx(truth, abs=1e-6)
    for name in ("gap_at_least", "amortization_at_least", "approximation_estimate"):
        assert gap[name]["per_user"] == pytest.approx(0.0, abs=0.05)
    assert found["reliability"]["both"]["ess_median"] == pytest.approx(200.0, rel=0.01)


def test_the_best_bound_is_that_of_whichever_proposal_is_good():
    """Without refinement there is the encoder's alone; with it, an encoder that is far off costs nothing."""
    model = LinearGaussian(4, 6, s2=0.2, shift=4.0)
    data, found = report(model, 10, draws=200)
    truth = float(model.evidence.log_prob(data.values).mean())
    assert found["iwae"]["50"]["per_user"] < truth - 5.0
    assert found["gap"]["best_bound"]["per_user"] == pytest.approx(truth, abs=0.2)
    assert found["reliability"]["encoder"]["k_hat_above"] > 0.9
    assert found["reliability"]["both"]["ess_median"] > 20.0


def test_rows_of_impossible_units_are_refused_before_any_work():
    model = LinearGaussian(2, 3)
    for rows, units, draws in ((0, 0, 5), (3, 2, 5), (3, 3, 0)):
        with pytest.raises(ShapeError, match="a bound report needs rows"):
            bound_report(model, model.data(3).rows(0, rows), np.ones(units), draws=draws)
