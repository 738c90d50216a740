"""The three terms of the KL, against numerical integration."""

import itertools
import math

import pytest
import torch

from foldin.errors import ShapeError
from foldin.inference import (
    active_units,
    aggregate_log_density,
    alarms,
    decompose_kl,
    effective_rank,
    gaussian_kl,
    log_normal_terms,
)
from foldin.inference.decomposition import _log_weights

# Four users in one dimension: the aggregate posterior is a mixture of four Gaussians.
MU = torch.tensor([[-2.0], [-0.5], [0.7], [2.5]], dtype=torch.float64)
LOGVAR = torch.tensor([[-1.0], [-2.0], [-0.5], [-1.5]], dtype=torch.float64)


def integrate(values: torch.Tensor, grid: torch.Tensor) -> float:
    return float(torch.trapezoid(values, grid))


def by_quadrature() -> tuple[float, float]:
    """(mutual information, KL(q(z) ‖ N(0, 1)))."""
    grid = torch.linspace(-14, 14, 40_001, dtype=torch.float64)
    log_q = log_normal_terms(grid[:, None, None], MU, LOGVAR).squeeze(2)
    aggregate = torch.logsumexp(log_q, dim=1) - math.log(4)
    prior = log_normal_terms(grid[:, None], torch.zeros(1), torch.zeros(1)).squeeze(1)
    information = sum(integrate(log_q[:, n].exp() * (log_q[:, n] - aggregate), grid) for n in range(4)) / 4
    return information, integrate(aggregate.exp() * (aggregate - prior), grid)


def test_the_terms_of_a_gaussian_mixture_are_those_of_quadrature():
    information, marginal = by_quadrature()
    found = decompose_kl(MU, LOGVAR, torch.Generator().manual_seed(0), draws=8_000)
    assert found.mutual_information == pytest.approx(information, abs=0.02)
    assert float(found.dimension_wise.sum()) == pytest.approx(marginal, abs=0.03)
    assert found.total_correlation == pytest.approx(0.0, abs=1e-9)  # one dimension has none
    assert found.kl == pytest.approx(float(gaussian_kl(MU, LOGVAR).mean()), abs=0.03)
    assert found.mutual_information <= math.log(4)


def correlated(n: int = 400) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    base = torch.randn(n, 1, generator=generator, dtype=torch.float64)
    mu = torch.cat((base, base + 0.1 * torch.randn(n, 1, generator=generator, dtype=torch.float64)), dim=1)
    return mu, torch.full((n, 2), -2.0, dtype=torch.float64)


def test_the_terms_add_up_to_the_mean_kl():
    mu, logvar = correlated()
    found = decompose_kl(mu, logvar, torch.Generator().manual_seed(2), draws=30)
    total = found.mutual_information + found.total_correlation + float(found.dimension_wise.sum())
    assert total == pytest.approx(found.kl, abs=1e-9)
    assert found.kl == pytest.approx(float(gaussian_kl(mu, logvar).mean()), rel=0.05)
    assert found.marginal_kl == pytest.approx(found.kl - found.mutual_information, abs=1e-9)


def test_total_correlation_sees_dimensions_that_say_the_same():
    mu, logvar = correlated()
    together = decompose_kl(mu, logvar, torch.Generator().manual_seed(2)).total_correlation
    shuffled = mu.clone()
    shuffled[:, 1] = shuffled[torch.randperm(len(mu), generator=torch.Generator().manual_seed(5)), 1]
    apart = decompose_kl(shuffled, logvar, torch.Generator().manual_seed(2)).total_correlation
    assert together > 0.5
    assert abs(apart) < 0.15


def test_a_code_that_says_nothing_has_no_information():
    mu, logvar = torch.zeros(50, 3), torch.zeros(50, 3)
    found = decompose_kl(mu, logvar, torch.Generator().manual_seed(0), draws=10)
    assert abs(found.mutual_information) < 1e-6
    assert abs(found.kl) < 1e-6


def test_users_far_apart_reach_the_ceiling():
    mu = 100.0 * torch.arange(20, dtype=torch.float64).unsqueeze(1)
    found = decompose_kl(mu, torch.full((20, 1), -2.0, dtype=torch.float64), torch.Generator().manual_seed(0))
    assert found.mutual_information == pytest.approx(math.log(20), abs=1e-6)


def test_codes_that_are_all_alike_say_nothing_at_any_batch():
    """N = M = 400, D = 3: all terms are 0, and a minibatch-weighted estimate has log N, (D − 1) log N and −D log N instead."""
    mu, logvar = torch.zeros(400, 3), torch.zeros(400, 3)
    for batch, method in ((400, None), (400, "all"), (400, "stratified"), (50, None), (2, "stratified")):
        found = decompose_kl(mu[:batch], logvar[:batch], torch.Generator().manual_seed(0), users=400, method=method)
        for term in (found.mutual_information, found.total_correlation, float(found.dimension_wise.sum()), found.kl):
            assert term == pytest.approx(0.0, abs=1e-6)
    found = decompose_kl(mu, logvar, torch.Generator().manual_seed(0), method="weighted")
    assert found.mutual_information == pytest.approx(math.log(400), abs=1e-6)
    assert found.total_correlation == pytest.approx(2 * math.log(400), abs=1e-6)
    assert float(found.dimension_wise.sum()) == pytest.approx(-3 * math.log(400), abs=1e-6)
    assert found.kl == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("batch", [40, 150, 400])
