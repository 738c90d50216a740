"""DiffRec and L-DiffRec: losses and reverse processes against the dense formulas of the paper, and what its options mean."""

import math

import numpy as np
import pytest
import torch

from foldin.data import Histories
from foldin.diffusion import NoiseSchedule, coefficients
from foldin.errors import ConfigError, ShapeError
from foldin.models import DiffRec, DiffRecConfig, LatentDiffRec, LatentDiffRecConfig, TDiffRec, TDiffRecConfig
from foldin.ranking import scores
from foldin.testing import two_tastes
from foldin.training import Step, fit

ITEMS = 9
USERS = Histories.from_lists([[0, 3, 5], [], [6], [1, 2, 3, 4, 8]], ITEMS)
TOOK = USERS.lengths > 0  # an empty history is given popularity instead
TINY = {"hidden_dims": (8, 4), "n_steps": 6, "noise.scale": 0.5, "noise.low": 0.05, "noise.high": 0.5, "batch_size": 10}


def made(seed=3, *, oldest: float | None = None, **settings) -> DiffRec | TDiffRec:
    """A small model; settings of a way are written with two underscores for the dot."""
    values = {**TINY, **{name.replace("__", "."): value for name, value in settings.items()}}
    config = DiffRecConfig() if oldest is None else TDiffRecConfig(oldest=oldest)
    return config.model_class(ITEMS, config.with_settings(values), seed=seed)


