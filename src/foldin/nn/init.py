"""Initial weights of layers."""

import torch
from torch import nn

__all__ = ["normal_parameter", "uniform_parameter", "xavier_linear"]


def uniform_parameter(
    shape: tuple[int, ...], fan_in: int, generator: torch.Generator, device: torch.device
) -> nn.Parameter:
    """A parameter drawn uniformly from ±1/√fan_in, as in PyTorch's linear layers."""
    bound = fan_in**-0.5
    return nn.Parameter(torch.empty(shape).uniform_(-bound, bound, generator=generator).to(device))


def normal_parameter(shape: tuple[int, ...], generator: torch.Generator, device: torch.device) -> nn.Parameter:
    """A parameter as in the networks of DiffRec: weights from N(0, 2 / (inputs + outputs)), biases from N(0, .001²).

    Source: wang2023, the authors' code.
    """
    sd = (2.0 / sum(shape)) ** 0.5 if len(shape) == 2 else 1e-3
    return nn.Parameter(torch.empty(shape).normal_(0.0, sd, generator=generator).to(device))


def xavier_linear(
    width_in: int, width_out: int, bias: bool, generator: torch.Generator, device: torch.device
) -> nn.Linear:
    """A linear layer with Xavier's uniform weights, drawn from `generator` on the CPU, and zero biases."""
    made = nn.Linear(width_in, width_out, bias=bias, device="meta").to_empty(device="cpu")
    with torch.no_grad():
        nn.init.xavier_uniform_(made.weight, generator=generator)
        if bias:
            made.bias.zero_()
    return made.to(device)
