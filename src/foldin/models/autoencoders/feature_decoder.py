"""An output layer whose row for an item is a free row plus a linear map of the item's features.

    w_i = k_i v_i + Wᵀ f_i,   b_i = k_i a_i + uᵀ f_i,   k_i ~ Bernoulli(1 − p) in training, k_i = 1 afterwards

Items without training events have v_i = 0 and a_i = 0, and take no part in the softmax of training: that nobody took an item
that could not be taken says nothing. Leaving out free rows at random makes W and u predict rows on their own, as they must for
such items.

Source: volkovs2017 (dropout of the free part, so that the content learns to stand in for it).
"""

from dataclasses import dataclass

import torch

from foldin.data import Histories
from foldin.kernels import multinomial_from_hidden
from foldin.models.autoencoders._sparse_autoencoder import SparseAutoencoder
from foldin.models.feature_map import FeatureMap
from foldin.models.feature_regression import cold_factor_setting
from foldin.models.item_features import FeatureColumns
from foldin.tensors import Bool, Float, Int, Tensor
from foldin.training import Range, setting

__all__ = ["FeatureDecoder", "FeatureOutput", "feature_likelihood", "forget_untrained"]


@dataclass(frozen=True, kw_only=True)
class FeatureDecoder(FeatureColumns):
    """Rows of the decoder's last layer are free rows plus a linear map of the items' features."""

    name = "decoder"
    dropout: float = setting(
        0.5,
        "Probability that an item's free row is left out of a training step.",
        low=0,
        below=1,
        range=Range(0.0, 0.9),
    )
    cold_factor: float = cold_factor_setting()


class FeatureOutput(FeatureMap):
    """The part of the last layer that comes from features: W, and u as the last column of the map.

    Args:
        n_items: size of the catalog.
        hidden: width of the layer's input.
        option: its settings.
        device: device of the tensors.
    """

    def __init__(self, n_items: int, hidden: int, option: FeatureDecoder, device: torch.device) -> None:
        super().__init__(n_items, hidden + 1, option.cold_factor, device)
        self.hidden, self.option = hidden, option

    @torch.no_grad()
    def output(
        self, weight: Float[Tensor, "items hidden"], bias: Float[Tensor, " items"]
    ) -> tuple[Float[Tensor, "items hidden"], Float[Tensor, " items"]]:
        """(weights, biases) of the layer, of free ones and of the features; the odds of cold items have their factor."""
        rows = self.rows()
        return weight + rows[:, :-1], bias + rows[:, -1] + self.log_factor()


def forget_untrained(network: SparseAutoencoder, features: FeatureOutput, train: Histories) -> None:
    """Set the free rows of items without training events to zero, in the input layer too."""
    features.learn_trained(train, network.encoder[0], network.decoder[-1], network.decoder_bias[-1])


def feature_likelihood(
    network: SparseAutoencoder,
    features: FeatureOutput,
    z: Float[Tensor, "users latent"],
    items: Int[Tensor, " events"],
    offsets: Int[Tensor, " offsets"],
    weights: Float[Tensor, " events"] | None = None,
    *,
    keep: Bool[Tensor, " items"],
) -> Float[Tensor, " users"]:
    """Σ w log p(item | z) over each user's events under the softmax over the items with training events, in nats.

    Args:
        weights: w, the weight of each event; None if all are 1.
        keep: k, whether the free row of each item takes part.
    """
    trained, place = features.among_trained()
    rows = features.rows()
    kept = keep.to(rows.dtype)
    weight = network.decoder[-1] * kept.unsqueeze(1) + rows[:, :-1]
    bias = network.decoder_bias[-1] * kept + rows[:, -1]
    return multinomial_from_hidden(
        network.last_hidden(z),
        weight.index_select(0, trained),
        bias.index_select(0, trained),
        place.index_select(0, items),
        offsets,
        network.buffers_out,
        weights,
    )
