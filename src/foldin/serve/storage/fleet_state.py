"""What all processes are to serve: runs, a row a model, and the state of all models at a revision."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from foldin.errors import UnknownModelError
from foldin.runs import without_secrets

__all__ = ["DeploymentRow", "FleetState", "RunRef"]


@dataclass(frozen=True)
class RunRef:
    """A run, by where it is and what it is.

    Args:
        uri: a folder, or a URL as for `runs.local_run`.
        digest: digest of the run.
    """

    uri: str
    digest: str


@dataclass(frozen=True)
class DeploymentRow:
    """A model that is to be in service.

    Args:
        name: name in requests and logs.
        generation: number of times that the name was given a run, rolled back or retired.
        run: run that is to serve.
        previous: run that `roll_back` restores; None for the first.
        default: whether it is the default model, for requests that do not choose one.
        share: share of the users in a split; None without a split.
        retired: whether it is out of service.
        changed: time of the newest change, in seconds since 1970.
    """

    name: str
    generation: int
    run: RunRef
    previous: RunRef | None = None
    default: bool = False
    share: float | None = None
    retired: bool = False
    changed: int = 0

    def content(self) -> dict[str, Any]:
        """The row in the log of changes."""
        return {
            "generation": self.generation,
            "run": without_secrets(self.run.uri),
            "digest": self.run.digest,
            "default": self.default,
            "share": self.share,
            "retired": self.retired,
        }


@dataclass(frozen=True)
class FleetState:
    """The state that all processes are to have.

    Args:
        revision: number of changes so far.
        rows: models by name, in the order of names; retired ones included.
        split: revision of the newest change of the split; None if there was none.
    """

    revision: int = 0
    rows: Mapping[str, DeploymentRow] = field(default_factory=dict)
    split: int | None = field(default=None, compare=False)

    @property
    def default(self) -> str | None:
        """Name of the default model."""
        return next((name for name, row in self.rows.items() if row.default), None)

    @property
    def shares(self) -> dict[str, float]:
        """Share of users by name of the model; empty without a split."""
        return {name: row.share for name, row in self.rows.items() if row.share is not None}

    def active(self, name: str) -> DeploymentRow:
        """The model of that name, which is not retired.

        Raises:
            UnknownModelError: there is none.
        """
        row = self.rows.get(name)
        if row is None or row.retired:
            known = ", ".join(one for one, other in self.rows.items() if not other.retired)
            raise UnknownModelError(f"models: no model {name!r}; there are {known or 'none'}")
        return row
