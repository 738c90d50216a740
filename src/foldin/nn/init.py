"""How weights begin."""

import torch
from torch import nn

__all__ = ["uniform_parameter"]


def uniform_parameter(
    shape: tuple[int, ...], fan_in: int, generator: torch.Generator, device: torch.device
) -> nn.Parameter:
    """Uniform in ±1/√fan_in, as PyTorch's linear layers begin."""
    bound = fan_in**-0.5
    return nn.Parameter(torch.empty(shape).uniform_(-bound, bound, generator=generator).to(device))
