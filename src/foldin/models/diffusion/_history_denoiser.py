"""DiffRec's network: from a noisy row over the catalog and a step t, through tanh layers, to an estimate of the clean row.

    h₀ = tanh(W_in x_t + U e(t) + c),   …   x̂_0 = W_out h + b

The first and the last layer are linear in the catalog, which is what makes it fast. A row x_t that is itself a sum of a
sparse row, of hidden states through the last layer, and of its biases,

    x_t = a x + W_out g + β b,   W_in x_t = a (W_in x) + (W_in W_out) g + β (W_in b),

needs no row over the catalog at all, and the deterministic reverse process stays inside such sums.

Source: wang2023, section 3.4 and the authors' code: [x_t; e(t)] with e(t) of 10 numbers through a matrix, tanh, weights
N(0, 2/(inputs + outputs)), biases N(0, .001²).
"""

import itertools
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from foldin.kernels import Buffers, matmul_into
from foldin.nn import normal_parameter, step_embedding
from foldin.tensors import Float, Int, Tensor

__all__ = ["HistoryDenoiser"]


class HistoryDenoiser(nn.Module):
    """The network f(x_t, t).

    Args:
        n_items: size of the catalog.
        hidden: widths of the layers from the catalog to the narrowest; the way back mirrors them.
        time: width of the embedding of t.
        generator: generator of the initial weights, on the CPU.
        device: device on which the network computes.
    """

    def __init__(
        self, n_items: int, hidden: Sequence[int], *, time: int, generator: torch.Generator, device: torch.device
    ) -> None:
        super().__init__()
        widths = [*hidden, *reversed(hidden[:-1])]
        self.first = normal_parameter((n_items, widths[0]), generator, device)
        self.first_bias = normal_parameter((widths[0],), generator, device)
        self.of_time, self.time_bias = (
            normal_parameter((time, time), generator, device),
            normal_parameter((time,), generator, device),
        )
        self.first_time = normal_parameter((widths[0], time), generator, device)
        self.weights = nn.ParameterList(
            normal_parameter((after, before), generator, device) for before, after in itertools.pairwise(widths)
        )
        self.biases = nn.ParameterList(normal_parameter((width,), generator, device) for width in widths[1:])
        self.last = normal_parameter((n_items, widths[-1]), generator, device)
        self.last_bias = normal_parameter((n_items,), generator, device)
        self.buffers_in, self.buffers_out = Buffers(), Buffers()

    def hidden(self, summed: Float[Tensor, "users first"], t: Int[Tensor, " #users"]) -> Float[Tensor, "users last"]:
        """Input of the last layer, from W_in x_t and t = 1 … T."""
        e = F.linear(step_embedding(t - 1, len(self.time_bias)), self.of_time, self.time_bias)
        h = torch.tanh(summed + F.linear(e, self.first_time, self.first_bias))
        for weight, bias in zip(self.weights, self.biases, strict=True):
            h = torch.tanh(F.linear(h, weight, bias))
        return h

    def outputs(self, states: Float[Tensor, "users last"]) -> Float[Tensor, "users items"]:
        """W_out h + b; the next call overwrites its memory."""
        weight, bias = self.output()
        out = self.buffers_out.get("outputs", (len(states), len(weight)), states)
        return matmul_into(out, states, weight.t()).add_(bias)

    def output(self) -> tuple[Float[Tensor, "items last"], Float[Tensor, " items"]]:
        """(weights, biases) of the last layer, without gradients."""
        return self.last.detach(), self.last_bias.detach()

    @torch.no_grad()
    def through(self) -> tuple[Float[Tensor, "last first"], Float[Tensor, " first"]]:
        """(W_outᵀ W_in, W_in b), which map the states of one application to the first layer of the next."""
        weight, bias = self.output()
        first = self.first.detach()
        product = matmul_into(first.new_empty(weight.shape[1], first.shape[1]), weight.t(), first)
        return product, torch.mv(first.t(), bias)
