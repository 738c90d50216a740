"""Quantizers: straight-through gradients, averages as weighted k-means, levels, parts, and how codes are used."""

import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from foldin.errors import ConfigError, ShapeError
from foldin.inference import nearest
from foldin.nn import ProductQuantizer, ResidualQuantizer, VectorQuantizer, code_use


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def data(n: int = 200, width: int = 4, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, width, generator=generator(seed))


def quantizer(codes: int = 8, width: int = 4, **settings) -> VectorQuantizer:
    return VectorQuantizer(codes, width, **settings, generator=generator(1))


def residual(levels: int = 3, codes: int = 8, **settings) -> ResidualQuantizer:
    return ResidualQuantizer([quantizer(codes, **settings) for _ in range(levels)])


@settings(max_examples=30)
@given(st.integers(0, 40), st.integers(1, 9), st.integers(1, 5), st.integers(0, 99))
def test_the_code_is_that_of_the_nearest_vector(n, codes, width, seed):
    x, one = data(n, width, seed), VectorQuantizer(codes, width, generator=generator(seed))
    distances = torch.cdist(x.double(), one.vectors.double())
    found = one(x)
    assert found.codes.shape == (n, 1)
    assert torch.allclose(distances.gather(1, found.codes)[:, 0], distances.min(dim=1).values, atol=1e-5)
    assert torch.allclose(found.values, one.decode(found.codes), atol=1e-6)


@pytest.mark.parametrize("threads", [1, 3])
def test_the_nearest_centre_whatever_the_blocks(threads, set_threads, monkeypatch):
    # The function has its module's name.
    monkeypatch.setattr(sys.modules["foldin.inference.k_means"], "_BLOCK", 70)
    set_threads(threads)
    x, centers = data(101, 3).numpy(), data(7, 3, seed=1).numpy()
    own, distances = nearest(x, centers)
    exact = ((x[:, None] - centers) ** 2).sum(-1)
    assert (own == exact.argmin(axis=1)).all()
    assert np.allclose(distances, exact.min(axis=1), atol=1e-5)


def test_the_gradient_goes_straight_through():
    """d f(q(x)) / dx is f' at q(x); that of the commitment is 2β(x − e)/n, and of the codebook 2 Σ(e − x)/n, by differences."""
    x, weights = data(20).double().requires_grad_(), data(20, seed=3).double()
    one = quantizer(average=None).double()
    found = one(x)
    (found.values**2 * weights).sum().backward()
    assert x.grad is not None
    assert torch.allclose(x.grad, (2 * found.values * weights).detach())
    assert one.vectors.grad is None  # the values pass the codebook by
    x.grad = None
    found = one(x)
    found.loss.backward()
    chosen = one.decode(found.codes)
    assert torch.allclose(x.grad, (0.25 * 2 * (x - chosen) / 20).detach())
    assert one.vectors.grad is not None
    step, at = 1e-6, (int(found.codes[0]), 1)
    with torch.no_grad():
        moved = []
        for sign in (1, -1):
            one.vectors[at] += sign * step
            moved.append(float((x - one.decode(found.codes)).square().sum()) / 20)
            one.vectors[at] -= sign * step
    assert float(one.vectors.grad[at]) == pytest.approx((moved[0] - moved[1]) / (2 * step), rel=1e-5)


def test_the_average_is_k_means_weighted_by_age():
    one = quantizer(codes=3, average=0.9)
    one.begin(data(50), np.random.default_rng(0))
    uses, sums = one.uses.clone(), one.sums.clone()
    batches = [data(40, seed=seed) for seed in range(1, 6)]
    codes = [one(x, generator()).codes[:, 0] for x in batches]
    for k in range(3):
        n = uses[k] * 0.9**5
        total = sums[k] * 0.9**5
        for age, (x, own) in enumerate(zip(reversed(batches), reversed(codes), strict=True)):
            n = n + 0.1 * 0.9**age * (own == k).sum()
            total = total + 0.1 * 0.9**age * x[own == k].sum(dim=0)
        assert torch.allclose(one.vectors[k], total / n, atol=1e-5)


