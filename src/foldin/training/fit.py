"""The training loop, which runs the trainer of any model.

Randomness depends on the seed and the place in the training alone (`loop.py`). A checkpoint therefore holds no generator state,
and a run that was killed and resumed gives the same bits as an uninterrupted one.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from foldin.errors import FitError, RunError
from foldin.rows import Rows
from foldin.training.checkpoint import (
    CHECKPOINT,
    OF_THE_MODEL,
    EpochRecord,
    checkpoint_of,
    drop_stages,
    identity,
    keep_stage,
    load_checkpoint,
    save_checkpoint,
)
from foldin.training.distributed import check_divided
from foldin.training.loop import Loop, finite, generator_of
from foldin.training.precision import check_precision
from foldin.training.progress import FitResult, Progress, Stopped, Validation
from foldin.training.trainable import Trainable
from foldin.training.trainer import Pretraining, Trainer
from foldin.workers import ALONE, Group

__all__ = ["fit"]


def _check_numbers(epochs: int, seed: int, first: int, last: int) -> None:
    if epochs < 1 or seed < 0:
        raise FitError(f"epochs must be at least 1 and the seed at least 0, not {epochs} and {seed}")
    if not 1 <= first <= last <= epochs:
        raise FitError(
            f"the first epoch must be at least 1, the last one not before it and not after the {epochs} epochs, "
            f"not {first} and {last}"
        )


def fit(
    model: Trainable[Any, Any],
    train: Rows,
    *,
    validation: Validation[Any] | None = None,
    validated_by: str = "",
    seed: int = 0,
    epochs: int | None = None,
    first_epoch: int = 1,
    last_epoch: int | None = None,
    patience: int | None = 20,
    folder: Path | None = None,
    resume: bool = False,
    progress: Progress | None = None,
    until: Callable[[EpochRecord], bool] | None = None,
    group: Group = ALONE,
    trainer: Trainer[Any] | None = None,
    precision: str = "float32",
) -> FitResult:
    """Train a model by its trainer and return how the training went.

    The model ends with the weights of its best epoch, or of the last epoch without validation. If Ctrl-C interrupts an epoch, it
    ends with those of its best epoch or, if there is none, with its current weights.

    Args:
        model: the model, trained in place.
        train: the training data. It never includes the validation data, which only `validation` holds.
        validation: metric that chooses the best epoch, computed after each epoch; not used if training is a closed form, unless
            its trainer trains other models by it (`Trainer.prepared`).
        validated_by: description of that metric; a checkpoint can only be resumed with the same description.
        seed: of the order, dropout and noise; the initial weights depend on the seed given to the model.
        epochs: largest number of epochs, over which schedules run; None for the trainer's number.
        first_epoch: epoch that comes first, by which schedules have their place: of a model that starts from trained parameters.
        last_epoch: epoch after which training ends, such as the best one of an earlier training with the same `epochs`; None for
            all epochs. Schedules still run over `epochs`.
        patience: number of epochs without a better metric after which training stops; None to never stop early.
        folder: folder of a checkpoint, written after every epoch if there are several; None for no checkpoint.
        resume: whether to continue from that checkpoint, if it exists.
        progress: object whose methods are called at each step and epoch.
        until: function of an epoch's record; training stops after an epoch for which it is true.
        group: workers that share the training (`joined`); all of them call `fit` with the same arguments. The first one validates
            and writes the checkpoint, from which all resume.
        trainer: how the model is trained; None for the model's own trainer.
        precision: number format of the matrix products of gradient steps, float32 or bfloat16 (`training/precision.py`).

    Raises:
        ConfigError: the model cannot be trained in this precision.
        FitError: there is no training data, a term is not finite, several workers cannot share this training, or there are
            no such epochs.
        RunError: the checkpoint is damaged, belongs to another model, data, seed, number of epochs or precision, or is of an
            epoch after the last one.
    """
    return _fit(
        model,
        train,
        validation=validation,
        validated_by=validated_by,
        seed=seed,
        epochs=epochs,
        first_epoch=first_epoch,
        last_epoch=last_epoch,
        patience=patience,
        folder=folder,
        resume=resume,
        progress=progress or Progress(),
        until=until,
        group=group,
        trainer=trainer,
        precision=precision,
    )


def _pretrain(
    one: Pretraining[Any],
    train: Rows,
    generator: torch.Generator,
    folder: Path | None,
    resume: bool,
    progress: Progress,
    within: Mapping[str, Any],
    group: Group,
) -> Mapping[str, float]:
    """Train another model before the model itself, with a checkpoint in the same file; returns the terms to report.

    When it has ended, its last checkpoint is kept in a file of its own until the model itself has one.

    Args:
        within: identity of the training of the model itself.
    """
    rows, seed = one.rows(train, generator)
    stage = _inside(within["stage"], one.name)
    progress.pretraining(stage)
    about = {"stage": stage, **{f"{name}{OF_THE_MODEL}": value for name, value in within.items()}}
    found = _fit(
        one.model,
        rows,
        validation=one.validation,
        seed=seed,
        epochs=one.epochs(),
        last_epoch=one.last_epoch(),
        patience=one.patience,
        folder=folder,
        resume=resume,
        progress=progress,
        about=about,
        group=group,
    )
    progress.pretraining(within["stage"])
    if found.stopped is Stopped.INTERRUPTED:
        raise KeyboardInterrupt
    if folder is not None and group.first:
        keep_stage(folder, stage)
    one.ended(found)
    return one.done(train)


def _inside(stage: str, name: str) -> str:
    """The path of a pretraining within another, or of a pretraining of the model itself, whose stage is empty."""
    return f"{stage}/{name}" if stage else name


def _fit(
    model: Trainable[Any, Any],
    train: Rows,
    *,
    validation: Validation[Any] | None = None,
    validated_by: str = "",
    seed: int = 0,
    epochs: int | None = None,
    first_epoch: int = 1,
    last_epoch: int | None = None,
    patience: int | None = None,
    folder: Path | None = None,
    resume: bool = False,
    progress: Progress,
    until: Callable[[EpochRecord], bool] | None = None,
    about: Mapping[str, Any] | None = None,
    group: Group = ALONE,
    trainer: Trainer[Any] | None = None,
    precision: str = "float32",
) -> FitResult:
    """Run `fit` for a model or for a pretraining; `about` is then an additional part of the identity of its checkpoint."""
    model.check_training(train)
    trainer = (model.trainer(train) if trainer is None else trainer).prepared(
        validation=validation, patience=patience, epochs=epochs
    )
    total = trainer.epochs if epochs is None or trainer.closed_form else epochs
    end = total if last_epoch is None or trainer.closed_form else last_epoch
    first_epoch = 1 if trainer.closed_form else first_epoch
    _check_numbers(total, seed, first_epoch, end)
    check_divided(trainer, group, type(model).__name__)
    check_precision(trainer, precision, model.device, type(model).__name__)
    loop = Loop(model, train, trainer, total, seed, progress, group, precision)
    about = {"stage": ""} if about is None else about
    if folder is not None:
        same = identity(model, train, epochs=total, seed=seed, validated_by=validated_by, precision=precision)
        about = {**about, **same}
        about |= {"first_epoch": first_epoch} if first_epoch > 1 else {}
    began = time.perf_counter()
    stage = about["stage"]
    before_it = [_inside(stage, one.name) for one in trainer.first if isinstance(one, Pretraining)]
    path = None if folder is None else folder / CHECKPOINT
    # A training of one epoch needs no checkpoint, unless it is a pretraining that has pretrainings itself.
    saved = end > first_epoch or bool(stage and before_it)
    found_at = checkpoint_of(folder, stage, before_it) if folder is not None and resume else None
    if folder is not None and not resume and group.first:
        drop_stages(folder, before_it)
    first: dict[str, float] = {}
    loop.state.epoch = first_epoch - 1
    if found_at is not None:
        loop.state = load_checkpoint(found_at, about, model, trainer, loop.optimizers)
        if loop.state.epoch > end:
            raise RunError(f"{found_at}: it is of epoch {loop.state.epoch}, which is after the last epoch, {end}")
    group.same_(*model.tensors().values())
    group.wait()  # until all have read the checkpoint, which the first one replaces
    if found_at is None:
        for index, one in enumerate(trainer.first):
            generator = generator_of(group, model.device, seed, 0, index)
            if isinstance(one, Pretraining):
                found = _pretrain(one, train, generator, folder, resume, progress, about, group)
            else:
                found = one.run(train, generator)
            first |= finite(found, f"before training, pass {one.name!r}", one.name)
    progress.begin(trainer, end, loop.state.epoch)
    state, stopped = loop.state, Stopped.FINISHED
    before = state.seconds
    try:
        while state.epoch < end:
            if patience is not None and state.best_epoch is not None and state.epoch - state.best_epoch >= patience:
                stopped = Stopped.PATIENCE
                break
            if until is not None and state.records and until(state.records[-1]):
                stopped = Stopped.ASKED
                break
            epoch, start = state.epoch + 1, time.perf_counter()
            terms, users = loop.run_epoch(epoch)
            terms = {**(first if epoch == first_epoch else {}), **terms}
            seconds = time.perf_counter() - start
            record = loop.recorded(None if trainer.closed_form else validation, epoch, terms, users, seconds)
            state.records.append(record)
            state.epoch = epoch
            state.seconds = before + time.perf_counter() - began
            if path is not None and saved and group.first:
                save_checkpoint(path, about, model, trainer, loop.optimizers, state)
                drop_stages(path.parent, before_it)
            progress.epoch(record)
    except KeyboardInterrupt:
        stopped = Stopped.INTERRUPTED
    for tensor in model.tensors().values():
        tensor.grad = None
    if state.best:
        model.load_state(state.best)
    if path is not None and not saved and before_it and stopped is not Stopped.INTERRUPTED and group.first:
        path.unlink(missing_ok=True)  # a pretraining's checkpoint
        drop_stages(path.parent, before_it)
    return FitResult(
        records=tuple(state.records),
        best_epoch=state.best_epoch,
        best_metric=None if state.best_epoch is None else state.best_metric,
        stopped=stopped,
        seconds=before + time.perf_counter() - began,
        epochs=total,
        precision=precision,
    )
