"""The models that are to be in service, in the database: the one truth for all processes that share it.

Every change is one transaction. It takes the next revision, which other writers wait for, so that revisions have no gaps and are
visible in their order; changes the rows; and adds an entry to the log of changes. A change of what a model serves raises the
generation of its row by one. A caller that gives the generation it has read is refused if there is another by now.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from foldin.errors import ConfigError, OutdatedError
from foldin.serve.shares import check_shares
from foldin.serve.storage.changes import log_change
from foldin.serve.storage.deployment_tables import changes, deployments, revision
from foldin.serve.storage.event_store import unusable
from foldin.serve.storage.fleet_state import DeploymentRow, FleetState, RunRef

__all__ = ["DeploymentStore"]


class DeploymentStore:
    """The rows of the models that are to be in service.

    Args:
        engine: engine from `connect`, of a migrated database. Every method raises `EventStoreError` if the database fails.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine

    def revision(self) -> int:
        """The number of changes so far."""
        try:
            with self.engine.connect() as connection:
                return int(connection.execute(sa.select(revision.c.revision)).scalar_one())
        except SQLAlchemyError as error:
            raise unusable(error) from error

    def state(self) -> FleetState:
        """The rows and their revision; the rows may be newer than the revision, never older."""
        try:
            with self.engine.connect() as connection:
                return _read(connection, sa.select(revision.c.revision))
        except SQLAlchemyError as error:
            raise unusable(error) from error

    def deploy(
        self, name: str, run: RunRef, *, key: str, default: bool = False, generation: int | None = None
    ) -> FleetState:
        """Give a model a run; the run before it can be restored. The first model becomes the default.

        The run that the model has already is no change.

        Args:
            key: who asks, for the log.
            default: whether to make it the default model.
            generation: generation that the row must have; 0 if there must be none.

        Raises:
            OutdatedError: the row has another generation.
        """

        def edit(state: FleetState) -> list[DeploymentRow]:
            row = state.rows.get(name)
            _expect(name, row, generation)
            if row is None:
                new = DeploymentRow(name, 1, run)
            elif row.run == run and not row.retired:
                new = row
            else:
                previous = row.previous if row.run.digest == run.digest else row.run
                new = replace(row, generation=row.generation + 1, run=run, previous=previous, retired=False)
            return _as_default(state, new) if default or state.default is None else [new]

        return self._change(key, "deploy", name, edit)

    def roll_back(self, name: str, *, key: str, generation: int | None = None) -> FleetState:
        """Exchange the run of a model with its previous one.

        Raises:
            ConfigError: there is no previous run.
            OutdatedError: the row has another generation.
        """

        def edit(state: FleetState) -> list[DeploymentRow]:
            row = state.rows.get(name)
            _expect(name, row, generation)
            if row is None or row.retired or row.previous is None:
                raise ConfigError(
                    f"models: there is no previous model {name!r} in the database; an earlier generation of a run's folder is "
                    "restored by `foldin runs rollback FOLDER`, and `foldin runs list FOLDER` lists them"
                )
            return [replace(row, generation=row.generation + 1, run=row.previous, previous=row.run)]

        return self._change(key, "rollback", name, edit)

    def make_default(self, name: str, *, key: str, generation: int | None = None) -> FleetState:
        """Make a model the default, for requests that do not choose one.

        Raises:
            UnknownModelError: no such model.
            OutdatedError: the row has another generation.
        """

        def edit(state: FleetState) -> list[DeploymentRow]:
            _expect(name, state.active(name), generation)
            return _as_default(state, state.active(name))

        return self._change(key, "default", name, edit)

    def retire(self, name: str, *, key: str, generation: int | None = None) -> FleetState:
        """Take a model out of service; a later deployment of the name brings it back.

        Raises:
            UnknownModelError: no such model.
            ConfigError: the model is the default one, or has a share in the split.
            OutdatedError: the row has another generation.
        """

        def edit(state: FleetState) -> list[DeploymentRow]:
            row = state.active(name)
            _expect(name, row, generation)
            if row.default:
                raise ConfigError(f"models: {name!r} is the default model; make another one the default before")
            if row.share is not None:
                raise ConfigError(f"models: {name!r} has a share in the split; end or change the split before")
            return [replace(row, generation=row.generation + 1, retired=True)]

        return self._change(key, "retire", name, edit)

    def split(self, shares: Mapping[str, float], *, key: str, expected: int | None = None) -> FleetState:
        """Split users between models, for requests that do not choose one. Empty shares end the split.

        Args:
            expected: revision that the database must have.

        Raises:
            UnknownModelError: no such model.
            ConfigError: shares that are not positive or do not add up to 1.
            OutdatedError: the database has another revision.
        """
        check_shares(shares)

        def edit(state: FleetState) -> list[DeploymentRow]:
            if expected is not None and expected != state.revision:
                raise OutdatedError(
                    f"models: the revision is {state.revision}, not {expected} as expected: something changed since it was read",
                    expected=expected,
                    found=state.revision,
                )
            for name in shares:
                state.active(name)
            return [replace(row, share=shares.get(name)) for name, row in state.rows.items()]

        return self._change(key, "split", None, edit)

    def _change(
        self, key: str, action: str, model: str | None, edit: Callable[[FleetState], list[DeploymentRow]]
    ) -> FleetState:
        """One transaction; the state after it. Rows that `edit` returns as they were are no change."""
        try:
            with self.engine.begin() as connection:
                if self.engine.dialect.name == "sqlite":
                    connection.exec_driver_sql("BEGIN IMMEDIATE")
                state = _read(connection, sa.select(revision.c.revision).with_for_update())  # others wait here
                now = int(time.time())
                new = {row.name: replace(row, changed=now) for row in edit(state) if row != state.rows.get(row.name)}
                if not new:
                    return state
                number = state.revision + 1
                connection.execute(sa.update(revision).values(revision=number))
                for row in new.values():
                    _write(connection, row, known=row.name in state.rows)
                old = {name: state.rows[name].content() if name in state.rows else None for name in new}
                after = {name: row.content() for name, row in new.items()}
                log_change(connection, number, key=key, action=action, model=model, before=old, after=after)
                rows = dict(sorted({**state.rows, **new}.items()))
                return FleetState(number, rows, number if action == "split" else state.split)
        except SQLAlchemyError as error:
            raise unusable(error) from error


