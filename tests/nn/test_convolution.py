"""Convolutions: shapes, what a place sees, where the initial weights come from."""

import pytest
import torch

from foldin.errors import ShapeError
from foldin.nn import ConvolutionalDecoder, ConvolutionalEncoder, ConvolutionShape, grid_of

CPU = torch.device("cpu")


def made(kind, *, channels: int = 1, out: int = 5, width: int = 8, blocks: int = 2, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    shape = ConvolutionShape(width=width, inner=3, blocks=blocks)
    return kind(channels, out, shape, generator=generator, device=CPU)


def noise(*shape: int, seed: int = 3) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("height", "width"), [(4, 4), (8, 12), (28, 28)])
@pytest.mark.parametrize(("channels", "blocks"), [(1, 0), (3, 2)])
def test_a_quarter_down_and_back_up(height, width, channels, blocks):
    z = made(ConvolutionalEncoder, channels=channels, blocks=blocks)(noise(2, channels, height, width))
    assert z.shape == (2, 5, *grid_of((height, width)))
    assert made(ConvolutionalDecoder, channels=channels, blocks=blocks)(z).shape == (2, channels, height, width)


@pytest.mark.parametrize("shape", [(27, 28), (28, 30), (0, 4), (28,), (1, 28, 28)])
def test_a_size_that_four_does_not_divide_is_refused(shape):
    with pytest.raises(ShapeError, match="4 divides"):
        grid_of(shape)
    if len(shape) == 2 and min(shape) > 0:
        with pytest.raises(ShapeError, match="4 divides"):
            made(ConvolutionalEncoder)(noise(1, 1, *shape))


def test_a_place_of_the_grid_belongs_to_its_own_pixels():
    """Without residual blocks a place sees 10×10 pixels around its 4×4, and writes as many."""
    encoder, decoder = made(ConvolutionalEncoder, blocks=0), made(ConvolutionalDecoder, blocks=0)
    x = noise(1, 1, 24, 24).requires_grad_()
    encoder(x)[0, :, 2, 3].sum().backward()
    assert x.grad is not None
    rows, columns = x.grad[0, 0].nonzero(as_tuple=True)
    assert (int(rows.min()), int(rows.max())) == (5, 14)
    assert (int(columns.min()), int(columns.max())) == (9, 18)
    z = noise(1, 5, 6, 6)
    moved = z.clone()
    moved[0, :, 2, 3] += 1.0
    rows, columns = (decoder(moved) - decoder(z))[0, 0].nonzero(as_tuple=True)
    assert (int(rows.min()), int(rows.max())) == (5, 14)
    assert (int(columns.min()), int(columns.max())) == (9, 18)


def test_a_residual_block_adds_to_what_it_is_given():
    """With no weights inside, blocks change nothing: encoders of no blocks and of two agree."""
    plain, deep = made(ConvolutionalEncoder, blocks=0), made(ConvolutionalEncoder, blocks=2)
    ours = dict(plain.named_parameters())
    with torch.no_grad():
        for name, parameter in deep.named_parameters():
            parameter.copy_(ours[name.replace("layers.6", "layers.4")] if "ward" not in name else torch.zeros(()))
    x = noise(2, 1, 8, 8)
    assert torch.allclose(plain(x), deep(x))


def test_initial_weights_are_the_generator_s_and_keep_the_scale():
    before = torch.random.get_rng_state()
    one, same, other = (made(ConvolutionalDecoder, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), same.parameters(), strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    wide = dict(made(ConvolutionalEncoder, width=64).named_parameters())["layers.2.weight"]
    assert float(wide.detach().abs().max()) <= (32 * 16) ** -0.5
    assert float(wide.detach().std()) == pytest.approx((32 * 16 * 3) ** -0.5, rel=0.02)
