"""What was measured of the models' drift: a row for each model and period, which one of all processes computes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from foldin.data.log.store import unusable

__all__ = ["DriftReport", "DriftReports", "create_drift_table"]

_KEPT = 90 * 24 * 3600  # seconds for which rows are kept


def _table(metadata: sa.MetaData) -> sa.Table:
    """The table, as of version 5 of the database: a later version defines it anew."""
    return sa.Table(
        "foldin_drift",
        metadata,
        sa.Column("model", sa.Text, primary_key=True),
        sa.Column("time", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("run", sa.Text, nullable=False),
        sa.Column("figures", sa.Text),  # null while they are being computed
    )


drift = _table(sa.MetaData())


def create_drift_table(connection: sa.Connection) -> None:
    """The migration from version 4 to version 5, which is never changed."""
    then = sa.MetaData()
    _table(then)
    then.create_all(connection)


@dataclass(frozen=True)
class DriftReport:
    """Figures of one model at a time.

    Args:
        model: name of the model.
        time: seconds since 1970.
        run: digest of the run that served then.
        figures: the figures of `Drift.as_dict`, and `alarms`.
    """

    model: str
    time: int
    run: str
    figures: Mapping[str, Any]


class DriftReports:
    """Store of the figures.

    Args:
        engine: engine from `connect`, of a database that was migrated. Every method raises EventStoreError if it fails.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine

    def claim(self, model: str, slot: int, run: str) -> bool:
        """Whether this process is the first that asks for a period; then it is to compute the figures.

        Args:
            slot: seconds since 1970 of the beginning of the period.
        """
        dialect = postgresql if self.engine.dialect.name == "postgresql" else sqlite
        row = {"model": model, "time": slot, "run": run, "figures": None}
        statement = dialect.insert(drift).values(row).on_conflict_do_nothing().returning(drift.c.model)
        there = sa.select(drift.c.model).where(drift.c.model == model, drift.c.time == slot)
        try:
            with self.engine.connect() as connection:
                if connection.execute(there).first() is not None:
                    return False  # without a lock for writing, since each process asks again and again
            with self.engine.begin() as connection:
                first = bool(connection.execute(statement).all())
                if first:
                    connection.execute(sa.delete(drift).where(drift.c.time < slot - _KEPT))
                return first
        except SQLAlchemyError as error:
            raise unusable(error) from error

    def put(self, model: str, slot: int, figures: Mapping[str, Any]) -> None:
        """Keep the figures of a period that this process claimed."""
        at = sa.and_(drift.c.model == model, drift.c.time == slot)
        try:
            with self.engine.begin() as connection:
                connection.execute(sa.update(drift).where(at).values(figures=json.dumps(figures)))
        except SQLAlchemyError as error:
            raise unusable(error) from error

    def newest(self, model: str, *, limit: int = 1) -> list[DriftReport]:
        """The newest figures of a model, newest first."""
        statement = (
            sa.select(drift)
            .where(drift.c.model == model, drift.c.figures.is_not(None))
            .order_by(drift.c.time.desc())
            .limit(limit)
        )
        try:
            with self.engine.connect() as connection:
                rows = connection.execute(statement).all()
        except SQLAlchemyError as error:
            raise unusable(error) from error
        return [DriftReport(row.model, row.time, row.run, json.loads(row.figures)) for row in rows]
