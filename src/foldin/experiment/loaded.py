"""A loaded run with what its evaluation left: what `foldin.load` returns."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl
import torch

from foldin.data import Split
from foldin.display import Display, estimate
from foldin.errors import FoldinError, RunError
from foldin.evaluation import Evaluation
from foldin.experiment.explaining import explained
from foldin.experiment.sources import split_of_run
from foldin.reports import Explanation, subject_of_run
from foldin.runs import Run, load_run

__all__ = ["LoadedRun", "load"]


@dataclass(frozen=True, eq=False, repr=False)
class LoadedRun(Run):
    """A finished run that has been loaded, with its evaluation on the test users and its bound report, as after training."""

    def display(self) -> Display:
        shown, metrics = super().display(), self._metrics
        if not metrics:
            return shown
        rows = [(name, value, "") for name, value in shown.rows]
        rows += [(name, *estimate(entry, 0 if "perplexity" in name else 4)) for name, entry in metrics.items()]
        return replace(shown, head=("", "", "95 % interval"), rows=rows)

    @property
    def _metrics(self) -> Mapping[str, Any]:
        """The content of `metrics.json`; empty if there is none."""
        path = self.folder / "metrics.json"
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        return found

    @cached_property
    def evaluation(self) -> Evaluation | None:
        """The evaluation on the test users, read from the folder at its first use; None for a run that was saved without one."""
        path, metrics = self.folder / "per_user.parquet", self._metrics
        if not path.is_file() or not metrics:
            return None
        table = pl.read_parquet(path, glob=False)
        # Metrics of all lists together have no interval.
        overall = {
            name: math.nan if one["mean"] is None else one["mean"] for name, one in metrics.items() if "low" not in one
        }
        users = (self.info.get("users") or {}).get("test", table.height)
        return Evaluation(table, overall, max(0, users - table.height))

    def explain(
        self,
        *,
        data: str | Path | Split | None = None,
        users: int = 500,
        draws: int = 500,
        annealed: int = 50,
        temperatures: int = 300,
        seed: int = 0,
        progress: Any = None,
    ) -> Explanation:
        """The bound report on the test users, as `Trained.explain` gives it; the log is read again from its source.

        Args:
            data: path of the log, if it has moved, or the split itself; None for the source that the run names.
            users, draws, annealed, temperatures, seed, progress: as in `Trained.explain`.

        Raises:
            ConfigError: the model has no density, so that nothing can be reported in nats.
            RunError: the run was trained on all users, or its log cannot be read or is another one.
        """
        if self.info.get("protocol") == "all":
            raise RunError(
                f"{self.folder}: the run was trained on all users of its log, so that there are no test users to report on; "
                "explain a run of `train`"
            )
        subject = subject_of_run(self)
        subject.check_density()  # before a log is read
        return explained(
            subject,
            self._split_of(data),
            users=users,
            draws=draws,
            annealed=annealed,
            temperatures=temperatures,
            seed=seed,
            progress=progress,
        )

    def _split_of(self, data: str | Path | Split | None) -> Split:
        if isinstance(data, Split):
            if data.fingerprint() != self.info.get("fingerprint"):
                raise RunError(f"{self.folder}: the split given as data is not the one that the run was trained on")
            return data
        if data is not None and not isinstance(data, str | Path):
            raise RunError(
                f"{self.folder}: data: a path or a Split was expected, not {type(data).__name__}; split it as the run's log was: "
                f"foldin.split(log, {self.info.get('protocol')!r}, seed={self.info.get('split_seed') or 0})"
            )
        try:
            return split_of_run(self, None if data is None else str(data))
        except RunError:
            raise
        except (FoldinError, OSError) as error:
            raise RunError(
                f"{self.folder}: the log that the run was trained on cannot be read: {error}; give its path or its split as data"
            ) from error


def load(folder: str | Path, *, device: str | torch.device = "cpu") -> LoadedRun:
    """The finished run in a folder; of a folder of generations, the current one.

    Raises:
        RunError: the run is missing, unfinished, damaged, or of another version; the message gives the file and the reason.
    """
    run = load_run(folder, device=device)
    return LoadedRun(**{one.name: getattr(run, one.name) for one in fields(run)})
