"""Diffusion: its bound on Gaussians whose likelihood is known, the weights of its losses, training and storage."""

import math

import pytest
import torch

from foldin.data import Examples
from foldin.diffusion import Denoised, log_gaussian, reverse_kl
from foldin.errors import ConfigError, DataError, RunError, ShapeError
from foldin.generative import (
    CosineNoise,
    Diffusion,
    DiffusionConfig,
    GivenNoise,
    LinearNoise,
    MLPNetwork,
    UNetNetwork,
    load_model,
    save_model,
)
from foldin.generative.diffusion_trainer import DiffusionTrainer
from foldin.training import Step, fit

TINY = {
    "network": MLPNetwork(hidden_dims=(16,)),
    "time_dim": 8,
    "noise": CosineNoise(n_steps=20),
    "batch_size": 10,
    "learning_rate": 5e-3,
    "epochs": 3,
}
SHAPE = (4, 4)


def noise(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def made(shape=SHAPE, seed=3, **settings) -> Diffusion:
    return Diffusion(shape, DiffusionConfig(**{**TINY, **settings}), seed=seed)


def stripes(n=40, seed=0) -> Examples:
    columns = torch.rand(n, 1, 4, generator=noise(seed)) < 0.5
    return Examples(torch.where(columns, 220, 30).expand(n, 4, 4).to(torch.uint8).contiguous())


class BestOfGaussian(Diffusion):
    """Knows E[x_0 | x_t] of data from N(1, 0.3 I)."""

    mean, variance = 1.0, 0.3

    def denoise(self, x, t):
        a = self.schedule.at(self.schedule.alpha_bar, t, x)
        gain = a.sqrt() * self.variance / (a * self.variance + 1 - a)
        return Denoised(self.mean + gain * (x - a.sqrt() * self.mean))


def joint_of_model(model: BestOfGaussian) -> torch.distributions.MultivariateNormal:
    """p(x_T, …, x_0) of one value: every step of the reverse process is linear in what comes before."""
    schedule, steps = model.schedule, model.schedule.steps
    of_clean, of_now = schedule.mean_coefficients
    maps, means = [torch.eye(1, steps + 1, dtype=torch.float64)[0]], [0.0]
    for place, t in enumerate(range(steps, 0, -1), 1):
        a = schedule.alpha_bar[t]
        gain = math.sqrt(a) * model.variance / (a * model.variance + 1 - a)
        slope = of_clean[t] * gain + of_now[t]
        own = torch.zeros(steps + 1, dtype=torch.float64)
        own[place] = math.exp(0.5 * schedule.log_posterior_variance[t])
        maps.append(slope * maps[-1] + own)
        means.append(slope * means[-1] + of_clean[t] * (model.mean - gain * math.sqrt(a) * model.mean))
    return torch.distributions.MultivariateNormal(
        torch.tensor(means, dtype=torch.float64), scale_tril=torch.stack(maps)
    )


def given_the_data(joint, x: float) -> torch.distributions.MultivariateNormal:
    """p(x_T, …, x_1 | x_0)."""
    mean, cov = joint.mean, joint.covariance_matrix
    gain = cov[:-1, -1] / cov[-1, -1]
    left = cov[:-1, :-1] - torch.outer(gain, cov[-1, :-1])
    return torch.distributions.MultivariateNormal(mean[:-1] + gain * (x - mean[-1]), 0.5 * (left + left.T))


def forward(schedule, x: float) -> torch.distributions.MultivariateNormal:
    """q(x_T, …, x_1 | x_0)."""
    a = torch.from_numpy(schedule.alpha_bar[1:].copy()).flip(0)
    more, less = torch.minimum(a[:, None], a), torch.maximum(a[:, None], a)  # ᾱ of the later and of the earlier one
    return torch.distributions.MultivariateNormal(a.sqrt() * x, (more / less).sqrt() * (1 - less))


@pytest.mark.parametrize("x", [0.2, 1.0, 2.5])
def test_the_bound_is_the_true_likelihood_minus_its_known_gap(x):
    model = BestOfGaussian((1,), DiffusionConfig(**{**TINY, "noise": CosineNoise(n_steps=12)}))
    joint = joint_of_model(model)
    likelihood = torch.distributions.Normal(joint.mean[-1], joint.covariance_matrix[-1, -1].sqrt())
    true = float(likelihood.log_prob(torch.tensor(x, dtype=torch.float64)))
    gap = float(torch.distributions.kl_divergence(forward(model.schedule, x), given_the_data(joint, x)))
    found = model.bound(Examples(torch.full((20_000, 1), x, dtype=torch.float64)), noise()).bound
    assert gap > 0.01
    assert float(found.mean()) == pytest.approx(true - gap, abs=4 * float(found.std()) / math.sqrt(20_000))


def test_with_more_steps_the_bound_closes_on_the_likelihood():
    data = Examples(1.0 + math.sqrt(0.3) * torch.randn(500, 3, generator=noise(), dtype=torch.float64))
    true = float(torch.distributions.Normal(1.0, math.sqrt(0.3)).log_prob(data.values).sum(dim=1).mean())
    gaps = []
    for steps in (50, 1000):
        model = BestOfGaussian((3,), DiffusionConfig(**{**TINY, "noise": LinearNoise(n_steps=steps)}))
        gaps.append(true - float(model.bound(data, noise(1)).bound.mean()))
    assert gaps[0] > 2 * gaps[1] > 0


def test_the_terms_sum_to_the_bound_and_few_draws_estimate_the_same():
    model, data = made(), stripes(30)
    fit(model, data)
    whole = model.bound(data, noise())
    assert whole.each.shape == (30, 19)
    assert torch.allclose(whole.bound, whole.reconstruction - whole.prior - whole.each.sum(dim=1))
    assert (whole.prior >= 0).all()
    assert (whole.steps >= 0).all()
    assert (whole.reconstruction <= 0).all()  # of whole numbers: a probability
    few = torch.stack([model.bound(data, noise(seed), draws=3).steps for seed in range(60)])
    every = torch.stack([model.bound(data, noise(seed)).steps for seed in range(60)])
    error = few.mean(dim=(0, 1)).item() - every.mean(dim=(0, 1)).item()
    assert abs(error) < 4 * few.mean(dim=1).std().item() / math.sqrt(60)


def test_the_kl_of_a_step_is_the_snr_difference_of_the_squared_error():
    model, data = made((5,)), Examples(torch.randn(8, 5, generator=noise(), dtype=torch.float64))
    schedule = model.schedule
    for step in range(2, schedule.steps + 1):
        t = torch.full((8,), step)
        now = schedule.diffuse(data.values, t, torch.randn(8, 5, generator=noise(1), dtype=torch.float64))
        said = Denoised(torch.zeros(8, 5, dtype=torch.float64))
        nats = model.step_nats(data.values, data.values, now, said, t)
        expected = 0.5 * (schedule.snr[step - 1] - schedule.snr[step]) * data.values.square().sum(dim=1)
        assert torch.allclose(nats, expected, rtol=1e-6)


def test_each_term_is_the_kl_of_its_step():
    model = BestOfGaussian((3,), DiffusionConfig(**TINY))
    schedule = model.schedule
    data = Examples(1.0 + math.sqrt(0.3) * torch.randn(20_000, 3, generator=noise(), dtype=torch.float64))
    found = model.bound(data, noise(1))
    for t in range(2, schedule.steps + 1):
        a = float(schedule.alpha_bar[t])
        left = 0.3 * (1 - a) / (a * 0.3 + 1 - a)  # Var[x_0 | x_t]
        expected = 3 * 0.5 * float(schedule.snr[t - 1] - schedule.snr[t]) * left
        assert float(found.each[:, t - 2].mean()) == pytest.approx(expected, rel=0.05)
    last = float(schedule.alpha_bar[-1])
    assert float(found.prior.mean()) == pytest.approx(1.5 * (-last - math.log1p(-last) + last * 1.3), rel=0.05)


@pytest.mark.parametrize("prediction", ["noise", "clean", "velocity"])
def test_weights_are_those_of_the_squared_error_of_the_data(prediction):
    t = torch.arange(1, 21)
    snr = torch.from_numpy(made().schedule.snr[1:]).float()
    native = torch.from_numpy(made().schedule.of_clean(prediction)[1:]).float()
    weights = {
        w: made(prediction=prediction, step_weights=w).trainer(stripes(2)).weight(t) * native
        for w in ("bound", "snr", "difference")
    }
    assert torch.allclose(weights["snr"], snr.clamp(max=5.0))
    assert torch.allclose(weights["difference"][1:], snr[:-1] - snr[1:])
    assert torch.allclose(weights["bound"][1:], 0.5 * (snr[:-1] - snr[1:]), rtol=1e-4)
    assert float(weights["difference"][0]) == pytest.approx(1.0)
    assert torch.equal(made(prediction=prediction).trainer(stripes(2)).weight(t), torch.ones(20))


@pytest.mark.parametrize("variance", ["small", "large"])
def test_the_bound_s_weights_are_what_a_squared_error_costs_in_it(variance):
    model = made((5,), variance=variance, step_weights="bound", prediction="clean")
    clean = torch.randn(8, 5, generator=noise(), dtype=torch.float64)
    for step in range(1, 21):
        t = torch.full((8,), step)
        now = model.schedule.diffuse(clean, t, torch.randn(8, 5, generator=noise(1), dtype=torch.float64))
        right, wrong = (model.step_nats(clean, clean, now, Denoised(clean + off), t) for off in (0.0, 0.1))
        assert torch.allclose((wrong - right).float(), model.trainer(stripes(2)).weight(t) * 5 * 0.01, rtol=1e-3)


def test_floats_of_any_range_are_drawn_as_they_were_learned():
    data = Examples(5.0 + torch.randn(400, 2, generator=noise()))
    network = MLPNetwork(hidden_dims=(32,))
    settings = {"network": network, "noise": CosineNoise(n_steps=50), "epochs": 40, "batch_size": 50}
    model = made((2,), prediction="velocity", **settings)
    fit(model, data)
    assert model.sample(500, noise()).mean() == pytest.approx(5.0, abs=0.4)
    pictures = made()
    fit(pictures, stripes())
    assert pictures.sample(50, noise()).abs().max() <= 1.0
    with pytest.raises(ConfigError, match="it is DDIM's"):
        model.sample(2, noise(), eta=0.5)


def test_a_schedule_of_one_s_own_is_taken_and_comes_back(tmp_path):
    betas = tuple(0.01 * at for at in range(1, 21))
    model = made(noise=GivenNoise(betas=betas))
    assert torch.allclose(torch.from_numpy(model.schedule.betas[1:]), torch.tensor(betas).double())
    fit(model, stripes())
    save_model(tmp_path / "own.safetensors", model)
    again = load_model(tmp_path / "own.safetensors")
    assert torch.equal(again.sample(2, noise()), model.sample(2, noise()))
    with pytest.raises(ConfigError, match=r"noise.betas = \(0.01,\): those of two steps at least"):
        made(noise=GivenNoise(betas=betas[:1]))


def test_a_level_s_probabilities_sum_to_one_and_agree_with_a_fine_density():
    levels = torch.arange(256, dtype=torch.uint8).view(-1, 1)
    clean = levels.double() * 2 / 255 - 1
    for mean, log_variance in ((0.1, -3.0), (0.99, -6.0), (-2.0, 0.0)):
        found = log_gaussian(levels, clean, torch.full_like(clean, mean), torch.tensor(log_variance))
        assert found.exp().sum() == pytest.approx(1.0, abs=1e-6)
    inner = torch.distributions.Normal(0.1, math.exp(-1.5)).log_prob(clean[100]) + math.log(2 / 255)
    found = log_gaussian(levels[100:101], clean[100:101], torch.tensor([[0.1]]).double(), torch.tensor(-3.0))
    assert float(found) == pytest.approx(float(inner), abs=1e-4)


def test_the_kl_of_gaussians_is_that_of_torch():
    a, b = torch.distributions.Normal(0.3, 0.5), torch.distributions.Normal(-0.2, 1.7)
    found = reverse_kl(
        torch.full((1, 4), 0.3),
        torch.tensor(2 * math.log(0.5)),
        torch.full((1, 4), -0.2),
        torch.tensor(2 * math.log(1.7)),
    )
    assert float(found) == pytest.approx(4 * float(torch.distributions.kl_divergence(a, b)), rel=1e-5)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"prediction": "velocity", "step_weights": "snr"},
        {"variance": "learned"},
        {"importance": True, "prediction": "clean", "step_weights": "difference"},
        pytest.param({"network": UNetNetwork(channels=(8, 16)), "learning_rate": 2e-3}, marks=pytest.mark.long),
    ],
)
def test_training_raises_the_bound_and_draws_look_like_the_data(settings):
    model, data = made(**settings), stripes(60)
    before = float(model.bound(data, noise()).bound.mean())
    fit(model, data, epochs=60)
    assert float(model.bound(data, noise()).bound.mean()) > before + 10
    drawn = model.sample(50, noise())
    # Columns of one shade: the spread within a column is far below that of the pictures.
    assert drawn.std(dim=1).mean() < 0.6 * drawn.std()
    assert model.levels(drawn).dtype == torch.uint8
    quick = model.sample(50, noise(), steps=5)
    assert torch.isfinite(quick).all()
    assert torch.equal(quick, model.sample(50, noise(), steps=5))


