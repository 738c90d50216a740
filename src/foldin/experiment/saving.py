"""A trained model as a run directory, and the split that a run was trained on."""

import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from foldin.data import Source, Split
from foldin.errors import RunError
from foldin.experiment.environment import versions
from foldin.experiment.training import Trained
from foldin.runs import Run, save_run
from foldin.training import Stopped

__all__ = ["save", "source_of_run", "split_of_run"]


def save(folder: Path, split: Split, one: Trained, *, source: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Write a run directory; returns its `run.json` content.

    Args:
        source: what `Source.as_dict` gives; empty where the log has no place to be read from again, and then `evaluate` and
            `explain` need `--data`.

    Raises:
        RunError: a source that could not be used again, or what `save_run` refuses.
    """
    if source:
        _source(source, str(folder))
    began = time.time() - one.result.seconds
    info = {
        "source": dict(source),
        "fingerprint": split.fingerprint(),
        "protocol": split.protocol,
        "seed": seed,
        "split_seed": split.seed,
        "users": {"train": len(split.train), "validation": len(split.validation), "test": len(split.test)},
        "items": len(split.catalog),
        "fit_seconds": round(one.result.seconds, 3),
        "stopped": one.result.stopped,
        "best_epoch": one.result.best_epoch,
        "validation": one.result.best_metric,
        "began": datetime.fromtimestamp(began, UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        **one.calibrated(),
    }
    save_run(
        folder,
        model=one.model,
        catalog=split.catalog,
        info=info,
        history=[asdict(record) for record in one.result.records],
        metrics=one.evaluation.summary(seed=seed),
        per_user=one.evaluation.per_user,
        keep_checkpoint=one.result.stopped is Stopped.INTERRUPTED,
    )
    return info


def source_of_run(run: Run) -> Source | None:
    """Where a run's log came from and how it was read; None for a run that was saved without saying.

    Raises:
        RunError: what is stored there cannot be used.
    """
    stored = run.info.get("source")
    return _source(stored, str(run.folder)) if stored else None


def _source(stored: Any, where: str) -> Source:
    try:
        source = Source(**stored)
    except TypeError as error:
        raise RunError(f"{where}: the source of the log cannot be used: {error}") from error
    if not isinstance(source.path, str):
        raise RunError(f"{where}: the source of the log cannot be used: path = {source.path!r}: text was expected")
    return source


def split_of_run(run: Run, path: str | None) -> Split:
    """The split a run was trained on, read again and checked.

    Args:
        path: the log, where it has moved, or where the run does not say where it came from.

    Raises:
        RunError: the log is another one, or the run does not say where it came from, and neither does `path`.
    """
    source = source_of_run(run)
    if source is None and path is None:
        raise RunError(
            f"{run.folder}: the run has no source: it does not say which log it was trained on; name it with --data"
        )
    fingerprint = run.info.get("fingerprint")
    if fingerprint is None:
        raise RunError(
            f"{run.folder}: the run has no fingerprint of its log, so no log can be recognized as the one it was trained on"
        )
    if source is None:
        source = Source(path="", protocol=run.info.get("protocol"), seed=run.info.get("split_seed") or 0)
    if path is not None:
        source = replace(source, path=path)
    split = source.split()
    if split.fingerprint() != fingerprint:
        raise RunError(
            f"{run.folder}: the log at {source.path} is not the one it was trained on; name that with --data"
        )
    return split
