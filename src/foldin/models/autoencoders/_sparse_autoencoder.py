"""The layers that Mult-VAE and Mult-DAE share: a sparse input layer, tanh layers, and a fused output layer and loss."""

from collections.abc import Sequence

import torch
from torch import nn

from foldin.kernels import (
    Buffers,
    ScoredItems,
    bag_of_items,
    bag_of_rows,
    drop_events,
    multinomial_from_hidden,
    padded_bag,
    read_weights,
    scores_into,
    unit_rows,
)
from foldin.tensors import Float, Int, Tensor

__all__ = ["SparseAutoencoder"]


def _parameter(shape: tuple[int, ...], generator: torch.Generator, device: torch.device) -> nn.Parameter:
    value = torch.empty(shape)
    if len(shape) == 2:
        nn.init.xavier_uniform_(value, generator=generator)
    else:
        nn.init.trunc_normal_(value, std=0.001, a=-0.002, b=0.002, generator=generator)
    return nn.Parameter(value.to(device))


class SparseAutoencoder(nn.Module):
    """Items → hidden layers → a code → hidden layers → logits over items.

    Args:
        n_items: size of the catalog.
        hidden: widths of the encoder's tanh layers; the decoder has the same ones in reverse.
        code_in: width of the encoder's last, linear layer (with no hidden layer: of the only one).
        code_out: width of the decoder's input.
        oldest: weight of a history's oldest event in the input row; the newest has weight 1.
        sparse: number format of the two tables of items' vectors if their gradients are row-sparse; None for dense gradients in
            float32.

    Source: liang2018, section 2; Xavier weights, truncated normal biases of scale 0.001.
    """

    def __init__(
        self,
        n_items: int,
        hidden: Sequence[int],
        code_in: int,
        code_out: int,
        *,
        generator: torch.Generator,
        device: torch.device,
        oldest: float = 1.0,
        sparse: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.oldest, self.sparse = oldest, sparse
        inward, outward = [n_items, *hidden, code_in], [code_out, *reversed(hidden), n_items]
        # The two large matrices have one row per item, the fastest layout for bags of rows and products with the catalog.
        shapes = [(inward[0], inward[1]), *zip(inward[2:], inward[1:-1], strict=True)]
        self.encoder = nn.ParameterList(_parameter(shape, generator, device) for shape in shapes)
        self.encoder_bias = nn.ParameterList(_parameter((n,), generator, device) for n in inward[1:])
        self.decoder = nn.ParameterList(
            _parameter(shape, generator, device) for shape in zip(outward[1:], outward[:-1], strict=True)
        )
        self.decoder_bias = nn.ParameterList(_parameter((n,), generator, device) for n in outward[1:])
        if sparse is not None:
            for layers, at in ((self.encoder, 0), (self.decoder, -1)):
                layers[at] = nn.Parameter(layers[at].detach().to(sparse))
        self.buffers_in, self.buffers_out = Buffers(), Buffers()

    def item_rows(self) -> frozenset[str]:
        """Names of the parameters that have a row for each item."""
        last = len(self.decoder) - 1
        return frozenset(("encoder.0", f"decoder.{last}", f"decoder_bias.{last}"))

    def encode(
        self,
        items: Int[Tensor, " events"],
        offsets: Int[Tensor, " offsets"],
        weights: Float[Tensor, " events"] | None = None,
        *,
        dropout: float = 0.0,
        generator: torch.Generator | None = None,
        kept: Float[Tensor, " users"] | None = None,
        added: Float[Tensor, "users first"] | None = None,
    ) -> Float[Tensor, "users code"]:
        """The last encoder layer before any activation, of L2-normalized rows under inverted dropout.

        Args:
            weights: weight of each event; None for those by recency.
            kept: factor of each user's sum of events in the first layer; None for 1.
            added: further input of the first layer; None for none.
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
            summed = bag_of_rows(self.encoder[0], items, offsets, values)
        else:
            summed = bag_of_items(self.encoder[0], items, offsets, values, self.buffers_in)
        if kept is not None:
            summed = summed * kept.unsqueeze(1)
        return self._encoded(summed if added is None else summed + added)

    def encode_padded(self, history: Int[Tensor, "users length"]) -> Float[Tensor, "users code"]:
        """As `encode`, for a rectangle of items padded with −1."""
        return self._encoded(padded_bag(self.encoder[0].float(), history, oldest=self.oldest))

    def _encoded(self, summed: Float[Tensor, "users first"]) -> Float[Tensor, "users code"]:
        h = summed + self.encoder_bias[0]
        for weight, bias in zip(list(self.encoder)[1:], list(self.encoder_bias)[1:], strict=True):
            h = nn.functional.linear(torch.tanh(h), weight, bias)
        return h

    def last_hidden(self, code: Float[Tensor, "users code"]) -> Float[Tensor, "users hidden"]:
        """Input of the last layer, the output of the last hidden one."""
        for weight, bias in zip(list(self.decoder)[:-1], list(self.decoder_bias)[:-1], strict=True):
            code = torch.tanh(nn.functional.linear(code, weight, bias))
        return code

    def log_likelihood(
        self,
        code: Float[Tensor, "users code"],
        items: Int[Tensor, " events"],
        offsets: Int[Tensor, " offsets"],
        weights: Float[Tensor, " events"] | None = None,
        scored: ScoredItems | None = None,
    ) -> Float[Tensor, " users"]:
        """log p(items | code) of each user, in nats; with weights w, the objective of training, Σ w log p(item | code).

        Args:
            scored: the items from which the partition function is estimated; None for the whole catalog.
        """
        hidden = self.last_hidden(code)
        weight, bias = self.decoder[-1], self.decoder_bias[-1]
        if scored is None:
            weight = weight.float()
        else:
            weight, bias, items = scored.vectors(weight), scored.biases(bias), scored.targets
        return multinomial_from_hidden(hidden, weight, bias, items, offsets, self.buffers_out, weights)

    def logits(self, code: Float[Tensor, "users code"]) -> Float[Tensor, "users items"]:
        """Logits over the catalog; the next call overwrites their memory."""
        hidden = self.last_hidden(code)
        weight, bias = self.decoder[-1].detach(), self.decoder_bias[-1].detach()
        out = self.buffers_out.get("logits", (len(hidden), len(weight)), hidden)
        return scores_into(out, hidden, weight).add_(bias)

    def output(self) -> tuple[Float[Tensor, "items hidden"], Float[Tensor, " items"]]:
        """(weights, biases) of the last layer in float32, without gradients."""
        return self.decoder[-1].detach().float(), self.decoder_bias[-1].detach()
