"""Diffusion: its bound on Gaussians whose likelihood is known, the weights of its losses, training and storage."""

import math

import pytest
import torch

from foldin.data import Examples
from foldin.errors import ConfigError, DataError, RunError, ShapeError
from foldin.generative import Denoised, Diffusion, DiffusionConfig, load_model, save_model
from foldin.generative.diffusion_bound import log_gaussian, reverse_kl
from foldin.training import Step, fit

TINY = {"network": "mlp", "hidden": (16,), "time": 8, "steps": 20, "batch_size": 10, "learning_rate": 5e-3, "epochs": 3}
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


def test_the_bound_is_below_the_true_likelihood_by_its_known_gap():
    model = BestOfGaussian((3,), DiffusionConfig(**{**TINY, "steps": 200}))
    data = Examples(1.0 + math.sqrt(0.3) * torch.randn(4000, 3, generator=noise(), dtype=torch.float64))
    true = torch.distributions.Normal(1.0, math.sqrt(0.3)).log_prob(data.values).sum(dim=1)
    bound = model.bound(data, noise(1)).bound
    # log p_θ(x) and its gap both follow from Gaussians: the model's marginal, step by step, and KL(q(x_1:T|x) ‖ p(x_1:T|x)).
    schedule, gap = model.schedule, 0.0
    for t in range(2, 201):
        a = float(schedule.alpha_bar[t])
        left = 0.3 * (1 - a) / (a * 0.3 + 1 - a)  # Var[x_0 | x_t]
        gap += 3 * 0.5 * float(schedule.snr[t - 1] - schedule.snr[t]) * left
    first, sigma = float(schedule.alpha_bar[1]), math.exp(0.5 * schedule.log_posterior_variance[1])
    left = 0.3 * (1 - first) / (first * 0.3 + 1 - first)
    last = float(schedule.alpha_bar[-1])
    prior = 3 * 0.5 * (-last - math.log1p(-last) + last * 1.3)
    reconstruction = -3 * (0.5 * math.log(2 * math.pi) + math.log(sigma) + 0.5 * left / sigma**2)
    expected = reconstruction - gap - prior
    assert float(bound.mean()) == pytest.approx(expected, rel=0.01)
    assert float(bound.mean()) < float(true.mean())
    assert float(true.mean() - bound.mean()) == pytest.approx(
        -3 * (0.5 * math.log(2 * math.pi * 0.3) + 0.5) - expected, abs=0.05
    )


def test_with_more_steps_the_bound_closes_on_the_likelihood():
    data = Examples(1.0 + math.sqrt(0.3) * torch.randn(500, 3, generator=noise(), dtype=torch.float64))
    true = float(torch.distributions.Normal(1.0, math.sqrt(0.3)).log_prob(data.values).sum(dim=1).mean())
    gaps = []
    for steps in (50, 1000):
        model = BestOfGaussian((3,), DiffusionConfig(**{**TINY, "steps": steps, "schedule": "linear"}))
        gaps.append(true - float(model.bound(data, noise(1)).bound.mean()))
    assert gaps[0] > 2 * gaps[1] > 0


def test_the_terms_sum_to_the_bound_and_few_draws_estimate_the_same():
    model, data = made(), stripes(30)
    fit(model, data)
    whole = model.bound(data, noise())
    assert torch.equal(whole.bound, whole.reconstruction - whole.prior - whole.steps)
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
        nats = model._step_nats(data.values, data.values, now, said, t)
        expected = 0.5 * (schedule.snr[step - 1] - schedule.snr[step]) * data.values.square().sum(dim=1)
        assert torch.allclose(nats, expected, rtol=1e-6)


@pytest.mark.parametrize("prediction", ["noise", "clean", "velocity"])
def test_weights_are_those_of_the_squared_error_of_the_data(prediction):
    t = torch.arange(1, 21)
    snr = torch.from_numpy(made().schedule.snr[1:]).float()
    native = torch.from_numpy(made().schedule.of_clean(prediction)[1:]).float()
    weights = {w: made(prediction=prediction, weights=w).weight(t) * native for w in ("bound", "snr", "difference")}
    assert torch.allclose(weights["snr"], snr.clamp(max=5.0))
    assert torch.allclose(weights["difference"][1:], snr[:-1] - snr[1:])
    assert torch.allclose(weights["bound"][1:], 0.5 * (snr[:-1] - snr[1:]))
    assert torch.allclose(weights["bound"][0], 0.5 * snr[0])
    assert float(weights["difference"][0]) == pytest.approx(1.0)
    assert torch.equal(made(prediction=prediction).weight(t), torch.ones(20))


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
        {"prediction": "velocity", "weights": "snr"},
        {"variance": "learned"},
        {"importance": True, "prediction": "clean", "weights": "difference"},
        {"network": "unet", "hidden": (8, 16), "learning_rate": 2e-3},
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
    plain, slow = made(average=0.0), made(average=0.999)
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


def test_the_average_is_the_recursion_written_out():
    model, data = made(epochs=1, batch_size=20), stripes(40)
    weights = [[p.detach().clone() for p in model.network.parameters()]]
    own = model._average

    def spy(taken):
        own(taken)
        weights.append([p.detach().clone() for p in model.network.parameters()])

    model._average = spy
    fit(model, data)
    expected = weights[0]
    for taken, now in enumerate(weights[2:], 1):  # the first call comes before the first step
        decay = min(0.999, (1 + taken) / (10 + taken))
        expected = [decay * mean + (1 - decay) * new for mean, new in zip(expected, now, strict=True)]
    for mean, wanted in zip(model.averaged.parameters(), expected, strict=True):
        assert torch.allclose(mean, wanted, atol=1e-6)


@pytest.mark.parametrize(
    "settings", [{"importance": True}, {"network": "unet", "hidden": (4, 8), "variance": "learned"}]
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
    model = made((3, 8, 8), network="unet", hidden=(4, 8))
    x, t = torch.randn(2, 3, 8, 8, generator=noise()), torch.tensor([1, 20])
    assert not model.network(x, t).any()
    data = Examples((torch.rand(20, 3, 8, 8, generator=noise()) * 255).to(torch.uint8))
    fit(model, data, epochs=2)
    assert model.network(x, t).shape == x.shape
    assert not torch.equal(model.network(x, t), model.network(x, t.flip(0)))


def test_the_schedule_of_the_loss_is_drawn_evenly_over_the_steps():
    model, seen = made(), []
    own = model.schedule.diffuse

    class Spy:
        def __getattr__(self, name):
            return getattr(made().schedule, name)

        def diffuse(self, clean, t, noise):
            seen.append(t)
            return own(clean, t, noise)

    model.schedule = Spy()
    generator = noise()
    for number in range(200):
        model._loss(stripes(10), Step(number=number, planned=200), generator)
    counts = torch.bincount(torch.cat(seen), minlength=21)
    assert counts[0] == 0
    assert (counts[1:] - 100).abs().max() < 50


def test_errors_name_what_was_wrong(tmp_path):
    with pytest.raises(ShapeError, match="have no values"):
        Diffusion(())
    with pytest.raises(ShapeError, match="U-Net takes"):
        made((5,), network="unet")
    with pytest.raises(ShapeError, match="needs pictures that 4 divides, not 6×6"):
        made((6, 6), network="unet", hidden=(4, 8))
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