def test_the_average_follows_the_weights():
    plain, slow = made(average_decay=0.0), made(average_decay=0.999)
    for model in (plain, slow):
        fit(model, stripes(), seed=1)
    for network, average in zip(plain.network.parameters(), plain.averaged.parameters(), strict=True):
        assert torch.equal(network, average)
    pairs = list(
        zip(*(one.state_dict().values() for one in (slow.network, slow.averaged, made().network)), strict=True)
    )
    moved = sum(float((network - first).square().sum()) for network, _, first in pairs)
    behind = sum(float((network - average).square().sum()) for network, average, _ in pairs)
    assert 0 < behind < moved


def test_the_average_is_the_recursion_written_out(monkeypatch):
    model, data = made(epochs=1, batch_size=20), stripes(40)
    weights = [[p.detach().clone() for p in model.network.parameters()]]
    own = DiffusionTrainer.average_after

    def spy(trainer, taken):
        own(trainer, taken)
        weights.append([p.detach().clone() for p in model.network.parameters()])

    monkeypatch.setattr(DiffusionTrainer, "average_after", spy)
    fit(model, data)
    expected = weights[0]
    for taken, now in enumerate(weights[2:], 1):  # the first call comes before the first step
        decay = min(0.999, (1 + taken) / (10 + taken))
        expected = [decay * mean + (1 - decay) * new for mean, new in zip(expected, now, strict=True)]
    for mean, wanted in zip(model.averaged.parameters(), expected, strict=True):
        assert torch.allclose(mean, wanted, atol=1e-6)


