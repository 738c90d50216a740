"""Checkpoints: everything needed to resume a training that was stopped and to end with the same bits.

They hold no state of a random generator: the randomness of an epoch is a pure function of the seed and the epoch.
"""

import json
import math
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from foldin.errors import RunError
from foldin.files import read_tensors, write_atomically, write_tensors
from foldin.rows import Rows
from foldin.tensors import Tensor
from foldin.training.trainable import Trainable
from foldin.training.trainer import Trainer

__all__ = [
    "CHECKPOINT",
    "OF_THE_MODEL",
    "EpochRecord",
    "TrainingState",
    "checkpoint_of",
    "drop_stages",
    "identity",
    "keep_stage",
    "load_checkpoint",
    "save_checkpoint",
]

CHECKPOINT = "checkpoint.safetensors"
Optimizers = Mapping[str, torch.optim.Optimizer]
OF_THE_MODEL = " of the model itself"  # behind names of the model's identity in that of its pretraining
# Of the identity of a training or a checkpoint that does not say it.
_UNSAID: Mapping[str, Any] = {"stage": "", "first_epoch": 1, "precision": "float32"}


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """The results of one epoch: a line of `history.jsonl`.

    Args:
        epoch: counted from 1.
        seconds: duration of training in this epoch, without validation.
        users_per_second: training users of all gradient passes ÷ seconds; None for an epoch without gradient passes.
        terms: means over the epoch, by "phase/term"; in the first epoch also the terms of the passes before it.
        metric: value of the validation metric; None without validation.
        best: whether the metric is the best so far.
    """

    epoch: int
    seconds: float
    users_per_second: float | None
    terms: dict[str, float]
    metric: float | None
    best: bool


@dataclass
class TrainingState:
    """Progress of a training, besides the state of the model, the trainer and the optimizers."""

    epoch: int = 0
    steps: dict[str, int] = field(default_factory=dict)
    planned: dict[str, int] = field(default_factory=dict)
    records: list[EpochRecord] = field(default_factory=list)
    best_epoch: int | None = None
    best_metric: float = -math.inf
    best: dict[str, Tensor] = field(default_factory=dict)
    seconds: float = 0.0


def identity(
    model: Trainable[Any, Any], train: Rows, *, epochs: int, seed: int, validated_by: str, precision: str
) -> dict[str, Any]:
    """What must be the same for a checkpoint to be resumed: model, settings, seed, epochs, data, validation, precision."""
    return {
        "validation": validated_by,
        "model": type(model).__name__,
        "config": model.config.as_dict(),
        "epochs": epochs,
        "seed": seed,
        "train": train.fingerprint(),
        "precision": precision,
    }


def save_checkpoint(
    path: Path,
    about: Mapping[str, Any],
    model: Trainable[Any, Any],
    trainer: Trainer[Any],
    optimizers: Optimizers,
    state: TrainingState,
) -> None:
    """Write a checkpoint atomically; `about` is the training's `identity` and stage."""
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


def _stage_of(path: Path) -> str:
    """The pretraining that a checkpoint belongs to; empty if it belongs to the training of the model itself."""
    return str(read_tensors(path)[1]["identity"].get("stage", ""))


def _ended(folder: Path, stage: str) -> Path:
    """The file of the last checkpoint of a pretraining that has ended."""
    return folder / f"checkpoint.{re.sub(r'[^a-zA-Z0-9_-]', '.', stage)}.safetensors"


def keep_stage(folder: Path, stage: str) -> None:
    """Keep the last checkpoint of a pretraining that has ended, since the next training replaces it; nothing if it has none."""
    path = folder / CHECKPOINT

    def write(part: Path) -> None:
        shutil.copyfile(path, part)

    if path.is_file() and _stage_of(path) == stage:
        write_atomically(_ended(folder, stage), write)


def drop_stages(folder: Path, stages: Sequence[str]) -> None:
    """Delete what `keep_stage` kept of these pretrainings."""
    for stage in stages:
        _ended(folder, stage).unlink(missing_ok=True)


def checkpoint_of(folder: Path, stage: str, before_it: Sequence[str]) -> Path | None:
    """The checkpoint that a training continues from; None if it begins anew or with its pretrainings.

    Args:
        stage: the pretraining, as a path of names; empty for the training of the model itself.
        before_it: its own pretrainings.

    Raises:
        RunError: the file is damaged.
    """
    path = folder / CHECKPOINT
    if stage and _ended(folder, stage).is_file():
        return _ended(folder, stage)
    if not path.is_file():
        return None
    kept = _stage_of(path)
    if any(kept == one or kept.startswith(f"{one}/") for one in before_it):
        return None
    # A pretraining without checkpoints runs again while the file is that of a later one; any other file is refused when loaded.
    return None if stage and kept != stage else path


def load_checkpoint(
    path: Path,
    about: Mapping[str, Any],
    model: Trainable[Any, Any],
    trainer: Trainer[Any],
    optimizers: Optimizers,
) -> TrainingState:
    """The stored progress of a training; the model, its trainer and the optimizers are set to their stored states.

    Raises:
        RunError: the file is damaged, or belongs to another training.
    """
    tensors, content = read_tensors(path)
    stored = content["identity"]
    for name, value in {**_UNSAID, **about}.items():
        own = json.loads(json.dumps(value))  # as the stored value, which JSON turned from tuples into lists
        met = stored.get(name, _UNSAID.get(name.removesuffix(OF_THE_MODEL)))
        if met != own:
            raise RunError(f"{path}: it was trained with another {name}: {met!r}, now {own!r}")
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
