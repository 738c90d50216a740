"""What mixes the events of a history in SASRec's blocks, as settings: the interface, and attention.

The others have a file each: `frequency_bias.py`, `linear_recurrence.py`, `gated_attention.py`.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch

from foldin.nn import Mixer, SelfAttention, TransformerShape
from foldin.training import Option, setting

__all__ = ["Attending", "Attention", "EventMixer"]


class EventMixer(Option, ABC):
    """A kind of mixer; a subclass states whether it looks at the positions of events and the time between them."""

    attends: ClassVar[bool] = True

    @abstractmethod
    def layer(self, shape: TransformerShape, generator: torch.Generator, device: torch.device) -> Mixer:
        """The layer of one block, with its initial weights."""

    @property
    def attention_dropout(self) -> float:
        """Dropout of the attention's weights; 0 without attention."""
        return 0.0

    def kept_vectors(self, length: int) -> float:
        """Vectors of the block's width that a training step keeps of each event and attention does not, at most.

        Args:
            length: longest sequence.
        """
        return 0.0


@dataclass(frozen=True, kw_only=True)
class Attending(EventMixer, ABC):
    """A mixer with weights of attention."""

    dropout: float = setting(0.0, "Dropout of the attention's weights.", low=0, below=1)

    @property
    def attention_dropout(self) -> float:
        return self.dropout


@dataclass(frozen=True, kw_only=True)
class Attention(Attending):
    """Softmax attention.

    Source: kang2018, eqs. 3–4.
    """

    name = "attention"

    def layer(self, shape: TransformerShape, generator: torch.Generator, device: torch.device) -> Mixer:
        return SelfAttention(shape, generator, device)