@pytest.mark.parametrize(
    "settings", [{"importance": True}, {"network": UNetNetwork(channels=(4, 8)), "variance": "learned"}]
)
def test_stopped_and_resumed_it_ends_in_the_same_bits(settings, tmp_path):
    data = stripes()
    through = made(**settings)
    fit(through, data, epochs=4)
    fit(made(**settings), data, epochs=4, folder=tmp_path, until=lambda record: record.epoch == 2)
    resumed = made(seed=4, **settings)
    fit(resumed, data, epochs=4, folder=tmp_path, resume=True)
    assert all(torch.equal(value, resumed.state()[name]) for name, value in through.state().items())


def test_it_comes_back_from_its_file(tmp_path):
    model = made()
    fit(model, stripes())
    save_model(tmp_path / "one.safetensors", model)
    again = load_model(tmp_path / "one.safetensors")
    assert isinstance(again, Diffusion)
    assert torch.equal(again.sample(3, noise()), model.sample(3, noise()))
    assert again.config == model.config


def test_a_u_net_begins_with_zeros_and_sees_the_step():
    model = made((3, 8, 8), network=UNetNetwork(channels=(4, 8)))
    x, t = torch.randn(2, 3, 8, 8, generator=noise()), torch.tensor([1, 20])
    assert not model.network(x, t).any()
    data = Examples((torch.rand(20, 3, 8, 8, generator=noise()) * 255).to(torch.uint8))
    fit(model, data, epochs=2)
    assert model.network(x, t).shape == x.shape
    assert not torch.equal(model.network(x, t), model.network(x, t.flip(0)))