def test_without_noise_nothing_moves():
    one = residual()
    before = {name: value.clone() for name, value in one.state_dict().items()}
    one(data())
    assert all(torch.equal(value, before[name]) for name, value in one.state_dict().items())


def test_training_by_average_and_by_gradient_lowers_the_error():
    x = torch.cat(
        [center + 0.1 * data(100, 2, seed) for seed, center in enumerate(torch.tensor([[0.0, 3], [3, 0], [-3, -3]]))]
    )
    for average in (0.8, None):
        one = VectorQuantizer(3, 2, average=average, generator=generator(2))
        one.begin(x[::60], np.random.default_rng(0))
        optimizer = torch.optim.Adam([one.vectors], lr=0.05) if average is None else None
        for step in range(120):
            found = one(x, generator(step))
            if optimizer is not None:
                optimizer.zero_grad()
                found.loss.backward()
                optimizer.step()
        assert float((x - one(x).values).square().sum(dim=1).mean()) < 0.05


def test_dead_codes_begin_again_at_vectors_of_the_batch():
    one = quantizer(codes=6, least=0.05)
    with torch.no_grad():
        one.vectors[3:] = 100.0
    one.sums.copy_(one.vectors)
    x = data(64)
    for step in range(120):
        one(x, generator(step))
    assert code_use(one(x).codes.numpy(), (6,)).used[0] == 1.0
    lying = quantizer(codes=6)
    with torch.no_grad():
        lying.vectors[3:] = 100.0
    lying.sums.copy_(lying.vectors)
    for step in range(120):
        lying(x, generator(step))
    assert code_use(lying(x).codes.numpy(), (6,)).used[0] <= 0.5


def test_quantizing_what_was_decoded_changes_nothing():
    one = quantizer()
    one.begin(data(), np.random.default_rng(0))
    codes = one(data(seed=5)).codes
    assert torch.equal(one(one.decode(codes)).codes, codes)
    parts = ProductQuantizer([quantizer(width=1), quantizer(width=3)])
    parts.begin(data(), np.random.default_rng(0))
    codes = parts(data(seed=5)).codes
    assert codes.shape == (200, 2)
    assert torch.equal(parts(parts.decode(codes)).codes, codes)


def test_each_level_leaves_less_over():
    x, one = data(500), residual(levels=4)
    one.begin(x, np.random.default_rng(0))
    found, left, errors = one(x), x, []
    assert torch.allclose(one.decode(found.codes), found.values, atol=1e-5)
    for level, book in enumerate(one.levels):
        left = left - book.decode(found.codes[:, level : level + 1])
        errors.append(float(left.square().sum(dim=1).mean()))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.2 * errors[0]
    assert errors[-1] == pytest.approx(float((x - found.values).square().sum(dim=1).mean()), rel=1e-4)


def test_a_residual_s_loss_is_that_of_its_levels_and_its_gradient_goes_straight():
    x = data(30).requires_grad_()
    one = residual(average=None)
    one.begin(x, np.random.default_rng(0))
    found = one(x)
    left, expected = x.detach(), 0.0
    for level, book in enumerate(one.levels):
        chosen = book.decode(found.codes[:, level : level + 1])
        expected += 1.25 * float((left - chosen).detach().square().sum()) / 30
        left = left - chosen.detach()
    assert float(found.loss.detach()) == pytest.approx(expected, rel=1e-5)
    (found.values * 3.0).sum().backward()
    assert torch.allclose(x.grad, torch.full_like(x, 3.0))
    found.loss.backward()
    assert all((book.vectors.grad != 0).any() for book in one.levels)


def test_grouped_residual_quantization():
    groups = ProductQuantizer(
        [
            ResidualQuantizer([quantizer(width=2) for _ in range(2)]),
            ResidualQuantizer([quantizer(width=2) for _ in range(3)]),
        ]
    )
    groups.begin(data(), np.random.default_rng(0))
    found = groups(data(seed=4), generator())
    assert found.codes.shape == (200, 5)
    assert groups(data(seed=4)).values.shape == (200, 4)
    codes = groups(data(seed=4)).codes
    assert torch.allclose(groups.decode(codes), groups(data(seed=4)).values, atol=1e-5)