def noise(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rows(model, users=USERS):
    found = torch.zeros(len(users), ITEMS)
    items, offsets = users.tensors()
    found[torch.from_numpy(users.users()), items] = model.read(offsets, model.values(offsets))
    return found


def network(model, x, t):
    """f(x_t, t) over dense rows."""
    own = model.network
    return own.outputs(own.hidden(x @ own.first, torch.full((1,), t))).detach().clone()


SETTINGS = [{}, {"normalized": True}, {"oldest": 0.2}, {"n_steps": 1}, {"head__guidance": 0.7}, {"hidden_dims": (8,)}]


@pytest.mark.parametrize("settings", SETTINGS)
@torch.no_grad()
def test_the_reverse_process_is_the_dense_one_step_by_step(settings):
    model = made(**settings)
    x, schedule, w = rows(model), model.schedule, model.config.head.guidance
    for t in range(schedule.steps, 0, -1):
        clean = (1 + w) * network(model, x, t) - w * network(model, torch.zeros(1, ITEMS), t)
        x = schedule.posterior_mean(clean, x, torch.full((len(x),), t))
    assert torch.allclose(scores(model, USERS)[TOOK], x[TOOK], atol=1e-5)


@torch.no_grad()
def test_few_steps_are_those_of_ddim():
    model = made(head__reverse_steps=3)
    x, alpha_bar = rows(model), model.schedule.alpha_bar
    for now, then in ((6, 4), (4, 1), (1, 0)):
        clean = network(model, x, now)
        direction = (x - math.sqrt(alpha_bar[now]) * clean) / math.sqrt(1 - alpha_bar[now])
        x = math.sqrt(alpha_bar[then]) * clean + math.sqrt(1 - alpha_bar[then]) * direction
    assert [step.t for step in coefficients(model.schedule, 3)] == [6, 4, 1]
    assert torch.allclose(scores(model, USERS)[TOOK], x[TOOK], atol=1e-5)


def test_the_last_of_the_coefficients_leaves_only_what_is_denoised():
    schedule = NoiseSchedule.linear_variance(5, 0.1, 0.1, 0.5)
    for steps in (None, 1, 2, 5):
        last = coefficients(schedule, steps)[-1]
        assert (last.of_clean, last.of_now) == pytest.approx((1.0, 0.0), abs=1e-12)


def test_the_loss_is_the_weighted_squared_error_of_the_paper():
    model = made(dropout=0.0, importance=False)
    found = model.trainer(USERS).loss(USERS, Step(number=0, planned=1), noise(4)).value.detach()
    generator, (items, offsets) = noise(4), USERS.tensors()
    t = torch.randint(1, 7, (4,), generator=generator)
    states = model.network.hidden(model.trainer(USERS).noised(items, offsets, model.values(offsets), t, generator), t)
    error = (model.network.outputs(states) - rows(model)).square().mean(dim=1)
    snr = model.schedule.snr
    weights = torch.tensor([1.0 if s == 1 else snr[s - 1] - snr[s] for s in t.tolist()])
    assert float(found) == pytest.approx(float((weights * error.detach()).mean()), rel=1e-5)


def test_x_t_has_the_mean_and_spread_of_the_forward_process():
    model = made(hidden_dims=(ITEMS,), dropout=0.0)
    with torch.no_grad():
        model.network.first.copy_(torch.eye(ITEMS))
    (items, offsets), t, generator = USERS.tensors(), torch.tensor([1, 3, 6, 6]), noise()
    trainer, values = model.trainer(USERS), model.values(offsets)
    draws = torch.stack([trainer.noised(items, offsets, values, t, generator) for _ in range(4000)])
    alpha_bar = torch.from_numpy(model.schedule.alpha_bar).float()[t]
    assert torch.allclose(draws.mean(0), alpha_bar.sqrt()[:, None] * rows(model), atol=0.05)
    assert torch.allclose(draws.var(0), (1 - alpha_bar)[:, None].expand(-1, ITEMS), rtol=0.15, atol=1e-4)


def test_later_events_weigh_more_and_equal_weights_are_diffrec():
    _, offsets = USERS.tensors()
    assert made(oldest=0.2).values(offsets).tolist() == pytest.approx([0.2, 0.6, 1.0, 1.0, 0.2, 0.4, 0.6, 0.8, 1.0])
    plain, timed = made(), made(oldest=1.0)
    for model in (plain, timed):
        fit(model, two_tastes(30, ITEMS), epochs=3)
    assert torch.equal(scores(plain, USERS), scores(timed, USERS))
    other = made(oldest=0.3)
    fit(other, two_tastes(30, ITEMS), epochs=3)
    assert not torch.allclose(scores(other, USERS), scores(plain, USERS))
    back = Histories.from_lists([[5, 3, 0]], ITEMS)
    assert torch.allclose(scores(plain, back), scores(plain, USERS.rows(0, 1)), atol=1e-6)
    assert not torch.allclose(scores(other, back), scores(other, USERS.rows(0, 1)), atol=1e-4)


def test_emptied_histories_are_read_as_nothing_and_still_predicted():
    model = made(dropout=0.0, empty_share=0.5, noise__scale=1e-6, hidden_dims=(ITEMS,))
    with torch.no_grad():
        model.network.first.copy_(torch.eye(ITEMS))
    items, offsets = USERS.tensors()
    t = torch.full((4,), 3)
    trainer, values = model.trainer(USERS), model.values(offsets)
    draws = [trainer.noised(items, offsets, values, t, noise(seed)) for seed in range(400)]
    read = torch.stack([one.abs().sum(1) > 0.5 for one in draws])
    assert read[:, 1].sum() == 0
    assert abs(float(read[:, 0].float().mean()) - 0.5) < 0.1


def test_a_multinomial_head_gives_a_density_and_a_bound_below_its_own_likelihood():
    model = made(head="multinomial", noise__scale=1.0, noise__low=0.1, noise__high=0.9, epochs=40)
    assert model.has_likelihood
    assert not made().has_likelihood
    train = two_tastes(60, ITEMS)
    before = float(model.bound(train, noise()).terms["E log p(x|x_1)"].mean())
    fit(model, train)
    assert torch.allclose(scores(model, USERS).exp().sum(dim=1), torch.ones(4), atol=1e-5)
    reconstruction, steps, last = model.bound(train, noise()).terms.values()
    assert float(reconstruction.mean()) > before
    assert (steps < 0).all()
    assert (last < 0).all()
    model.block = lambda: 2
    assert len(model.bound(USERS, noise()).value) == 4


def test_the_bound_s_prior_term_is_the_closed_form_kl():
    model = made(head="multinomial", n_steps=1)
    alpha_bar = float(model.schedule.alpha_bar[-1])
    x = rows(model)
    one = torch.distributions.Normal(math.sqrt(alpha_bar) * x, math.sqrt(1 - alpha_bar))
    expected = torch.distributions.kl_divergence(one, torch.distributions.Normal(0.0, 1.0)).sum(dim=1)
    assert torch.allclose(model.bound(USERS, noise()).terms["−KL(q(x_T|x) ‖ N(0, I))"], -expected, rtol=1e-4)


def test_a_run_stopped_and_resumed_ends_in_the_same_bits(tmp_path):
    train = two_tastes(40, ITEMS)
    through = made()
    fit(through, train, epochs=12)
    fit(made(), train, epochs=12, folder=tmp_path, until=lambda record: record.epoch == 7)
    resumed = made(seed=4)
    fit(resumed, train, epochs=12, folder=tmp_path, resume=True)
    assert torch.equal(scores(through, USERS), scores(resumed, USERS))


def test_settings_that_cannot_be_are_refused():
    for settings, message in (
        ({"noise__low": 0.5, "noise__high": 0.5}, "must be below high"),
        ({"noise__scale": 10.0}, "below 1"),
        ({"head": "multinomial", "head__reverse_steps": 3}, "Multinomial has no setting 'reverse_steps'"),
        ({"head": "multinomial", "head__guidance": 1.0}, "Multinomial has no setting 'guidance'"),
        ({"head__reverse_steps": 7}, "at most n_steps = 6"),
    ):
        with pytest.raises(ConfigError, match=message):
            made(**settings)
    with pytest.raises(ConfigError, match="no probability"):
        made().bound(USERS, noise())
    with pytest.raises(ShapeError, match="knows 9 items"):
        made(head="multinomial").bound(Histories.empty(1, 3), noise())
    with pytest.raises(ConfigError, match="at most latent_dim = 3"):
        LatentDiffRecConfig(n_clusters=4, latent_dim=3)


def latent(**settings) -> LatentDiffRec:
    config = LatentDiffRecConfig().with_settings(
        {"latent_dim": 7, "hidden_dims": (6,), "n_steps": 4, "batch_size": 10}
        | {name.replace("__", "."): value for name, value in settings.items()}
    )
    return LatentDiffRec(ITEMS, config, seed=1)


def test_clusters_share_the_latent_dimensions_and_see_their_items_alone():
    model = latent(epochs=1, latent_dim=9)
    # Two groups of items that nobody mixes, of six and of three.
    users = [[0, 1, 2], [2, 3, 4], [4, 5, 0], [1, 3, 5], [6, 7], [7, 8], [6, 8]] * 5
    fit(model, Histories.from_lists(users, ITEMS))
    own = model.own.bool()
    assert (own[:6] == own[0]).all()
    assert (own[6:] == ~own[0]).all()
    assert (int(own[0].sum()), int(own[6].sum())) == (6, 3)  # as many as items
    one, both = Histories.from_lists([[0, 1]], ITEMS), Histories.from_lists([[0, 1, 7, 8]], ITEMS)
    mine = own[0].nonzero().squeeze(1)
    bias = model.learned["encoder_bias"][: model.config.latent_dim]
    with torch.no_grad():
        alone, together = (model.posterior(users)[0] - bias for users in (one, both))
    assert torch.allclose(alone[0, mine] / math.sqrt(2), together[0, mine], atol=1e-6)  # but for the row's length
    assert not alone[0, (~own[0]).nonzero().squeeze(1)].any()


@torch.no_grad()
@pytest.mark.parametrize("residual", [False, True])
def test_the_latent_denoiser_adds_to_what_it_reads(residual):
    model, z, t = latent(residual=residual), torch.randn(5, 7), torch.tensor([2])
    added = model.denoised(z, t) - residual * z
    assert added.abs().max() > 0.01
    for name in ("weight_1", "bias_1"):
        model.learned[name].zero_()
    assert torch.equal(model.denoised(z, t), z if residual else torch.zeros_like(z))


@torch.no_grad()
@pytest.mark.parametrize("residual", [False, True])
def test_the_latent_reverse_process_is_that_of_the_posterior_means(residual):
    model = latent(residual=residual)
    z = model.posterior(USERS)[0]
    for t in range(4, 0, -1):
        at = torch.full((len(z),), t)
        z = model.schedule.posterior_mean(model.denoised(z, at), z, at)
    assert torch.allclose(model.queries(USERS), z, atol=1e-6)


def test_the_latent_objective_is_its_terms():
    model = latent(diffusion_weight=0.7, beta=0.4, beta_schedule__share=0.5, dropout=0.0)
    fit(model, two_tastes(30, ITEMS), epochs=2)
    for number, beta in ((0, 0.0), (25, 0.2), (80, 0.4)):
        loss = model.trainer(USERS).loss(USERS, Step(number=number, planned=100), noise())
        terms = {name: float(value.detach()) for name, value in loss.terms.items()}
        expected = beta * terms["kl"] + 0.7 * terms["squared_error"] - terms["reconstruction"]
        assert float(loss.value.detach()) == pytest.approx(expected, rel=1e-5)
    assert np.isfinite(float(loss.value.detach()))
