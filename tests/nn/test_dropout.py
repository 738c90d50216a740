import pytest
import torch

from foldin.kernels import devices
from foldin.nn import dropout


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_a_share_of_the_rate_is_zero_and_the_mean_stays(rate):
    x = torch.ones(301, 1001, dtype=torch.float64)
    found = dropout(x, rate, torch.Generator().manual_seed(0))
    assert float((found == 0.0).double().mean()) == pytest.approx(rate, abs=0.005)
    assert torch.allclose(found[found > 0], torch.tensor(1.0 / (1.0 - rate), dtype=torch.float64))
    rows, columns = (found == 0).double().mean(0), (found == 0).double().mean(1)
    assert float(rows.std()) == pytest.approx((rate * (1 - rate) / 301) ** 0.5, rel=0.1)
    assert float(columns.std()) == pytest.approx((rate * (1 - rate) / 1001) ** 0.5, rel=0.15)


def test_it_is_drawn_from_its_generator_alone():
    x = torch.randn(7, 5)
    state = torch.get_rng_state()
    first, second = (dropout(x, 0.5, torch.Generator().manual_seed(4)) for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(state, torch.get_rng_state())
    assert dropout(x, 0.0, None) is x


def test_on_a_gpu_too_a_share_of_the_rate_is_zero_and_the_mean_stays(monkeypatch):
    monkeypatch.setattr(devices, "_PROCESSOR", "")
    x = torch.full((301, 1001), 2.0, dtype=torch.float64, requires_grad=True)
    found = dropout(x, 0.2, torch.Generator().manual_seed(0))
    assert float((found == 0.0).double().mean()) == pytest.approx(0.2, abs=0.005)
    assert torch.allclose(found[found > 0], torch.tensor(2.5, dtype=torch.float64))
    (gradient,) = torch.autograd.grad(found.sum(), x)
    assert torch.allclose(gradient * x, found)
    assert dropout(x, 0.0, None) is x
