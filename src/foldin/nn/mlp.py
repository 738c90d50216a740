"""Multilayer perceptrons: linear layers with an activation between them and none after the last."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import torch
from torch import nn
from torch.nn import functional as F

from foldin.nn.init import uniform_parameter
from foldin.tensors import Float, Tensor

__all__ = ["ACTIVATIONS", "MLP", "DenseLayers"]

ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = MappingProxyType(
    {"tanh": torch.tanh, "gated": F.glu, "swish": F.silu}
)


class DenseLayers(nn.Module):
    """Linear layers of widths w₀ → w₁ → … → w_n; a subclass defines their input.

    Weights and biases begin uniform in ±1/√(width of the layer's input).

    Args:
        widths: w₀ … w_n.
        generator: source of the initial weights, on the CPU.
        device: device of the weights and the computation.
        activation: one of `ACTIVATIONS`; with `gated` each hidden layer is (W x + b) · σ(V x + c), W and V the two halves of its
            weights.

    Source: dauphin2017, eq. 1 (gated linear units).
    """

    def __init__(
        self, widths: Sequence[int], *, generator: torch.Generator, device: torch.device, activation: str = "tanh"
    ) -> None:
        super().__init__()
        self.activation = activation
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for layer, (before, after) in enumerate(itertools.pairwise(widths), start=1):
            outputs = 2 * after if activation == "gated" and layer < len(widths) - 1 else after
            self.weights.append(uniform_parameter((outputs, before), before, generator, device))
            self.biases.append(uniform_parameter((outputs,), before, generator, device))

    def through(self, x: Float[Tensor, "rows first"]) -> Float[Tensor, "rows last"]:
        """Output of the last layer."""
        between = ACTIVATIONS[self.activation]
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = F.linear(between(x) if layer else x, weight, bias)
        return x


class MLP(DenseLayers):
    """A multilayer perceptron from vectors of width w₀ to vectors of width w_n."""

    def forward(self, x: Float[Tensor, "rows first"]) -> Float[Tensor, "rows last"]:
        return self.through(x)
