"""The drift of the models in service, measured on the events that arrive, by a thread of its own.

Of all processes that share a database, the first that comes to a period measures it; all of them show the same figures.
"""

import json
import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from foldin.data import EventLog, EventWeights, read_log
from foldin.data.log.store import events, unusable
from foldin.errors import EventStoreError, FoldinError, SplitError
from foldin.experiment import Drift, DriftLimits, measure_drift
from foldin.serve.engine.deployment import Deployment
from foldin.serve.engine.service import Service
from foldin.serve.storage.drift_reports import DriftReport, DriftReports

__all__ = ["DriftWatch"]

logger = logging.getLogger("foldin.serve")


@dataclass(frozen=True)
class _Reading:
    """How events of the store are read for a model: as the log of its training, but for events without a value, which count.

    Args:
        repeats: which of several events of a user with one item is kept, one of `REPEATS`.
        with_kinds: whether the kind of an event matters.
        min_rating: value below which an event is left out, before repeats are; None for no minimum.
        dislike_below: value below which an event is a dislike, and not left out; None if values tell no dislikes.
    """

    repeats: str
    with_kinds: bool
    min_rating: float | None
    dislike_below: float | None

    @classmethod
    def of(cls, deployment: Deployment) -> "_Reading":
        """How events are read for a model in service."""
        rule = deployment.run.weighting or EventWeights()
        with_kinds = bool(rule.kinds) or deployment.repeats == "first-of-kind"
        return cls(deployment.repeats, with_kinds, rule.min_rating, rule.dislike_below)

    def read(self, table: pl.DataFrame) -> EventLog:
        """The log of a table with the columns `user`, `item`, `time`, `kind` and `value`.

        Raises:
            EmptyLogError: it has no event that is not left out.
        """
        if self.min_rating is not None:
            low = pl.col("value") < self.min_rating
            if self.dislike_below is not None:
                low &= pl.col("value") >= self.dislike_below
            table = table.filter(~low.fill_null(value=False))
        columns: dict[str, Any] = {"user": "user", "item": "item", "time": "time"}
        if self.with_kinds:
            columns["kind"] = "kind"
        if self.dislike_below is not None:
            columns["rating"] = "value"
        return read_log(table, repeats=self.repeats, **columns)


class DriftWatch:
    """Measures the drift of every model in service once in each period, and sets its metrics.

    The figures are those of a sample of the users who have an event of the last day, each with all stored events.

    Args:
        service: the models, the events and the metrics.
        limits: limits beyond which a figure is an alarm.
        seconds: length of a period; 0 to measure nothing.
        hours: length of the period of the latest events.
        users: maximum number of users in the sample.
    """

    def __init__(
        self,
        service: Service,
        *,
        limits: DriftLimits | None = None,
        seconds: float = 3600.0,
        hours: int = 24,
        users: int = 500,
    ) -> None:
        self.service, self.limits, self.seconds = service, limits or DriftLimits(), seconds
        self.hours, self.users = hours, users
        self.reports = DriftReports(service.events.engine)
        self._stop, self._shown = threading.Event(), set[str]()

    def start(self) -> None:
        """Start to measure, unless the period is 0."""
        if self.seconds > 0:
            self._stop.clear()
            threading.Thread(target=self._run, name="foldin-drift", daemon=True).start()

    def stop(self) -> None:
        """Stop; a measurement that has begun is not waited for."""
        self._stop.set()

    def look(self, now: float | None = None) -> None:
        """Measure each model whose period no process has measured yet, and set the metrics to the newest figures.

        Raises:
            EventStoreError: the database is not available.
        """
        at = int(time.time() if now is None else now)
        slot = int(at // self.seconds * self.seconds)
        claimed = [one for one in self.service.registry.all() if self.reports.claim(one.name, slot, one.digest)]
        if claimed:
            self._measure(claimed, slot, at)
        shown = set()
        for one in self.service.registry.all():
            newest = self.reports.newest(one.name)
            if newest:
                self._show(newest[0])
                shown.add(one.name)
        for name in self._shown - shown:  # of a model that is not in service any more, no alarm is left
            self.service.telemetry.alarms.labels(name).set(0)
            self.service.telemetry.measured.labels(name).set(0)
        self._shown = shown

    def _measure(self, claimed: Sequence[Deployment], slot: int, now: int) -> None:
        """Measure models on one sample of users. One that cannot be measured keeps the figures of the period before."""
        table = self._sample(now)
        logs: dict[_Reading, EventLog] = {}
        for one in claimed:
            try:
                reading = _Reading.of(one)
                if reading not in logs:
                    logs[reading] = reading.read(table)
                found = self._drift(one, logs[reading])
                newest = found.since + 3600 * self.hours - 1
                if newest <= now - 3600 * self.hours:  # what is newer does not count
                    raise SplitError(f"no event of the last {self.hours} hours counts")
                self.reports.put(one.name, slot, {**found.as_dict(), "alarms": list(found.alarms(self.limits))})
            except EventStoreError:
                raise
            except FoldinError as error:  # no event of the last day that counts, or none before it
                logger.info(json.dumps({"drift": "not measured", "model": one.name, "because": str(error)}))

    def _drift(self, one: Deployment, log: EventLog) -> Drift:
        """The drift of a model, between whose blocks of users requests for lists come in."""

        def let_others(*_: int) -> None:
            one.using.release()
            time.sleep(0.01)
            one.using.acquire()

        with one.using:
            return measure_drift(one.run, log, latest=f"{self.hours}h", progress=let_others)

    def _show(self, report: DriftReport) -> None:
        told, name, figures = self.service.telemetry, report.model, report.figures
        told.unknown_items.labels(name).set(figures["unknown_items"])
        told.new_users.labels(name).set(figures["new_users"])
        told.alarms.labels(name).set(len(figures["alarms"]))
        told.measured.labels(name).set(report.time)
        if figures["age"] is not None:
            told.age.labels(name).set(86_400 * figures["age"])
        if figures["likelihood"] is not None:
            told.log_likelihood.labels(name).set(figures["likelihood"]["mean"])

    def _sample(self, now: int) -> pl.DataFrame:
        """All events of some users who have an event of the last period.

        Raises:
            EventStoreError: the database is not available.
        """
        late = (
            sa.select(events.c.user_id).where(events.c.time > now - 3600 * self.hours, events.c.time <= now).distinct()
        )
        drawn = sa.select(late.subquery().c.user_id).order_by(sa.func.random()).limit(self.users)
        rows: list[tuple[str, str, int, str, float | None]] = []
        for user in self._users(drawn):
            rows += [
                (user, e.item, e.time, e.kind, e.value) for e in self.service.events.history(user) if e.time <= now
            ]
        schema = {"user": pl.String, "item": pl.String, "time": pl.Int64, "kind": pl.String, "value": pl.Float64}
        return pl.DataFrame(rows, schema=schema, orient="row")

    def _users(self, drawn: sa.Select[tuple[str]]) -> Sequence[str]:
        try:
            with self.service.events.engine.connect() as connection:
                return [row.user_id for row in connection.execute(drawn)]
        except SQLAlchemyError as error:
            raise unusable(error) from error

    def _run(self) -> None:
        while not self._stop.wait(min(self.seconds, 5.0)):
            try:
                self.look()
            except EventStoreError as error:
                logger.warning(json.dumps({"drift": "not measured", "error": str(error)}))
            except Exception as error:  # the watch goes on, whatever a model of another package raises
                logger.warning(json.dumps({"drift": "not measured", "error": repr(error)}))