def test_weighted_terms_are_those_of_the_batch_and_a_constant(batch):
    mu, logvar = correlated()
    own, found = (
        decompose_kl(mu[:batch], logvar[:batch], torch.Generator().manual_seed(0), users=users, method=method)
        for users, method in ((batch, "all"), (400, "weighted"))
    )
    assert found.mutual_information == pytest.approx(own.mutual_information + math.log(400), abs=1e-9)
    assert found.total_correlation == pytest.approx(own.total_correlation + math.log(400), abs=1e-9)
    assert float(found.dimension_wise.sum()) == pytest.approx(float(own.dimension_wise.sum()) - 2 * math.log(400))
    assert math.log(400) <= found.mutual_information <= math.log(400) + math.log(batch)


def test_a_stratified_batch_is_near_the_aggregate_and_its_information_below_log_n():
    mu, logvar = correlated()
    exact = decompose_kl(mu, logvar, torch.Generator().manual_seed(0), draws=20)
    found = decompose_kl(mu[:200], logvar[:200], torch.Generator().manual_seed(0), draws=20, users=400)
    assert found.method == "stratified"
    assert found.mutual_information == pytest.approx(exact.mutual_information, abs=0.3)
    assert found.total_correlation == pytest.approx(exact.total_correlation, abs=0.3)
    for spread in (1.0, 10.0, 1000.0):  # codes ever further apart
        for batch in (2, 20, 400):
            one = decompose_kl(
                spread * mu[:batch], logvar[:batch], torch.Generator().manual_seed(0), users=400, method="stratified"
            )
            assert one.mutual_information <= math.log(400) + 1e-9


def test_a_stratified_batch_of_everybody_is_the_aggregate():
    mu, logvar = correlated()
    one, other = (
        decompose_kl(mu, logvar, torch.Generator().manual_seed(0), method=method) for method in ("all", "stratified")
    )
    assert other.mutual_information == pytest.approx(one.mutual_information, abs=1e-12)
    assert torch.allclose(one.dimension_wise, other.dimension_wise)


def test_the_density_of_a_stratified_batch_is_unbiased():
    """The mean of q(z) over all batches of 3 of 6 users that hold the first."""
    mu = torch.tensor([[-2.0], [-0.5], [0.7], [2.5], [0.1], [1.0]], dtype=torch.float64)
    logvar = torch.linspace(-2.0, 0.5, 6, dtype=torch.float64).unsqueeze(1)
    z = torch.full((6, 1), 0.3, dtype=torch.float64)
    exact = aggregate_log_density(z, mu, logvar)[0][0].exp()
    found = []
    for others in itertools.combinations(range(1, 6), 2):
        batch = [0, *others]
        density, _ = aggregate_log_density(z[batch], mu[batch], logvar[batch], users=6)
        found.append(density[0].exp())
    assert float(torch.stack(found).mean()) == pytest.approx(float(exact), rel=1e-9)


def test_an_aggregate_that_is_the_prior_is_no_distance_from_it():
    """Means from N(0, 1 − s²), variance s²: q(z) tends to N(0, I), and the information to −D log s."""
    generator = torch.Generator().manual_seed(0)
    mu = 0.6 * torch.randn(3000, 2, generator=generator, dtype=torch.float64)
    found = decompose_kl(mu, torch.full((3000, 2), 2 * math.log(0.8), dtype=torch.float64), generator)
    assert found.mutual_information == pytest.approx(-2 * math.log(0.8), abs=0.03)
    assert found.total_correlation == pytest.approx(0.0, abs=0.03)
    assert found.marginal_kl == pytest.approx(0.0, abs=0.04)
    assert found.kl == pytest.approx(float(gaussian_kl(mu, torch.full_like(mu, 2 * math.log(0.8))).mean()), abs=0.05)


def test_one_user_has_no_information_to_share():
    for method in ("all", "stratified"):
        found = decompose_kl(MU[:1], LOGVAR[:1], torch.Generator().manual_seed(0), draws=50, method=method)
        assert found.mutual_information == pytest.approx(0.0, abs=1e-12)


def test_stratified_weights_sum_to_one():
    for start, rows in ((0, 6), (4, 2)):
        weights = _log_weights(rows, start, 6, 50, "stratified").exp()
        assert torch.allclose(weights.sum(1), torch.ones(rows, dtype=torch.float64))
        assert torch.allclose(
            weights[torch.arange(rows), torch.arange(start, start + rows)],
            torch.full((rows,), 0.02, dtype=torch.float64),
        )


def test_bad_batches_are_refused():
    for users, method in ((5, "all"), (3, "weighted")):
        with pytest.raises(ShapeError, match=f"cannot stand for {users} by the method '{method}'"):
            decompose_kl(MU, LOGVAR, torch.Generator(), users=users, method=method)
    with pytest.raises(ShapeError, match="cannot stand for 3"):
        decompose_kl(MU, LOGVAR, torch.Generator(), users=3)
    with pytest.raises(ShapeError, match="not one of all, stratified, weighted"):
        decompose_kl(MU, LOGVAR, torch.Generator(), method="best")


def test_active_units_and_effective_rank():
    generator = torch.Generator().manual_seed(0)
    mu = torch.zeros(500, 6)
    mu[:, :2] = torch.randn(500, 2, generator=generator)
    mu[:, 2] = 0.01 * torch.randn(500, generator=generator)
    assert active_units(mu) == 2
    assert effective_rank(mu) == pytest.approx(2.0, abs=0.05)


def test_alarms_in_words():
    sound = {"kl": 20.0, "active": 40, "latent": 50, "mutual_information": 5.0, "marginal_kl": 3.0, "log_users": 7.0}
    assert alarms(**sound) == []
    assert "collapsed" in alarms(**{**sound, "kl": 0.01, "active": 0})[0]
    assert "idle" in alarms(**{**sound, "active": 3})[0]
    assert "prior is ignored" in alarms(**{**sound, "marginal_kl": 30.0})[0]
    assert "ceiling" in alarms(**{**sound, "mutual_information": 6.99})[0]
