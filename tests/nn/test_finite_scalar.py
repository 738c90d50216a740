"""Finite scalar quantization: the nearest fixed values, all codes in reach, and the gradient of the value before rounding."""

import itertools

import pytest
import torch

from foldin.errors import ConfigError, ShapeError
from foldin.nn import FiniteScalarQuantizer


@pytest.mark.parametrize("values", [(2,), (3, 2), (8, 5, 5), (4, 4)])
def test_each_coordinate_takes_the_nearest_of_its_values(values):
    x = 2.0 * torch.randn(500, len(values), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = FiniteScalarQuantizer(values)(x)
    for j, count in enumerate(values):
        steps = torch.arange(count) - 0.5 * (count - 1)
        bounded = 0.5 * (count - 1) * torch.tanh(x[:, j])
        nearest = (bounded[:, None] - steps).abs().argmin(dim=1)
        assert torch.equal(found.values[:, j].double(), steps[nearest].double())
    assert found.loss.item() == 0.0


@pytest.mark.parametrize("values", [(2,), (3, 2), (5, 4, 3)])
def test_codes_are_the_places_of_all_combinations(values):
    quantizer = FiniteScalarQuantizer(values)
    axes = [torch.atanh(torch.linspace(-0.999, 0.999, 40)) for _ in values]
    found = quantizer(torch.cartesian_prod(*axes).reshape(-1, len(values)))
    assert sorted(found.codes.unique().tolist()) == list(range(quantizer.codes))
    assert torch.allclose(quantizer.decode(found.codes), found.values, atol=1e-6)
    # The first coordinate changes fastest.
    places = [place[::-1] for place in itertools.product(*(range(count) for count in reversed(values)))]
    middle = torch.tensor([0.5 * (count - 1) for count in values])
    assert torch.equal(quantizer.decode(torch.arange(quantizer.codes)[:, None]), torch.tensor(places) - middle)


def test_far_out_vectors_take_the_outermost_values():
    quantizer = FiniteScalarQuantizer((4, 5))
    found = quantizer(torch.tensor([[1e6, 1e6], [-1e6, -1e6]]))
    assert found.values.tolist() == [[1.5, 2.0], [-1.5, -2.0]]
    assert found.codes.tolist() == [[19], [0]]


def test_the_gradient_is_that_of_the_value_before_rounding():
    x = torch.tensor([[0.3, -1.2]], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(FiniteScalarQuantizer((5, 8))(x).values.sum(), x)
    expected = torch.tensor([[2.0, 3.5]], dtype=torch.float64) / torch.cosh(x.detach()) ** 2
    assert torch.allclose(slope, expected)


def test_it_learns_in_the_place_of_a_codebook():
    """An autoencoder of one linear layer each way loses most of its error in a few steps."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(400, 4, generator=generator) @ torch.randn(4, 8, generator=generator)
    torch.manual_seed(0)
    encoder, decoder, quantizer = torch.nn.Linear(8, 4), torch.nn.Linear(4, 8), FiniteScalarQuantizer((8, 8, 8, 8))
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=0.02)
    errors = []
    for _ in range(300):
        found = quantizer(encoder(x))
        error = (decoder(found.values) - x).square().mean() + found.loss
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        errors.append(error.item())
    assert errors[-1] < 0.1 * errors[0]


@pytest.mark.parametrize("values", [(), (1,), (5, 0), (2,) * 63])
def test_values_out_of_range_are_refused(values):
    with pytest.raises(ConfigError, match="2 values of each and fewer than"):
        FiniteScalarQuantizer(values)


def test_vectors_of_another_width_are_refused():
    with pytest.raises(ShapeError, match="2 coordinates with values, but the vectors are of width 3"):
        FiniteScalarQuantizer((5, 5))(torch.zeros(1, 3))
