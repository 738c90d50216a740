"""A codebook that a vector quantizer learns by moving averages on points in the plane, batch by batch."""

import math
from typing import Any

import torch

from foldin.nn import VectorQuantizer
from foldin.tensors import Float, Tensor

__all__ = ["STARTS", "film"]

CODES, BATCH, STEPS = 16, 60, 60
STARTS = {"spread": (0.0, 0.8), "corner": (-1.9, 0.15)}  # mean and standard deviation of the first vectors' coordinates


def _points() -> Float[Tensor, "points width"]:
    """The points: two thirds of them along an arc, the others in a heap below it; to three decimals."""
    generator = torch.Generator().manual_seed(1)
    angle = math.pi * torch.rand(160, generator=generator)
    arc = torch.stack((1.5 * angle.cos(), 1.6 * angle.sin() - 0.75), dim=1)
    arc = arc + 0.13 * torch.randn(160, 2, generator=generator)
    heap = torch.tensor([0.1, -0.75]) + torch.tensor([0.3, 0.22]) * torch.randn(80, 2, generator=generator)
    return (1e3 * torch.cat((arc, heap))).round() / 1e3


def film(start: str, revival: str) -> dict[str, Any]:
    """The codebook before the first batch and after each.

    Args:
        start: where the vectors begin, one of `STARTS`.
        revival: "on" resets the vectors of codes whose average use falls below 0.1 of the even use, "off" none.

    Returns:
        `points`, `codes` of each frame, and `reset`: the codes whose vectors were reset in the step before each frame.
    """
    x, generator = _points(), torch.Generator().manual_seed(0)
    quantizer = VectorQuantizer(CODES, 2, average=0.9, least=0.1 if revival == "on" else 0.0, generator=generator)
    mean, sd = STARTS[start]
    with torch.no_grad():
        quantizer.vectors.mul_(sd).add_(mean)
        quantizer.sums.copy_(quantizer.vectors)
    order = torch.cat([torch.randperm(len(x), generator=generator) for _ in range(STEPS * BATCH // len(x))])
    codes = [_rounded(quantizer.vectors)]
    reset: list[list[int]] = [[]]
    for batch in x[order].split(BATCH):
        quantizer(batch, generator)
        codes.append(_rounded(quantizer.vectors))
        # The average use of a code that was reset begins at the even use, to the last digit.
        reset.append((quantizer.uses == BATCH / CODES).nonzero().flatten().tolist())
    return {"points": _rounded(x), "codes": codes, "reset": reset}


def _rounded(values: Float[Tensor, "rows width"]) -> list[list[float]]:
    return [[round(one, 3) for one in row] for row in values.tolist()]
