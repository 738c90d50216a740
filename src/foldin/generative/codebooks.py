"""Codebooks of quantized autoencoders: the options for how their vectors are learned, and their construction."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from foldin.nn import VectorQuantizer
from foldin.training import Option, setting

__all__ = ["CodebookLoss", "MovingAverage", "codebooks"]


@dataclass(frozen=True, kw_only=True)
class MovingAverage(Option):
    """The vector of a code is the moving average of the vectors that it quantizes.

    Source: vandenoord2017, appendix A.1.
    """

    name = "average"
    average_decay: float = setting(0.99, "Decay of the moving average for each step, γ.", above=0, below=1)


@dataclass(frozen=True, kw_only=True)
class CodebookLoss(Option):
    """The vector of a code is learned by the gradient of ‖sg[z_e] − e_c‖².

    Source: vandenoord2017, eq. 3.
    """

    name = "loss"
    average_decay: ClassVar[None] = None


def codebooks(
    levels: int,
    codebook_size: int,
    embedding_dim: int,
    *,
    average_decay: float | None,
    commitment: float,
    revive: float,
    generator: torch.Generator,
    device: torch.device,
) -> list[VectorQuantizer]:
    """A codebook for each level; the other arguments are those of `VectorQuantizer`, with `revive` as its `least`."""
    return [
        VectorQuantizer(
            codebook_size,
            embedding_dim,
            average=average_decay,
            commitment=commitment,
            least=revive,
            generator=generator,
            device=device,
        )
        for _ in range(levels)
    ]
