"""The rows of `best.py` on disk: a folder for each log and model, so that a script that is cut off goes on where it was.

LOG/MODEL/study/            the search, which continues by itself
LOG/MODEL/tuning.json       its result and its budget
LOG/MODEL/seed-S.json       costs of the model with the best settings, trained with seed S
LOG/MODEL/seed-S.test.parquet, seed-S.validation.parquet     the metrics of each user
LOG/MODEL/left-out.json     why there is no row
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from foldin.data import HeldOut
from foldin.evaluation import Evaluation, evaluate
from foldin.experiment import Candidate, Trained, measure_candidate
from foldin.models import Recommender
from foldin.ranking import rank

__all__ = ["Row", "averaged", "seconds_of_lists"]

_LISTED = 1_000  # most test users for whom lists are timed
_LENGTH = 100


@dataclass(frozen=True)
class Row:
    """A model on a log.

    Args:
        folder: where the row is kept.
    """

    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def study(self) -> Path:
        return self.folder / "study"

    def tuning(self) -> dict[str, Any] | None:
        """The result of the search; None if it has not ended."""
        return self._read("tuning.json")

    def left_out(self) -> str | None:
        """Why there is no row; None if there is one, or if none was tried."""
        found = self._read("left-out.json")
        return None if found is None else found["reason"]

    def leave_out(self, reason: str | None) -> None:
        """Keep why there is no row; None once there is one."""
        if reason is None:
            (self.folder / "left-out.json").unlink(missing_ok=True)
        else:
            self.write("left-out.json", {"reason": reason})

    def write(self, name: str, content: Mapping[str, Any]) -> None:
        """Keep one of the files, whole or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        part = self.folder / f"{name}.part"
        part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        part.replace(self.folder / name)

    def forget(self) -> None:
        """Remove what was measured with other settings; the search stays."""
        for path in (*self.folder.glob("seed-*"), *self.folder.glob("tuning.json")):
            path.unlink()

    def seeds(self) -> list[int]:
        """Seeds that were measured."""
        return sorted(int(path.stem.removeprefix("seed-")) for path in self.folder.glob("seed-*.json"))

    def needs(self, seed: int) -> bool:
        """Whether a seed is still to be measured: not if two seeds gave equal figures, since then all do."""
        done = self.seeds()
        if seed in done:
            return False
        return len(done) < 2 or not self._alike(*done[:2])

    def _alike(self, one: int, other: int) -> bool:
        return self._table(one, "test").equals(self._table(other, "test"))

    def keep(self, seed: int, trained: Trained, metric: str, metrics: Sequence[str]) -> None:
        """Measure a trained model on the validation users, and its lists, and keep it; the file of its costs is the last one."""
        candidate = measure_candidate(trained, metric=metric)
        model, split = trained.model, trained.split
        validation = evaluate(model, split.validation, metrics=metrics)
        self.folder.mkdir(parents=True, exist_ok=True)
        for group, one in (("test", trained.evaluation), ("validation", validation)):
            one.per_user.write_parquet(self.folder / f"seed-{seed}.{group}.parquet")
        names = ("seconds", "milliseconds", "bytes", "density", "uncertainty", "new_items", "reads_order")
        content = {
            **{name: getattr(candidate, name) for name in names},
            "lists": seconds_of_lists(model, split.test),
            "best_epoch": trained.result.best_epoch,
            "test": {"overall": trained.evaluation.overall, "without_targets": trained.evaluation.without_targets},
            "validation": {"overall": validation.overall, "without_targets": validation.without_targets},
        }
        self.write(f"seed-{seed}.json", content)

    def evaluations(self, group: str) -> list[Evaluation]:
        """The evaluation of each seed on the test or the validation users."""
        found = []
        for seed in self.seeds():
            about = self._read(f"seed-{seed}.json")
            assert about is not None
            found.append(Evaluation(self._table(seed, group), **about[group]))
        return found

    def costs(self) -> dict[str, Any]:
        """Costs and capabilities: means over the seeds of numbers, and whether any seed has a capability."""
        every = [about for seed in self.seeds() if (about := self._read(f"seed-{seed}.json")) is not None]
        numbers = {name: float(np.mean([one[name] for one in every])) for name in ("seconds", "milliseconds", "lists")}
        able = {
            name: any(one[name] for one in every) for name in ("density", "uncertainty", "new_items", "reads_order")
        }
        return {**numbers, "bytes": every[0]["bytes"], **able}

    def candidate(self) -> Candidate:
        """The row as one that may be chosen, by its figures on the validation users."""
        costs = self.costs()
        del costs["lists"]
        return Candidate(name=self.name, validation=averaged(self.evaluations("validation")), **costs)

    def _table(self, seed: int, group: str) -> pl.DataFrame:
        return pl.read_parquet(self.folder / f"seed-{seed}.{group}.parquet")

    def _read(self, name: str) -> dict[str, Any] | None:
        path = self.folder / name
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def averaged(runs: Sequence[Evaluation]) -> Evaluation:
    """Each user's figures averaged over the seeds of training: intervals and tests are over users."""
    first = runs[0]
    columns = {name: pl.Series(np.mean([run.values(name) for run in runs], axis=0)) for name in first.metrics}
    overall = {name: float(np.mean([run.overall[name] for run in runs])) for name in first.overall}
    return Evaluation(first.per_user.with_columns(**columns), overall, first.without_targets)


@torch.no_grad()
def seconds_of_lists(model: Recommender, held: HeldOut) -> float:
    """Seconds of a thousand lists of a hundred items, in blocks of users as in a batch job; a first block is not counted."""
    users = held.fold_in.rows(0, min(len(held), _LISTED))
    rank(model, users.rows(0, min(len(users), model.block())), _LENGTH)
    began = time.perf_counter()
    rank(model, users, _LENGTH)
    return 1000.0 * (time.perf_counter() - began) / len(users)
