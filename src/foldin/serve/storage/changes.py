"""The log of changes of the models in service: who changed what, when, from what and to what. It only grows."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from foldin.serve.storage.deployment_tables import changes
from foldin.serve.storage.event_store import unusable

__all__ = ["Change", "Changes", "log_change"]


@dataclass(frozen=True)
class Change:
    """A change of the models in service.

    Args:
        revision: number of the change; the first is 1, and none is left out.
        time: seconds since 1970.
        key: name of the key that asked for it, or `command line` or `watch` for the service's own process.
        action: `deploy`, `rollback`, `default`, `split` or `retire`.
        model: name of the model; None for a split.
        before, after: the rows of all models that changed, by name; None for a row that did not exist.
    """

    revision: int
    time: int
    key: str
    action: str
    model: str | None
    before: Mapping[str, Any]
    after: Mapping[str, Any]


def log_change(
    connection: sa.Connection,
    number: int,
    *,
    key: str,
    action: str,
    model: str | None,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
) -> None:
    """Add a change to the log, in the transaction that makes it."""
    row = {"revision": number, "time": int(time.time()), "key": key, "action": action, "model": model}
    connection.execute(sa.insert(changes).values(row | {"before": json.dumps(before), "after": json.dumps(after)}))


class Changes:
    """Reader of the log of changes.

    Args:
        engine: engine from `connect`.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine

    def newest(self, limit: int, *, before: int | None = None) -> list[Change]:
        """The newest changes, newest first.

        Args:
            limit: maximum number of changes.
            before: only changes of a lower revision, for reading on.

        Raises:
            EventStoreError: the database is not available.
        """
        statement = sa.select(changes).order_by(changes.c.revision.desc()).limit(limit)
        if before is not None:
            statement = statement.where(changes.c.revision < before)
        return self._read(statement)

    def of_model(self, name: str) -> list[Change]:
        """All changes that were made to the model of that name itself, oldest first.

        Raises:
            EventStoreError: the database is not available.
        """
        return self._read(sa.select(changes).where(changes.c.model == name).order_by(changes.c.revision))

    def splits(self) -> list[Change]:
        """All changes of the split, oldest first.

        Raises:
            EventStoreError: the database is not available.
        """
        return self._read(sa.select(changes).where(changes.c.action == "split").order_by(changes.c.revision))

    def _read(self, statement: sa.Select[Any]) -> list[Change]:
        try:
            with self.engine.connect() as connection:
                rows = connection.execute(statement).all()
        except SQLAlchemyError as error:
            raise unusable(error) from error
        return [
            Change(
                row.revision, row.time, row.key, row.action, row.model, json.loads(row.before), json.loads(row.after)
            )
            for row in rows
        ]
