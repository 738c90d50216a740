from dataclasses import replace

import pytest
import torch

from foldin.nn import Transformer, TransformerShape, attend, rotate

CPU = torch.device("cpu")
PLAIN = TransformerShape(width=8, heads=2, blocks=2, length=9)
SHAPES = {
    "plain": PLAIN,
    "one head": replace(PLAIN, heads=1, expansion=3),
    "authors": replace(PLAIN, block="authors"),
    "gated": replace(PLAIN, block="gated", expansion=4),
    "rotary": replace(PLAIN, rotary=True),
    "relative": replace(PLAIN, relative=True),
    "timed": replace(PLAIN, timed=True),
    "everything": replace(PLAIN, block="gated", rotary=True, relative=True, timed=True),
}
TIMES = torch.tensor([[1, 5, 70, 3000, 3600, 90_000], [2, 2, 3, 4, 10**6, 10**8]])


def made(shape: TransformerShape) -> Transformer:
    model = Transformer(shape, generator=torch.Generator().manual_seed(0), device=CPU)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "bias" in name:  # they begin at zero, where they do nothing
                value.normal_(generator=generator)
    return model


def tokens(length: int = 6, seed: int = 2) -> torch.Tensor:
    return torch.randn(2, length, 8, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(params=SHAPES)
def shape(request) -> TransformerShape:
    return SHAPES[request.param]


def test_a_later_token_never_changes_an_earlier_state(shape):
    model, x, other = made(shape), tokens(), tokens()
    other[:, 4:] = tokens(seed=9)[:, 4:]
    times = TIMES.clone()
    times[:, 4:] += 12345
    first, second = model(x, TIMES), model(other, times)
    assert torch.allclose(first[:, :4], second[:, :4], atol=1e-6)
    assert not torch.allclose(first[:, 4:], second[:, 4:], atol=1e-2)


def test_filling_on_the_right_changes_nothing(shape):
    model, x = made(shape), tokens()
    short = model(x[:, :3], TIMES[:, :3])
    filled = x.clone()
    filled[:, 3:] = 1e6
    assert torch.allclose(model(filled, TIMES)[:, :3], short, atol=1e-5)


def test_every_earlier_token_changes_a_later_state(shape):
    model, x = made(shape), tokens()
    before = model(x, TIMES)
    for at in range(5):
        other = x.clone()
        other[:, at] = tokens(seed=9)[:, at]
        assert not torch.allclose(model(other, TIMES)[:, 5], before[:, 5], atol=1e-4)


def test_one_event_at_a_time_gives_what_all_at_once_give(shape):
    model, x = made(shape), tokens()
    lengths = torch.tensor([2, 4])
    states, cache = model.begin(x[:, :4], lengths, TIMES[:, :4])
    assert torch.allclose(states, model(x[:, :4], TIMES[:, :4]), atol=1e-6)
    for more in range(2):
        at = lengths + more
        rows = torch.arange(2)
        state, cache = model.extend(x[rows, at].unsqueeze(1), cache, TIMES[rows, at].unsqueeze(1))
        whole = model(x, TIMES)[rows, at]
        assert torch.allclose(state.squeeze(1), whole, atol=1e-5)
    assert cache.lengths.tolist() == [4, 6]


def test_noise_is_drawn_in_training_only_and_from_its_generator_alone(shape):
    model = made(replace(shape, dropout=0.3, attention_dropout=0.3))
    x, state = tokens(), torch.get_rng_state()
    draw = lambda seed: model(x, TIMES, torch.Generator().manual_seed(seed))
    assert torch.equal(draw(0), draw(0))
    assert not torch.allclose(draw(0), draw(1))
    assert torch.equal(model(x, TIMES), made(shape)(x, TIMES))
    assert torch.equal(state, torch.get_rng_state())


def test_attention_is_its_formula_with_and_without_pytorchs_kernel():
    generator = torch.Generator().manual_seed(3)
    q, k, v = (torch.randn(2, 2, 5, 4, generator=generator, dtype=torch.float64) for _ in range(3))
    bias = torch.randn(2, 2, 5, 5, generator=generator, dtype=torch.float64)
    for extra in (None, bias):
        scores = torch.einsum("uhqd,uhkd->uhqk", q, k) / 2.0 + (0.0 if extra is None else extra)
        weights = scores.masked_fill(torch.ones(5, 5).triu(1).bool(), -torch.inf).softmax(-1)
        assert torch.allclose(attend(q, k, v, bias=extra), weights @ v)
        # Dropout at a rate that drops nothing: the formula that is written out.
        assert torch.allclose(attend(q, k, v, bias=extra, rate=1e-9, generator=generator), weights @ v)


def test_rotary_products_depend_on_the_distance_alone():
    generator = torch.Generator().manual_seed(4)
    q, k = (torch.randn(1, 1, 1, 7, generator=generator, dtype=torch.float64) for _ in range(2))
    product = lambda a, b: float((rotate(q, torch.tensor([[a]])) * rotate(k, torch.tensor([[b]]))).sum())
    assert product(3, 1) == pytest.approx(product(12, 10))
    assert product(3, 1) != pytest.approx(product(3, 2))
    assert product(0, 0) == pytest.approx(float((q * k).sum()))


@pytest.mark.parametrize("kind", ["plain", "authors"])
def test_the_block_is_the_papers_or_its_codes(kind):
    shape = TransformerShape(width=4, heads=1, blocks=1, length=5, block=kind)
    model, x = made(shape), torch.randn(1, 3, 4, generator=torch.Generator().manual_seed(5))
    block = model.blocks[0]

    def norm(value, layer):
        centered = value - value.mean(-1, keepdim=True)
        return centered / (centered.square().mean(-1, keepdim=True) + 1e-8).sqrt() * layer.weight + layer.bias

    def layer(value, name):
        own = getattr(block.mixer if name in ("queries", "keys", "values") else block, name)
        return value @ own.weight.t() + (0.0 if own.bias is None else own.bias)

    seen = norm(x, block.norm_attention)
    source, base = (x, seen) if kind == "authors" else (seen, x)
    q, k, v = layer(seen, "queries"), layer(source, "keys"), layer(source, "values")
    assert (block.mixer.queries.bias is not None) == (kind == "authors")
    scores = (q @ k.transpose(1, 2) / 2.0).masked_fill(torch.ones(3, 3).triu(1).bool(), -torch.inf)
    h = base + scores.softmax(-1) @ v
    normed = norm(h, block.norm_forward)
    through = layer(torch.relu(layer(normed, "inward")), "outward")
    expected = norm((normed if kind == "authors" else h) + through, model.norm)
    assert torch.allclose(model(x), expected, atol=1e-5)
