"""Models side by side as data."""

from collections.abc import Mapping
from typing import Any

from foldin.data import Split
from foldin.evaluation import (
    LOG_LIKELIHOOD,
    compare_models,
)
from foldin.experiment.trained import Trained

__all__ = ["report"]


def report(
    split: Split, trained: Mapping[str, Trained], *, data: str, seed: int, left_out: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Models side by side as data: metrics with intervals, and paired tests with Holm's correction.

    Args:
        left_out: reason for each model that is left out, by its name.
    """
    models = {}
    for name, one in trained.items():
        models[name] = {
            "config": one.model.config.as_dict(),
            "fit_seconds": round(one.result.seconds, 3),
            "epochs": len(one.result.records),
            "stopped": one.result.stopped,
            "best_epoch": one.result.best_epoch,
            "validation": one.result.best_metric,
            **one.calibrated(),
            "metrics": one.evaluation.summary(seed=seed),
        }
    evaluations = {name: one.evaluation for name, one in trained.items()}
    first = next(iter(evaluations.values()))
    every = [name for name in first.metrics if not name.startswith("novelty")]
    if LOG_LIKELIHOOD not in every:
        every.append(LOG_LIKELIHOOD)
    return {
        "data": data,
        "protocol": split.protocol,
        "seed": seed,
        "users": {"train": len(split.train), "validation": len(split.validation), "test": len(split.test)},
        "without_targets": first.without_targets,
        "items": len(split.catalog),
        "models": models,
        "left_out": dict(left_out or {}),
        "tests": compare_models(evaluations, every, seed=seed),
    }
