"""The figure of the attention mask shows the weights that PyTorch's attention has."""

import numpy as np
import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from foldin.nn import attend
from tests.book.figures.running import computed, needs_node

EVENTS = torch.eye(5, dtype=torch.float64)[None, None]  # values that make the output of attention its weights
SETTINGS = [
    {},
    {"turn": 75, "scale": 2.5},
    {"turn": -180, "scale": 0.3, "position": 5},
    {"turn": 40, "scale": 0},
    {"mask": "none", "turn": -35, "scale": 1.7, "position": 1},
]


@needs_node
@pytest.mark.parametrize("given", SETTINGS)
def test_weights_with_and_without_the_mask_are_those_of_pytorch(given):
    values = computed("attention-mask", given)
    queries, keys = (torch.tensor(values[one], dtype=torch.float64)[None, None] for one in ("queries", "keys"))
    masked = scaled_dot_product_attention(queries, keys, EVENTS, is_causal=True)[0, 0].numpy()
    plain = scaled_dot_product_attention(queries, keys, EVENTS)[0, 0].numpy()
    assert np.allclose(values["masked"], masked, atol=1e-12)
    assert np.allclose(values["open"], plain, atol=1e-12)
    assert np.allclose(attend(queries, keys, EVENTS)[0, 0].numpy(), masked, atol=1e-12)
    assert values["weights"] == values["open" if given.get("mask") == "none" else "masked"]
    assert np.allclose(values["leak"], np.triu(plain, 1).sum(axis=1), atol=1e-12)


@needs_node
@pytest.mark.parametrize("given", SETTINGS)
def test_the_mask_divides_what_is_left_by_its_sum(given):
    values = computed("attention-mask", given)
    left = np.tril(values["open"])
    assert np.allclose(values["kept"], left.sum(axis=1))
    assert np.allclose(values["masked"], left / left.sum(axis=1, keepdims=True))
    assert not np.triu(values["masked"], 1).any()


@needs_node
def test_queries_turn_by_the_angle_and_grow_by_the_multiple():
    start, moved = (
        np.array(computed("attention-mask", given)["queries"]) for given in ({}, {"turn": 90, "scale": 2.0})
    )
    assert np.allclose(moved, 2.0 * np.stack((-start[:, 1], start[:, 0]), axis=1))
