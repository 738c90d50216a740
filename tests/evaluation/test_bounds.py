"""The bound report of real models."""

import json

import numpy as np
import polars as pl
import pytest
import torch

from foldin.data import HeldOut, Histories
from foldin.errors import ConfigError, ShapeError
from foldin.evaluation import bound_report, calibration_curve
from foldin.inference import Annealing
from foldin.models import EASE, MultVAE, MultVAEConfig, Popularity, RecVAE, RecVAEConfig
from foldin.ranking import PosteriorSample, WithSpread
from foldin.reports.wording import bound_rows
from foldin.training import fit
from tests.lists import recommend


@pytest.fixture(scope="module", params=["multvae", "recvae"])
def model(request, split):
    items = len(split.catalog)
    if request.param == "multvae":
        made = MultVAE(
            items, MultVAEConfig(hidden_dims=(), latent_dim=6, beta=1.0, epochs=30, batch_size=20, learning_rate=0.01)
        )
    else:
        made = RecVAE(items, RecVAEConfig(hidden_dim=12, latent_dim=6, epochs=10, batch_size=20, learning_rate=0.01))
    fit(made, split.train)
    return made


@pytest.fixture(scope="module")
def found(model, split):
    return bound_report(
        model, split.test, users=15, draws=60, refine_steps=50, annealed=6, annealing=Annealing(30, 4), seed=1
    )


def test_the_bound_is_its_two_terms_and_the_estimators_agree(found):
    bound = found["bound"]
    assert bound["elbo"]["per_user"] == pytest.approx(
        bound["reconstruction"]["per_user"] - bound["kl"]["per_user"], abs=1e-4
    )
    assert bound["estimator_a"]["per_user"] == pytest.approx(bound["elbo"]["per_user"], abs=0.3)
    assert "estimator_b" in bound


def test_the_iwae_bound_does_not_fall_and_the_gap_is_made_of_its_parts(found):
    curve = [entry["per_user"] for entry in found["iwae"].values()]
    assert list(found["iwae"]) == ["1", "5", "50"]
    assert curve == sorted(curve)
    gap = found["gap"]
    assert gap["gap_at_least"]["per_user"] == pytest.approx(
        gap["amortization_at_least"]["per_user"] + gap["approximation_estimate"]["per_user"], abs=1e-4
    )
    assert gap["gap_at_least"]["per_user"] > 0
    assert gap["amortization_at_least"]["per_user"] >= -0.05  # a refined q is no worse than the encoder's
    # The weights of both proposals together are worth about what those of the better one are.
    assert gap["best_bound"]["per_user"] >= max(curve[-1], gap["iwae_refined"]["per_user"]) - 0.2
    annealed = found["annealed"]
    assert annealed["lower"]["per_user"] == pytest.approx(annealed["best_bound"]["per_user"], abs=1.0)
    assert annealed["simulated"]["width"]["per_user"] > -0.5


def test_per_item_is_the_total_over_all_items(found):
    bound = found["bound"]["elbo"]
    assert bound["per_item"] * found["items_per_user"] == pytest.approx(bound["per_user"], rel=1e-9)
    assert 0 < bound["per_item_se"] < abs(bound["per_item"])


def test_the_decomposition_is_that_of_everybody_and_stays_under_its_ceiling(found):
    parts = found["decomposition"]
    assert parts["method"] == "all"
    one = parts["all"]
    total = one["mutual_information"] + one["total_correlation"] + one["dimension_wise_kl"]
    assert total == pytest.approx(one["kl"], abs=1e-6)
    assert one["mutual_information"] <= parts["log_users"] + 1e-9
    assert sum(found["health"]["kl_per_dimension"]) == pytest.approx(one["kl"], rel=0.25)


def test_k_hat_and_the_effective_sample_size_stand_beside_each_other(found):
    for one in (*found["reliability"].values(), found["fold_in"]["reliability"]):
        assert 1.0 <= one["ess_median"] <= one["draws"]
        assert one["k_hat_infinite"] == 0
        assert 0.0 <= one["k_hat_above"] <= 1.0
        assert one["k_hat_median"] < 5.0


def test_only_a_prior_that_sees_the_history_has_an_objective_beside_its_bounds(model, found):
    assert found["prior"] == "standard normal"
    assert ("objective" in found) == model.prior_sees_data
    if "objective" in found:
        assert found["objective"]["what"] == "objective with a prior that sees x, not a bound on log p(x)"
        assert found["objective"]["kl"]["per_user"] < found["bound"]["kl"]["per_user"]


def test_a_report_is_json_without_nan_or_infinity(found):
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize("draws", [1, 30])
def test_one_user_is_enough(model, split, draws):
    found = bound_report(model, split.test, users=1, draws=draws, refine_steps=5, annealed=1, annealing=Annealing(5, 2))
    json.dumps(found, allow_nan=False)
    assert found["bound"]["elbo"]["per_user_se"] is None
    assert found["bound"]["elbo"]["per_item_se"] is None
    assert found["decomposition"]["all"]["mutual_information"] == pytest.approx(0.0, abs=1e-9)
    assert found["health"]["active_units"] is None
    assert (found["reliability"]["encoder"]["k_hat_median"] is None) == (draws == 1)
    assert all("±" not in cell for row in bound_rows(found) for cell in row)


