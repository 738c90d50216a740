"""A trained model with its split, its training and its evaluation: what `train` returns."""

import time
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from foldin.data import Catalog, KnownUsers, Source, Split
from foldin.display import Display, Displayed
from foldin.errors import RunError
from foldin.evaluation import Calibration, Evaluation
from foldin.experiment.environment import versions
from foldin.experiment.explaining import explained
from foldin.experiment.origin import newest_time
from foldin.models import Recommender
from foldin.reports import Explanation, Subject
from foldin.runs import Parts, Recommends, save_run, weights_info
from foldin.training import FitResult, Stopped

__all__ = ["Trained", "source_from"]


@dataclass(frozen=True, eq=False, repr=False)
class Trained(Recommends, Displayed):
    """A trained model, with the result of its training and its evaluation on the test users.

    Args:
        split: the split on which the model was trained and evaluated.
        seed: seed of the training.
        calibration: the temperature that was fitted on the validation users, if one was requested; or why there is none.
    """

    name: str
    model: Recommender
    result: FitResult
    evaluation: Evaluation
    split: Split
    seed: int = 0
    calibration: Calibration | str | None = None

    def display(self) -> Display:
        shown = self.evaluation.display()
        epochs = f", {len(self.result.records):,} epochs" if len(self.result.records) > 1 else ""
        title = (
            f"{self.name} trained on {len(self.split.train):,} users and {len(self.split.catalog):,} items in "
            f"{self.result.seconds:,.1f} s{epochs}. {shown.title}"
        )
        return replace(shown, title=title)

    @property
    def catalog(self) -> Catalog:
        """The items of the model."""
        return self.split.catalog

    def _parts(self) -> Parts:
        return Parts(self.model, self.split.catalog, self.split.style, self.split.reading, self.split.weighting)

    @cached_property
    def _everyone(self) -> KnownUsers:
        return KnownUsers.of_split(self.split)

    def _known_users(self) -> KnownUsers:
        return self._everyone

    def calibrated(self) -> dict[str, Any]:
        """The calibration as data; empty if none was requested."""
        found = self.calibration
        if found is None:
            return {}
        return {"calibration": {"failed": found} if isinstance(found, str) else found.as_dict()}

    def explain(
        self,
        *,
        users: int = 500,
        draws: int = 500,
        annealed: int = 50,
        temperatures: int = 300,
        seed: int = 0,
        progress: Any = None,
    ) -> Explanation:
        """The bound report on the test users: how tight the bound is, how its KL decomposes, how the model is calibrated.

        Args:
            users: number of test users.
            draws: number of draws of z for each.
            annealed: number of users whose log p(x) is also bounded by annealed importance sampling.
            temperatures: number of temperatures of annealed importance sampling.
            seed: seed of the draws.
            progress: called with (done, total); None for a bar in terminals and notebooks.

        Raises:
            ConfigError: the model has no density, so that nothing can be reported in nats.
        """
        subject = Subject(
            name=self.name,
            model=self.model,
            catalog=self.split.catalog,
            metrics=self.evaluation.summary(seed=self.seed),
            history=[asdict(record) for record in self.result.records],
            data=self.split.report.source,
            where=self.name,
        )
        return explained(
            subject,
            self.split,
            users=users,
            draws=draws,
            annealed=annealed,
            temperatures=temperatures,
            seed=seed,
            progress=progress,
        )

    def save(self, folder: str | Path, *, histories: bool = False) -> dict[str, Any]:
        """Write a run directory, which `foldin.load` reads; returns the content of its `run.json`.

        Args:
            folder: new or empty, or one that holds a run.
            histories: whether to save the histories of all users of the split, held-out ones included, so that the loaded run
                lists for them by their ids.

        Raises:
            RunError: the source of the split could not be used again, or `save_run` refuses the run.
        """
        split, result = self.split, self.result
        if split.source:
            source_from(split.source, str(folder))
        began = time.time() - result.seconds
        info = {
            "source": dict(split.source),
            "fingerprint": split.fingerprint(),
            "protocol": split.protocol,
            "seed": self.seed,
            "split_seed": split.seed,
            "users": {"train": len(split.train), "validation": len(split.validation), "test": len(split.test)},
            "items": len(split.catalog),
            "until": newest_time(split.train, split.validation.fold_in, split.validation.targets),
            "precision": result.precision,
            "fit_seconds": round(result.seconds, 3),
            "stopped": result.stopped,
            "best_epoch": result.best_epoch,
            "planned_epochs": result.epochs,
            "validation": result.best_metric,
            "began": datetime.fromtimestamp(began, UTC).isoformat(timespec="seconds"),
            "versions": versions(),
            **weights_info(split.weighting),
            **self.calibrated(),
        }
        save_run(
            Path(folder),
            model=self.model,
            catalog=split.catalog,
            info=info,
            history=[asdict(record) for record in result.records],
            metrics=self.evaluation.summary(seed=self.seed),
            per_user=self.evaluation.per_user,
            known=self._everyone if histories else None,
            style=split.style,
            reading=split.reading,
            keep_checkpoint=result.stopped is Stopped.INTERRUPTED,
        )
        return info


def source_from(stored: Any, where: str) -> Source:
    """The source that `Source.as_dict` returned.

    Raises:
        RunError: the stored source cannot be used; the message begins with `where`.
    """
    try:
        source = Source(**stored)
    except TypeError as error:
        raise RunError(f"{where}: the source of the log cannot be used: {error}") from error
    if not isinstance(source.path, str):
        raise RunError(f"{where}: the source of the log cannot be used: path = {source.path!r}: text was expected")
    return source
