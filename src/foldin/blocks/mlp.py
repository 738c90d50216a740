"""A multilayer perceptron: tanh between its layers, none after the last."""

import itertools
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from foldin.blocks.dense_encoder import uniform_parameter
from foldin.tensors import Float, Tensor

__all__ = ["MLP"]


class MLP(nn.Module):
    """Widths w₀ → w₁ → … → w_n; weights and biases uniform in ±1/√width before, from `generator` on the CPU."""

    def __init__(self, widths: Sequence[int], *, generator: torch.Generator, device: torch.device) -> None:
        super().__init__()
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for before, after in itertools.pairwise(widths):
            self.weights.append(uniform_parameter((after, before), before, generator, device))
            self.biases.append(uniform_parameter((after,), before, generator, device))

    def forward(self, x: Float[Tensor, "rows first"]) -> Float[Tensor, "rows last"]:
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = F.linear(torch.tanh(x) if layer else x, weight, bias)
        return x
