import math

import pytest
import torch

from foldin.models import GatedAttention
from foldin.nn import Appended, Places, Transformer, TransformerShape

CPU = torch.device("cpu")
LENGTH, WINDOW = 5, 7
TIMES = torch.tensor([[0, 1, 100, 100, 5000], [7, 8, 9, 3000, 10**7]])


def silu(value: float) -> float:
    return value / (1 + math.exp(-value))


@pytest.mark.parametrize("timed", [False, True])
def test_the_layer_is_its_formula(timed):
    shape = TransformerShape(width=6, heads=2, length=WINDOW, timed=timed)
    generator = torch.Generator().manual_seed(0)
    layer = GatedAttention().layer(shape, generator, CPU).double()
    with torch.no_grad():
        for part in layer.bias.parameters():
            part.normal_(generator=generator)
    x = torch.randn(2, LENGTH, 6, generator=generator, dtype=torch.float64)
    layer.requires_grad_(False)
    found, _ = layer(x, x, Places(torch.arange(LENGTH).unsqueeze(0), TIMES), None)
    activated = {
        name: torch.nn.functional.silu(x @ getattr(layer, name).weight.t())
        for name in ("gates", "values", "queries", "keys")
    }
    for user in range(2):
        for t in range(LENGTH):
            collected = torch.zeros(6, dtype=torch.float64)
            for head in range(2):
                part = slice(3 * head, 3 * head + 3)
                for s in range(t + 1):
                    score = activated["queries"][user, t, part] @ activated["keys"][user, s, part]
                    score = score + layer.bias.distance[head, t - s]
                    if timed:
                        apart = int(TIMES[user, t] - TIMES[user, s])
                        score = score + layer.bias.elapsed[head, int(math.log2(apart + 1))]
                    collected[part] += silu(float(score)) / WINDOW * activated["values"][user, s, part]
            centered = collected - collected.mean()
            normed = centered / (centered.square().mean() + 1e-6).sqrt()
            expected = layer.outputs.weight @ (normed * activated["gates"][user, t]) + layer.outputs.bias
            assert torch.allclose(found[user, t], expected, atol=1e-6)


def test_without_times_no_time_between_events_counts():
    shape = TransformerShape(width=6, heads=2, length=WINDOW, timed=True)
    layer = GatedAttention().layer(shape, torch.Generator().manual_seed(0), CPU).requires_grad_(False)
    x, at = torch.randn(2, LENGTH, 6, generator=torch.Generator().manual_seed(1)), torch.arange(LENGTH).unsqueeze(0)
    none = Places(at, torch.zeros(2, LENGTH, dtype=torch.int64))  # as of histories without times
    before, _ = layer(x, x, none, None)
    layer.bias.elapsed.add_(3.0)
    assert torch.equal(layer(x, x, none, None)[0], before)
    assert not torch.allclose(layer(x, x, Places(at, TIMES), None)[0], before)
    first = layer(x[:, :-1], x[:, :-1], Places(at[:, :-1], none.times[:, :-1]), None)[1]
    event = Appended(
        lengths=torch.full((2,), LENGTH - 1),
        times=none.times[:, -1:],
        all_at=at.expand(2, -1),
        all_times=none.times,
    )
    assert torch.allclose(layer.extend(x[:, -1:], x[:, -1:], first, event)[0], before[:, -1:], atol=1e-6)


@pytest.mark.parametrize("block", ["plain", "gated"])
def test_a_feed_forward_layer_follows_only_if_asked_for(block):
    def parameters(feed_forward: bool) -> set[str]:
        option = GatedAttention(feed_forward=feed_forward)
        shape = TransformerShape(width=4, blocks=1, block=block, mixer=option.layer)
        return {name for name, _ in Transformer(shape, generator=torch.Generator(), device=CPU).named_parameters()}

    more = parameters(True) - parameters(False)
    assert parameters(False) < parameters(True)
    assert {name.split(".")[2] for name in more} >= {"norm_forward", "inward", "outward"}
