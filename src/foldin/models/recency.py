"""Weights of events by their position in a history, for all models that read a user's row."""

from typing import Any

import numpy as np
import torch

from foldin.data import Histories
from foldin.kernels import recency_weights
from foldin.tensors import Array, Float32
from foldin.training import setting

__all__ = ["event_weights", "oldest_setting"]


def oldest_setting() -> Any:
    """The field `oldest` of a model's settings."""
    return setting(
        1.0,
        "Weight of the oldest event of a history; the newest has 1, those between lie on a straight line.",
        above=0,
    )


def event_weights(histories: Histories, oldest: float) -> Float32[Array, " events"] | None:
    """The weight of each event, times a number from `oldest` to 1 for the newest of a history; None if all weights are 1.

    Source: wang2023, section 3.6 (T-DiffRec).
    """
    if oldest == 1.0:
        return histories.weights
    weights = recency_weights(torch.from_numpy(histories.offsets), oldest).numpy()
    weights = weights.astype(np.float32, copy=False)
    return weights if histories.weights is None else weights * histories.weights
