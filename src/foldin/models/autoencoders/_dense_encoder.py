"""RecVAE's encoder: every layer also sees the sum of all layers before it."""

from collections.abc import Iterator

import torch
from torch import nn
from torch.nn import functional as F

from foldin.kernels import (
    Buffers,
    at_least_float32,
    bag_of_items,
    bag_of_rows,
    drop_events,
    padded_bag,
    read_weights,
    unit_rows,
)
from foldin.nn import uniform_parameter
from foldin.tensors import Float, Int, Tensor

__all__ = ["DenseEncoder"]

_EPS = 0.1  # of the layer norms: the authors' value, far above the usual 1e-5


class DenseEncoder(nn.Module):
    """Items → (μ, log σ²): h₁ = LN(swish(W₁ x)), h_k = LN(swish(W_k h_{k−1} + Σ_{j<k} h_j)), heads on the last.

    With `sparse`, a number format, the vectors of the items have it and row-sparse gradients.

    Source: shenbin2020, section 3.2 and the authors' code; five layers, layer norms with ε = 0.1.
    """

    def __init__(
        self,
        n_items: int,
        hidden: int,
        latent: int,
        *,
        layers: int,
        generator: torch.Generator,
        device: torch.device,
        oldest: float = 1.0,
        sparse: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.oldest, self.sparse = oldest, sparse

        def made(shape: tuple[int, ...], fan_in: int) -> nn.Parameter:
            return uniform_parameter(shape, fan_in, generator, device)

        self.first = made((n_items, hidden), n_items)
        if sparse is not None:
            self.first = nn.Parameter(self.first.detach().to(sparse))
        self.weights = nn.ParameterList(made((hidden, hidden), hidden) for _ in range(layers - 1))
        self.biases = nn.ParameterList(made((hidden,), hidden if k else n_items) for k in range(layers))
        self.gains = nn.ParameterList(nn.Parameter(torch.ones(hidden, device=device)) for _ in range(layers))
        self.shifts = nn.ParameterList(nn.Parameter(torch.zeros(hidden, device=device)) for _ in range(layers))
        self.heads = made((2 * latent, hidden), hidden)
        self.heads_bias = made((2 * latent,), hidden)
        self.scratch = Buffers()

    def _normed(self, h: Tensor, layer: int) -> Tensor:
        return F.layer_norm(F.silu(h), h.shape[1:], self.gains[layer], self.shifts[layer], eps=_EPS)

    def forward(
        self,
        items: Int[Tensor, " events"],
        offsets: Int[Tensor, " offsets"],
        weights: Float[Tensor, " events"] | None = None,
        *,
        dropout: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> tuple[Float[Tensor, "users latent"], Float[Tensor, "users latent"]]:
        """(μ, log σ²) of L2-normalized rows under inverted dropout.

        Args:
            weights: weight of each event; None for those by recency.
        """
        values = (
            read_weights(offsets, self.oldest, events=len(items)) if weights is None else unit_rows(offsets, weights)
        )
        if dropout > 0.0:
            assert generator is not None
            items, offsets, values = drop_events(
                items, offsets, values, dropout, generator, "read", compact=self.sparse is not None
            )
        if self.sparse is not None:
            return self._heads_of(bag_of_rows(self.first, items, offsets, values))
        return self._heads_of(bag_of_items(self.first, items, offsets, values, self.scratch))

    def padded(
        self, history: Int[Tensor, "users length"]
    ) -> tuple[Float[Tensor, "users latent"], Float[Tensor, "users latent"]]:
        """As `forward`, for a rectangle of items padded with −1."""
        return self._heads_of(padded_bag(self.first.float(), history, oldest=self.oldest))

    def _heads_of(self, summed: Float[Tensor, "users hidden"]) -> tuple[Tensor, Tensor]:
        h = self._normed(summed + self.biases[0], 0)
        before = h
        for layer, weight in enumerate(self.weights, start=1):
            h = self._normed(F.linear(h, weight, self.biases[layer]) + before, layer)
            before = before + h
        mu, logvar = at_least_float32(F.linear(h, self.heads, self.heads_bias)).chunk(2, dim=1)
        return mu, logvar

    def copy_from(self, other: "DenseEncoder") -> None:
        """Take over another encoder's parameters."""
        with torch.no_grad():
            for mine, its in zip(self.parameters(), other.parameters(), strict=True):
                mine.copy_(its)

    def frozen(self) -> "DenseEncoder":
        """This encoder, with its parameters excluded from gradients."""
        parameters: Iterator[nn.Parameter] = self.parameters()
        for one in parameters:
            one.requires_grad_(False)
        return self