def test_fewer_vectors_than_codes_are_begun_with():
    one = quantizer(codes=20)
    one.begin(data(5), np.random.default_rng(0))
    assert torch.isfinite(one.vectors).all()
    assert float((data(5) - one(data(5)).values).abs().max()) < 0.05


def test_use_perplexity_and_collisions_of_known_codes():
    codes = np.array([[0, 1], [0, 1], [1, 0], [2, 2]])
    found = code_use(codes, (4, 3))
    assert found.used == pytest.approx([0.75, 1.0])
    assert found.perplexity == pytest.approx([np.exp(1.5 * np.log(2)), np.exp(1.5 * np.log(2))])
    assert found.collisions == 0.5
    assert found.largest == 2
    assert found.alarms == (
        "level 0: 25% of the 4 codes are not used",
        "50% of the things share their name with another",
    )
    assert code_use(np.arange(8)[:, None], (8,)).perplexity[0] == pytest.approx(8.0)
    assert code_use(np.arange(8)[:, None], (8,)).alarms == ()


def test_revived_codes_have_time_to_be_found():
    x, one = data(256, 2), quantizer(codes=16, width=2, least=0.125, average=0.9)
    one.begin(x, np.random.default_rng(0))
    first = float((x - one(x).values).square().sum(dim=1).mean())
    for step in range(150):
        one(x, generator(step))
    assert float((x - one(x).values).square().sum(dim=1).mean()) < 1.1 * first


def test_bad_input_is_one_clear_error():
    with pytest.raises(ShapeError, match=r"width 4 cannot begin with vectors of shape \(0, 4\)"):
        quantizer().begin(data(0), np.random.default_rng(0))
    with pytest.raises(ShapeError, match="one thing at least"):
        code_use(np.arange(3), (3,))
    with pytest.raises(ConfigError, match="codes 0 and width 4 must be at least 1"):
        quantizer(codes=0)
    with pytest.raises(ConfigError, match="levels of one width"):
        ResidualQuantizer([quantizer(width=2), quantizer(width=3)])
    with pytest.raises(ConfigError, match="one part at least"):
        ProductQuantizer([])
    with pytest.raises(ShapeError, match="of width 4, the vectors of 3"):
        quantizer()(data(2, 3))
    with pytest.raises(ShapeError, match="of width 4 together, the vectors of 3"):
        ProductQuantizer([quantizer()])(data(2, 3))
    with pytest.raises(ShapeError, match=r"level 0: codes must be in \[0, 2\), met 0 to 2"):
        code_use(np.array([[0], [2]]), (2,))
    with pytest.raises(ShapeError, match="one thing at least"):
        code_use(np.empty((0, 1), int), (2,))


def test_use_is_counted_level_by_level_and_code_by_code():
    codes = np.array([[0, 0], [0, 1], [0, 1], [1, 0]])
    use = code_use(codes, (2, 2))
    assert [one.tolist() for one in use.counts] == [[3, 1], [2, 2]]
    assert np.allclose(use.entropy, [-(0.75 * np.log(0.75) + 0.25 * np.log(0.25)), np.log(2)])
    assert use.shared.tolist() == [0.75, 0.5]
    assert (use.collisions, use.largest) == (0.5, 2)


def test_a_level_of_which_few_codes_do_all_the_work_is_an_alarm():
    rng = np.random.default_rng(0)
    codes = np.concatenate((np.zeros(5000, dtype=int), np.arange(100)))[:, None]
    (alarm, *_) = code_use(codes, (100,), names=rng.permutation(5100)[:, None]).alarms
    assert "level 0: as if 1.2 of the 100 codes" in alarm
    assert code_use(rng.integers(100, size=(5000, 1)), (100,), names=np.arange(5000)[:, None]).alarms == ()