def _read(connection: sa.Connection, number: sa.Select[Any]) -> FleetState:
    found = int(connection.execute(number).scalar_one())
    of_split = sa.select(sa.func.max(changes.c.revision)).where(changes.c.action == "split")
    split = connection.execute(of_split).scalar()
    rows = {}
    for row in connection.execute(sa.select(deployments)):
        previous = None if row.previous_uri is None else RunRef(row.previous_uri, row.previous_digest)
        rows[row.name] = DeploymentRow(
            name=row.name,
            generation=row.generation,
            run=RunRef(row.uri, row.digest),
            previous=previous,
            default=row.is_default,
            share=row.share,
            retired=row.retired,
            changed=row.changed,
        )
    return FleetState(found, dict(sorted(rows.items())), split)


def _write(connection: sa.Connection, row: DeploymentRow, *, known: bool) -> None:
    values = {
        "generation": row.generation,
        "uri": row.run.uri,
        "digest": row.run.digest,
        "previous_uri": None if row.previous is None else row.previous.uri,
        "previous_digest": None if row.previous is None else row.previous.digest,
        "is_default": row.default,
        "share": row.share,
        "retired": row.retired,
        "changed": row.changed,
    }
    if known:
        connection.execute(sa.update(deployments).where(deployments.c.name == row.name).values(values))
    else:
        connection.execute(sa.insert(deployments).values(name=row.name, **values))


def _expect(name: str, row: DeploymentRow | None, generation: int | None) -> None:
    """Raise if a row has another generation than was expected; 0 stands for no row."""
    found = 0 if row is None else row.generation
    if generation is not None and generation != found:
        raise OutdatedError(
            f"models: {name!r} has generation {found}, not {generation} as expected: it changed since it was read",
            expected=generation,
            found=found,
        )


def _as_default(state: FleetState, row: DeploymentRow) -> list[DeploymentRow]:
    """The rows to write so that one model is the default, and no other."""
    others = [replace(one, default=False) for name, one in state.rows.items() if name != row.name]
    return [replace(row, default=True), *others]
