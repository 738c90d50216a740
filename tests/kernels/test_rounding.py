"""Stochastic rounding to bfloat16."""

import pytest
import torch

from foldin.kernels import stochastic_bfloat16


@pytest.mark.parametrize("value", [1.0007, -1.0007, 3.3e-5, -217.31, 1e-20, 0.0])
def test_its_expectation_is_the_number(value):
    x = torch.full((40_000,), value)
    found = stochastic_bfloat16(x, torch.Generator().manual_seed(1))
    assert found.dtype == torch.bfloat16
    different = found.unique().double()
    assert len(different) <= 2
    nearest = x[0].bfloat16().double()
    assert nearest in different
    if value:
        assert ((different - value).abs() < abs(value) * 2**-7).all()  # a step between neighbors
    doubles = found.double()
    assert (doubles.mean() - x[0].double()).abs() <= 4 * doubles.std() / len(x) ** 0.5


def test_numbers_of_bfloat16_stay():
    x = torch.randn(1000, generator=torch.Generator().manual_seed(2)).bfloat16()
    assert torch.equal(stochastic_bfloat16(x.float(), torch.Generator().manual_seed(3)), x)


def test_neighboring_entries_are_rounded_independently():
    rounded = stochastic_bfloat16(torch.full((8, 5000), 1.0 + 2.0**-8), torch.Generator().manual_seed(4)).double()
    assert torch.corrcoef(rounded).sub(torch.eye(8)).abs().max() < 0.08
