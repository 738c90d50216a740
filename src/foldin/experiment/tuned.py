"""The result of a search over settings: what `tune` returns."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foldin.display import Display, Displayed
from foldin.errors import FitError
from foldin.evaluation import Evaluation
from foldin.experiment.trained import Trained
from foldin.experiment.trials import TuningTrial
from foldin.files import write_json, write_text
from foldin.reports import TUNING_HEAD, tuning_page, tuning_rows, tuning_sentences
from foldin.training import Config, Space, setting_text, value_of

__all__ = ["Tuned"]

BEST = "best"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Tuned(Displayed):
    """The best settings of a search, the trials, and the model that was trained with these settings.

    Args:
        name: name of the model.
        metric: validation metric that was maximized.
        start: settings that the search began with.
        config: best settings.
        space: searched settings, with the range or the alternatives of each.
        trials: all trials that have ended.
        importances: share of each setting in what distinguishes the best trials; None for too few trials.
        best: the trial with the best settings.
        trained: the model that was trained with them and evaluated on the test users; None while another process works on the
            study, which then trains it.
        validation: its metric on the validation users.
    """

    name: str
    metric: str
    start: Config
    config: Config
    space: Space
    trials: tuple[TuningTrial, ...]
    importances: Mapping[str, float] | None
    best: TuningTrial
    trained: Trained | None
    validation: Evaluation | None

    def as_dict(self) -> dict[str, Any]:
        """The search as data."""
        values = {
            name: (setting_text(value_of(self.start, name)), setting_text(value_of(self.config, name)))
            for name in self.space
        }
        first = next((one for one in self.trials if not one.settings), None)
        return {
            "model": self.name,
            "metric": self.metric,
            "settings": {
                name: {
                    "range": _shown(one),
                    "log": getattr(one, "log", False),
                    "start": values[name][0],
                    "best": values[name][1],
                    "importance": None if self.importances is None else self.importances.get(name),
                }
                for name, one in self.space.items()
            },
            "trials": [
                {
                    **{"number": one.number, "settings": dict(one.settings), "state": one.state, "value": one.value},
                    **{"epochs": one.epochs, "seconds": round(one.seconds, 3), "reason": one.reason},
                }
                for one in self.trials
            ],
            "best": {"number": self.best.number, "value": self.best.value},
            "start": None if first is None else first.value,
            "config": self.config.as_dict(),
            "seconds": round(sum(one.seconds for one in self.trials), 3),
            "validation": None if self.validation is None else self.validation.summary()[self.metric],
            "test": None if self.trained is None else self.trained.evaluation.summary(seed=self.trained.seed),
        }

    def display(self) -> Display:
        content = self.as_dict()
        title, *notes = tuning_sentences(content)
        return Display(
            title=title,
            head=TUNING_HEAD,
            rows=tuning_rows(content),
            notes=notes,
        )

    def save(self, folder: str | Path) -> None:
        """Write the report, its data, and the run directory `best` into a folder, usually that of the study.

        Raises:
            FitError: another process works on the study and saves it.
        """
        if self.trained is None:
            raise FitError(f"tune {self.name}: another process works on the study; the last one saves it")
        folder = Path(folder)
        self.trained.save(folder / BEST)
        content = self.as_dict()
        write_json(folder / "tune.json", content)
        write_text(folder / "report.html", tuning_page(content))


def _shown(one: Any) -> str:
    return " | ".join(setting_text(value) or "(none)" for value in one) if isinstance(one, tuple) else str(one)