def test_the_schedule_of_the_loss_is_drawn_evenly_over_the_steps():
    model, seen = made(), []
    schedule = model.schedule
    own = schedule.diffuse

    class Spy:
        def __getattr__(self, name):
            return getattr(schedule, name)

        def diffuse(self, clean, t, noise):
            seen.append(t)
            return own(clean, t, noise)

    model.schedule = Spy()
    generator, trainer = noise(), model.trainer(stripes(10))
    for number in range(200):
        trainer.loss(stripes(10), Step(number=number, planned=200), generator)
    counts = torch.bincount(torch.cat(seen), minlength=21)
    assert counts[0] == 0
    assert (counts[1:] - 100).abs().max() < 50


def test_errors_name_what_was_wrong(tmp_path):
    with pytest.raises(ShapeError, match="have no values"):
        Diffusion(())
    with pytest.raises(ShapeError, match="U-Net takes"):
        made((5,), network=UNetNetwork())
    with pytest.raises(ShapeError, match="needs pictures that 4 divides, not 6×6"):
        made((6, 6), network=UNetNetwork(channels=(4, 8)))
    with pytest.raises(ShapeError, match=r"examples of shape \(4, 4\) were expected, not \(2, 2\)"):
        made().bound(Examples(torch.zeros(1, 2, 2)), noise())
    with pytest.raises(DataError, match="finite floats were expected"):
        fit(made(), Examples(torch.zeros(2, 4, 4, dtype=torch.int64)))
    with pytest.raises(ConfigError, match="between 1 and 19"):
        made().bound(stripes(1), noise(), draws=20)
    with pytest.raises(ConfigError, match="21 of 20 steps"):
        made().sample(1, noise(), steps=21)
    save_model(tmp_path / "a.safetensors", made())
    with pytest.raises(RunError, match="no such file"):
        load_model(tmp_path / "b.safetensors")
