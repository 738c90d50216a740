"""The result of a retraining: what happened, why, and all figures."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from foldin.display import Display, Displayed
from foldin.experiment.incumbent import Scores
from foldin.experiment.origin import Origin
from foldin.experiment.outcome import Outcome, Pooled, Rule

__all__ = ["Compared", "Retrained"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Compared:
    """The comparison of one night.

    Args:
        origin: the cut, with the users who were compared.
        incumbent, challenger: name and scores of each model.
        leaks: whether the run in service may have been trained on events after the cut, which favors it.
    """

    origin: Origin
    incumbent: tuple[str, Scores]
    challenger: tuple[str, Scores]
    leaks: bool

    def as_dict(self) -> dict[str, Any]:
        """The figures as JSON; times are ISO 8601."""
        return {
            "cut": datetime.fromtimestamp(self.origin.time, UTC).isoformat(),
            "users": len(self.origin),
            "targets": self.origin.targets.n_events,
            "newcomers": self.origin.newcomers,
            "incumbent_may_know_targets": self.leaks,
            "incumbent": _about(*self.incumbent),
            "challenger": _about(*self.challenger),
        }


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Retrained(Displayed):
    """The result of `retrain`.

    Args:
        rule: the rule that decided.
        decision: the outcome, with its figures over all pooled nights.
        swapped: whether the run in service was replaced.
        generation: number of the generation in service afterwards; None if it is none of the folder's generations, such as a
            plain run directory.
        epochs: number of epochs; None for a closed form, or if nothing was trained.
        compared: the comparison of this night; None if there was none.
        seconds: duration of each step.
    """

    rule: Rule
    decision: Pooled
    swapped: bool
    generation: int | None
    epochs: int | None = None
    compared: Compared | None = None
    seconds: Mapping[str, float]

    def display(self) -> Display:
        rows = [] if self.compared is None else self._rows(self.compared)
        head = ("", self.rule.metric, "targets not in its catalog")
        return Display(title=self.sentence, head=head, rows=rows)

    def _rows(self, compared: Compared) -> list[tuple[str, str, str]]:
        rows = []
        for role, (name, scores) in (("in service", compared.incumbent), ("challenger", compared.challenger)):
            rows.append((f"{name}, {role}", f"{scores.values.mean():.4f}", f"{scores.unknown_targets:,}"))
        return rows

    @property
    def sentence(self) -> str:
        """What happened and why, in one sentence."""
        why = self.decision.sentence(self.rule)
        if not self.swapped:
            asked = self.decision.outcome is Outcome.UNDECIDED and self.rule.undecided == "fresh"
            below = "; the mean is below the margin, so that the fresh model is not taken" if asked else ""
            return f"not swapped: {why}{below}"
        fresh = ", and then the fresh model is taken" if self.decision.outcome is Outcome.UNDECIDED else ""
        return f"swapped, generation {self.generation} is in service: {why}{fresh}"

    def as_dict(self) -> dict[str, Any]:
        """All figures as JSON."""
        return {
            "outcome": str(self.decision.outcome),
            "swapped": self.swapped,
            "why": self.sentence,
            "rule": asdict(self.rule),
            "pooled": self.decision.as_dict(),
            "tonight": None if self.compared is None else self.compared.as_dict(),
            "generation": self.generation,
            "epochs": self.epochs,
            "seconds": {step: round(one, 3) for step, one in self.seconds.items()},
        }


def _about(name: str, scores: Scores) -> dict[str, Any]:
    return {
        "model": name,
        "mean": float(scores.values.mean()),
        "unknown_targets": scores.unknown_targets,
        "unknown_events": scores.unknown_events,
    }
