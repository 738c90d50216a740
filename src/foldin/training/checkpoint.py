"""Checkpoints: all that is needed to go on with a training that was stopped, and to end in the same bits.

There is no generator in them: the randomness of an epoch is a pure function of the seed and the epoch.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from foldin.errors import RunError
from foldin.files import read_tensors, write_tensors
from foldin.rows import Rows
from foldin.tensors import Tensor
from foldin.training.trainable import Trainable
from foldin.training.trainer import Trainer

__all__ = ["CHECKPOINT", "EpochRecord", "TrainingState", "identity", "load_checkpoint", "save_checkpoint", "stage_of"]

CHECKPOINT = "checkpoint.safetensors"
Optimizers = Mapping[str, torch.optim.Optimizer]


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """What one epoch did: a line of `history.jsonl`.

    Args:
        epoch: counted from 1.
        seconds: of training in this epoch, without validation.
        users_per_second: gradient passes only; None for full passes.
        terms: means over the epoch, by "phase/term"; in the first also those of what is done before it.
        metric: the validation metric; None where there is none.
        best: whether it is the best so far.
    """

    epoch: int
    seconds: float
    users_per_second: float | None
    terms: dict[str, float]
    metric: float | None
    best: bool


@dataclass
class TrainingState:
    """Where training stands, besides the model and its optimizers."""

    epoch: int = 0
    steps: dict[str, int] = field(default_factory=dict)
    planned: dict[str, int] = field(default_factory=dict)
    records: list[EpochRecord] = field(default_factory=list)
    best_epoch: int | None = None
    best_metric: float = -math.inf
    best: dict[str, Tensor] = field(default_factory=dict)
    seconds: float = 0.0


def identity(model: Trainable[Any, Any], train: Rows, *, epochs: int, seed: int, validated_by: str) -> dict[str, Any]:
    """What a checkpoint must agree with to be continued."""
    return {
        "validation": validated_by,
        "model": type(model).__name__,
        "config": model.config.as_dict(),
        "epochs": epochs,
        "seed": seed,
        "train": train.fingerprint(),
    }


def save_checkpoint(
    path: Path,
    about: Mapping[str, Any],
    model: Trainable[Any, Any],
    trainer: Trainer[Any],
    optimizers: Optimizers,
    state: TrainingState,
) -> None:
    """Write everything, atomically; `about` is the training's `identity`."""
    tensors = {f"model/{name}": tensor for name, tensor in model.tensors().items()}
    tensors |= {f"training/{name}": tensor for name, tensor in trainer.state().items()}
    tensors |= {f"best/{name}": tensor for name, tensor in state.best.items()}
    for phase, optimizer in optimizers.items():
        for index, entries in optimizer.state_dict()["state"].items():
            for name, value in entries.items():
                tensors[f"optimizer/{phase}/{index}/{name}"] = torch.as_tensor(value)
    content = {
        "identity": about,
        "epoch": state.epoch,
        "steps": state.steps,
        "planned": state.planned,
        "records": [asdict(record) for record in state.records],
        "best_epoch": state.best_epoch,
        "best_metric": state.best_metric if state.best_epoch is not None else None,
        "seconds": state.seconds,
    }
    write_tensors(path, tensors, content)


def stage_of(path: Path) -> str:
    """The name of what a checkpoint belongs to among what is trained before a model; empty for the model itself.

    Raises:
        RunError: the file is damaged.
    """
    return str(read_tensors(path)[1]["identity"].get("stage", ""))


def load_checkpoint(
    path: Path,
    about: Mapping[str, Any],
    model: Trainable[Any, Any],
    trainer: Trainer[Any],
    optimizers: Optimizers,
) -> TrainingState:
    """Where training stood; the model, its trainer and the optimizers take over what they had.

    Raises:
        RunError: the file is damaged, or belongs to another training.
    """
    tensors, content = read_tensors(path)
    stored = content["identity"]
    for name, value in about.items():
        own = json.loads(json.dumps(value))  # the stored one went through JSON too, where a tuple is a list
        if stored.get(name, "" if name == "stage" else None) != own:
            raise RunError(f"{path}: it was trained with another {name}: {stored.get(name)!r}, now {own!r}")
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "training": {}, "best": {}, "optimizer": {}}
    for name, tensor in tensors.items():
        part, rest = name.split("/", 1)
        parts[part][rest] = tensor
    model.load_state(parts["model"])
    trainer.load_state(parts["training"])
    for phase, optimizer in optimizers.items():
        entries: dict[int, dict[str, Tensor]] = {}
        for name, tensor in parts["optimizer"].items():
            of, index, key = name.split("/")
            if of == phase:
                entries.setdefault(int(index), {})[key] = tensor
        optimizer.load_state_dict({"state": entries, "param_groups": optimizer.state_dict()["param_groups"]})
    return TrainingState(
        epoch=content["epoch"],
        steps=content["steps"],
        planned=content["planned"],
        records=[EpochRecord(**record) for record in content["records"]],
        best_epoch=content["best_epoch"],
        best_metric=-math.inf if content["best_metric"] is None else content["best_metric"],
        best=parts["best"],
        seconds=content["seconds"],
    )
