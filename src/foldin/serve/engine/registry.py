"""Models in service: several side by side, replaced without dropping a request, and the choice of the model for a request."""

import threading
from collections.abc import Mapping
from pathlib import Path

import torch

from foldin.data import EventWeights
from foldin.errors import ConfigError, OverloadedError, UnknownModelError
from foldin.runs import load_run
from foldin.serve.engine.deployment import Deployment
from foldin.serve.engine.split import Arm, Split
from foldin.serve.shares import check_shares
from foldin.serve.storage.items import ItemsState

__all__ = ["Registry"]


class Registry:
    """The models that this process serves, by name. In a service with a database, `Fleet` brings it to what the database says.

    Args:
        device: device of the models.
        queued: maximum number of requests that may wait for a model.
        rankers: names of rankers by name of the model; "" for all other models.
    """

    def __init__(
        self,
        *,
        device: str | torch.device = "cpu",
        queued: int = 1024,
        rankers: Mapping[str, str] | None = None,
    ) -> None:
        self._device, self._queued = device, queued
        self._rankers = {"": "exact", **(rankers or {})}
        self._lock = threading.Lock()
        self._now: dict[str, Deployment] = {}
        self._before: dict[str, Deployment] = {}
        self._default: str | None = None
        self._split = Split()
        self._items = ItemsState()

    def deploy(self, folder: str | Path, name: str | None = None) -> Deployment:
        """Load a run and deploy it under its name; the previous model of this name is kept for `roll_back`.

        The previous model serves until the new one is loaded, verified, and has answered once.

        Raises:
            RunError: the run is missing, unfinished or damaged.
            ConfigError: the model lacks a capability that its ranker needs.
        """
        new = self.load(folder, name or Path(folder).resolve().name)
        self.place(new)
        return new

    def load(self, folder: str | Path, name: str) -> Deployment:
        """A run, loaded, verified and warm, that is not in service yet.

        Raises:
            RunError: the run is missing, unfinished or damaged.
            ConfigError: the model lacks a capability that its ranker needs.
        """
        run = load_run(folder, device=self._device)
        return Deployment(name, run, queued=self._queued, ranked_by=self._rankers.get(name, self._rankers[""]))

    def place(self, new: Deployment) -> None:
        """Put a loaded run into service under its name, at once; the run before it is kept for `roll_back`."""
        name = new.name
        new.show(self._items)
        with self._lock:
            old = self._now.get(name)
            self._now[name] = new
            self._default = self._default or name
            dropped = self._before.pop(name, None)
            if old is not None:
                self._before[name] = old
        new.show(self._items)  # they may have changed since
        if dropped is not None:
            dropped.batcher.close()

    def renew(self, old: Deployment, new: Deployment) -> bool:
        """Put a model in the place of one in service that is the same run with other new items; False if that one is gone."""
        new.show(self._items)
        with self._lock:
            if self._now.get(new.name) is not old:
                return False
            self._now[new.name] = new
        new.show(self._items)  # they may have changed since
        return True

    def show(self, items: ItemsState) -> None:
        """Show the items that were sent, in all models in service and in those that come."""
        self._items = items
        with self._lock:
            all_ = [*self._now.values(), *self._before.values()]
        for one in all_:
            one.show(items)

    def withdraw(self, name: str) -> None:
        """Take a model out of service; requests that wait for it are still answered."""
        with self._lock:
            gone = [self._now.pop(name, None), self._before.pop(name, None)]
        for one in gone:
            if one is not None:
                one.batcher.close()

    def roll_back(self, name: str) -> Deployment:
        """Exchange a model with the previous model of its name.

        Raises:
            ConfigError: there is no previous model.
        """
        with self._lock:
            if name not in self._before:
                raise ConfigError(f"models: there is no previous model {name!r}")
            self._now[name], self._before[name] = self._before[name], self._now[name]
            return self._now[name]

    def make_default(self, name: str) -> None:
        """Make a model the default, for requests that do not choose one.

        Raises:
            ConfigError: no such model.
        """
        self.get(name)
        with self._lock:
            self._default = name

    def split(self, shares: Mapping[str, float]) -> None:
        """Split users between models, for requests that do not choose one. Empty shares end the split.

        Raises:
            ConfigError: no such model, or shares that are not positive or do not add up to 1.
        """
        for name in shares:
            self.get(name)
        check_shares(shares)
        with self._lock:
            self._split = Split(shares)

    def direct(self, default: str | None, shares: Mapping[str, float], revision: int | None = None) -> None:
        """Set the default model and the split of a revision at once, whether or not these models are in service here."""
        with self._lock:
            self._default, self._split = default, Split(shares, revision)

    def serving(self, name: str) -> Deployment | None:
        """The model in service under a name, if there is one."""
        return self._now.get(name)

    def previous(self, name: str) -> Deployment | None:
        """The model that `roll_back` would restore, if there is one."""
        return self._before.get(name)

    def get(self, name: str) -> Deployment:
        """The model of that name.

        Raises:
            UnknownModelError: there is none.
        """
        found = self._now.get(name)
        if found is None:
            raise UnknownModelError(f"models: no model {name!r}; there are {', '.join(sorted(self._now))}")
        return found

    def choose(self, name: str | None, user: str | None) -> Deployment:
        """The model of a request: by name, or by the split if there is one, or the default model.

        Raises:
            ConfigError, OverloadedError: as `route`.
        """
        return self.route(name, user)[0]

    def route(self, name: str | None, user: str | None) -> tuple[Deployment, Arm | None]:
        """(the model of a request, the user's arm); the arm is None for a model by name, and for requests without a split.

        Raises:
            ConfigError: no model of that name, or no model in service.
            OverloadedError: the default model is not in service yet.
        """
        if name is not None:
            try:
                return self.get(name), None
            except UnknownModelError as error:
                raise ConfigError(str(error)) from None  # an invalid value of the request, not an unknown resource
        with self._lock:
            split, default = self._split, self._default
        arm = split.arm(user)
        assigned = None if arm is None else self._now.get(arm.model)
        if assigned is not None:
            return assigned, arm
        # Without a split, or where the assigned model could not be loaded, the default model answers.
        if default is None:
            raise ConfigError("models: none is in service")
        chosen = self._now.get(default)
        if chosen is None:
            raise OverloadedError(f"models: the default model {default!r} is not in service here; try again")
        return chosen, arm

    def knows(self, item: str) -> bool:
        """Whether the catalog of a model in service has this external id."""
        return any(one.run.catalog.places([item]) != [None] for one in self.all())

    def all(self) -> list[Deployment]:
        """The models in service, in the order of their names."""
        with self._lock:
            return [self._now[name] for name in sorted(self._now)]

    @property
    def default(self) -> str | None:
        """Name of the default model."""
        return self._default

    @property
    def weighting(self) -> EventWeights | None:
        """The rule by which events count for the default model; None if all count alike, or if it is not in service here."""
        found = self._now.get(self._default or "")
        return None if found is None else found.run.weighting

    @property
    def shares(self) -> dict[str, float]:
        """The current split: share of users by name of the model."""
        return dict(self._split.shares)

    def can_roll_back(self, name: str) -> bool:
        """Whether there is a previous model of this name."""
        return name in self._before

    def close(self) -> None:
        """Serve the waiting requests, and stop."""
        for one in [*self._now.values(), *self._before.values()]:
            one.batcher.close()
