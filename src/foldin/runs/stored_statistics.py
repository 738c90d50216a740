"""The expected sufficient statistics from which the last pass of a training set the parameters: `statistics.safetensors`.

They are beside the model, since lists need none of them, and are read only when a training adds later events to them.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from foldin.errors import RunError
from foldin.files import read_tensors, write_tensors
from foldin.inference import Statistics

__all__ = ["STATISTICS", "read_statistics", "write_statistics"]

STATISTICS = "statistics.safetensors"


def write_statistics(folder: Path, statistics: Statistics | None) -> list[str]:
    """Write the statistics of a run; returns the name of the file, if there are any."""
    if statistics is None:
        return []
    sums = {name: torch.from_numpy(np.ascontiguousarray(one)) for name, one in statistics.sums.items()}
    write_tensors(folder / STATISTICS, sums, {"weight": statistics.weight})
    return [STATISTICS]


def read_statistics(folder: Path, info: dict[str, Any]) -> Statistics | None:
    """The statistics of a run; None if it keeps none.

    Args:
        info: content of its `run.json`.

    Raises:
        RunError: the file is missing or damaged.
    """
    if STATISTICS not in info["files"]:
        return None
    tensors, about = read_tensors(folder / STATISTICS)
    weight = about.get("weight")
    if not isinstance(weight, float):
        raise RunError(f"{folder / STATISTICS}: damaged: weight = {weight!r}: a number was expected")
    return Statistics({name: tensor.numpy() for name, tensor in tensors.items()}, 0.0, weight)
