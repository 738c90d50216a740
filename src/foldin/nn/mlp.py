"""A multilayer perceptron: tanh or gated linear units between its layers, none after the last."""

import itertools
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from foldin.nn.init import uniform_parameter
from foldin.tensors import Float, Tensor

__all__ = ["MLP"]


class MLP(nn.Module):
    """Widths w₀ → w₁ → … → w_n; weights and biases uniform in ±1/√width before, from `generator` on the CPU.

    Args:
        gated: each hidden layer is (W x + b) · σ(V x + c), W and V the two halves of its weights, instead of tanh(W x + b).

    Source: dauphin2017, eq. 1 (gated linear units).
    """

    def __init__(
        self, widths: Sequence[int], *, generator: torch.Generator, device: torch.device, gated: bool = False
    ) -> None:
        super().__init__()
        self.gated = gated
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for layer, (before, after) in enumerate(itertools.pairwise(widths), start=1):
            outputs = 2 * after if gated and layer < len(widths) - 1 else after
            self.weights.append(uniform_parameter((outputs, before), before, generator, device))
            self.biases.append(uniform_parameter((outputs,), before, generator, device))

    def forward(self, x: Float[Tensor, "rows first"]) -> Float[Tensor, "rows last"]:
        between = F.glu if self.gated else torch.tanh
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = F.linear(between(x) if layer else x, weight, bias)
        return x