def test_more_users_are_reported_on_with_standard_errors(model, split):
    found = bound_report(model, split.test, users=2, draws=30, refine_steps=5, annealed=0)
    assert found["bound"]["elbo"]["per_user_se"] > 0
    assert "annealed" not in found


def test_examining_a_model_leaves_it_as_it_is(model, split):
    before = model.state()
    flags = {name: tensor.requires_grad for name, tensor in model.tensors().items()}
    bound_report(model, split.test, users=5, draws=5, refine_steps=3, annealed=2, annealing=Annealing(4, 2))
    assert all(torch.equal(before[name], value) for name, value in model.state().items())
    assert flags == {name: tensor.requires_grad for name, tensor in model.tensors().items()}
    assert all(tensor.grad is None for tensor in model.tensors().values())


def test_a_collapsed_posterior_raises_an_alarm(split):
    model = MultVAE(len(split.catalog), MultVAEConfig(hidden_dims=(), latent_dim=3))
    with torch.no_grad():
        model.network.encoder[0].zero_()
        for bias in model.network.encoder_bias:
            bias.zero_()
    health = bound_report(model, split.test, users=10, draws=5, refine_steps=2, annealed=0)["health"]
    assert health["active_units"] == 0
    assert any("collapsed" in alarm for alarm in health["alarms"])


def test_nobody_with_an_item_is_refused(split):
    n = len(split.catalog)
    nobody = HeldOut(fold_in=Histories.empty(2, n), targets=Histories.empty(2, n), users=split.test.users[:2])
    with pytest.raises(ShapeError, match="no held-out user"):
        bound_report(MultVAE(n, MultVAEConfig(hidden_dims=(), latent_dim=2)), nobody)


def test_a_model_that_is_right_lies_on_the_diagonal():
    """Users draw one item each from the popularity model's own distribution."""
    rng = np.random.default_rng(0)
    shares = np.array([0.5, 0.25, 0.15, 0.07, 0.03])
    train = Histories.from_lists([[int(i)] for i in rng.choice(5, 20_000, p=shares)], 5)
    model = Popularity(5)
    fit(model, train)
    targets = Histories.from_lists([[int(i)] for i in rng.choice(5, 20_000, p=shares)], 5)
    held = HeldOut(fold_in=Histories.empty(20_000, 5), targets=targets, users=pl.Series(range(20_000)))
    curve = calibration_curve(model, held)
    assert sum(b["pairs"] for b in curve) == 100_000
    for one in curve:
        assert abs(one["predicted"] - one["observed"]) < 5 * one["observed_se"] + 0.004
    assert sum(b["pairs"] * b["observed"] for b in curve) == pytest.approx(20_000)


def test_a_model_without_a_density_has_no_calibration(split):
    with pytest.raises(ConfigError, match="EASE has no density"):
        calibration_curve(EASE(len(split.catalog)), split.test)


def test_the_predictive_spread_agrees_with_draws_by_hand(model, split):
    users = split.test.fold_in.rows(0, 3)
    found = recommend(model, users, 4, ranker=WithSpread(draws=400, seed=3))
    assert (found.items == recommend(model, users, 4).items).all()
    generator = torch.Generator().manual_seed(99)
    mu, logvar = model.posterior(users)
    shares = []
    for _ in range(400):
        z = mu + torch.randn(mu.shape, generator=generator) * (0.5 * logvar).exp()
        logits = model.decode(z).clone()
        for user in range(3):
            logits[user, users.of(user)] = -torch.inf
        shares.append(torch.softmax(logits, dim=1))
    stacked = torch.stack(shares).detach()
    for user in range(3):
        listed = stacked[:, user, found.items[user]]
        assert np.allclose(found.spread.mean[user], listed.mean(0), rtol=0.1)
        assert np.allclose(found.spread.sd[user], listed.std(0), rtol=0.25)
    assert ((found.spread.in_top_k >= 0) & (found.spread.in_top_k <= 1)).all()


def test_exploring_lists_items_as_often_as_their_propensity_says(model, split):
    user = split.test.fold_in.rows(0, 1)
    counts = np.zeros(len(split.catalog))
    for seed in range(150):
        counts[recommend(model, user, 3, ranker=PosteriorSample(seed, 2)).items[0]] += 1
    found = recommend(model, user, 3, ranker=WithSpread(draws=400, seed=7))
    for item, propensity in zip(found.items[0], found.spread.in_top_k[0], strict=True):
        assert counts[item] / 150 == pytest.approx(propensity, abs=0.15)
    again = [recommend(model, user, 3, ranker=PosteriorSample(5, 5)).items.tolist() for _ in range(2)]
    assert again[0] == again[1]
