"""The settings of SASRec, and which of them exclude each other. See `sasrec.py` for the equations."""

from dataclasses import dataclass

from foldin.errors import ConfigError
from foldin.models.feature_vectors import FeatureVectors
from foldin.models.sequential.frequency_bias import FrequencyBias
from foldin.models.sequential.gated_attention import GatedAttention
from foldin.models.sequential.linear_recurrence import LinearRecurrence
from foldin.models.sequential.losses import BCE, GBCE, FullSoftmax, SampledSoftmax
from foldin.models.sequential.mixers import Attention
from foldin.models.sequential.positions import LearnedPositions, RelativePositions, RotaryPositions
from foldin.training import Config, Range, setting

__all__ = ["SASRecConfig"]


@dataclass(frozen=True, kw_only=True)
class SASRecConfig(Config):
    embedding_dim: int = setting(64, "Width of an item's vector, d.", low=1, range=(32, 64, 128, 256))
    n_heads: int = setting(1, "Heads of the attention.", low=1, range=(1, 2, 4))
    n_layers: int = setting(2, "Blocks of the transformer.", low=1, high=1000, range=Range(1, 3))
    max_length: int = setting(50, "Newest events of a history that are read.", low=1, range=(50, 100, 200))
    codebook_size: int | None = setting(
        None,
        "Tokens of a level, if an item's vector is the sum of four tokens' vectors; none for vectors of its own.",
        low=2,
    )
    crop: bool = setting(
        False, "Whether training reads a random window of a longer history each time, not its newest events."
    )
    dropout: float = setting(
        0.2, "Dropout of the input and of each layer's output.", low=0, below=1, range=Range(0.0, 0.6)
    )
    positions: LearnedPositions | RotaryPositions | RelativePositions | None = setting(
        LearnedPositions(), "How the places of events are known."
    )
    timed: bool = setting(False, "Whether attention sees the time between events; the log must have times.")
    mixer: Attention | FrequencyBias | LinearRecurrence | GatedAttention = setting(
        Attention(), "What mixes the events of a history in a block."
    )
    block: str = setting(
        "plain", "Block of the transformer: the paper's, its code's, or gated.", choices=("plain", "authors", "gated")
    )
    expansion: int = setting(1, "Width of the feed-forward layer, in widths of the block.", low=1)
    initial_sd: float | None = setting(
        None, "Standard deviation of normal initial weights; none for Xavier's uniform ones.", above=0
    )
    loss: FullSoftmax | SampledSoftmax | BCE | GBCE | None = setting(
        None, "Loss of predicting the next item; none for the softmax up to 200,000 items and the sampled one above."
    )
    temperature: float | None = setting(
        None, "Temperature of the product of L2-normalized vectors; none for the plain product.", above=0
    )
    features: FeatureVectors | None = setting(
        None, "How features of the items enter their vectors; none to learn from events alone."
    )
    learning_rate: float = setting(1e-3, "Learning rate of Adam.", above=0, range=Range(1e-4, 1e-2, log=True))
    lr_decay: float = setting(
        0.0, "Share of the planned steps, the last ones, over which the learning rate falls to zero.", low=0, high=1
    )
    batch_tokens: int = setting(2048, "Events in a batch.", low=1)
    epochs: int = setting(200, "Epochs, at most.", low=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.embedding_dim % self.n_heads:
            raise ConfigError(f"SASRec: n_heads = {self.n_heads}: must divide embedding_dim = {self.embedding_dim}")
        relative = isinstance(self.positions, RotaryPositions | RelativePositions)
        if not self.mixer.attends and (self.timed or relative):
            raise ConfigError(
                f"SASRec: mixer = {self.mixer.name}: has no attention that positions or times could change: timed = false, and "
                f"positions = learned or none, were expected"
            )
        if self.features is not None and self.codebook_size is not None:
            raise ConfigError("SASRec: features and codebook_size exclude each other: both make an item's vector")
