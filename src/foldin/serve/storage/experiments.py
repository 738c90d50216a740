"""Experiments in the database: each split of users between models, the users in its arms, and the events after its lists."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from foldin.data.log.store import events, unusable
from foldin.serve.storage.changes import Changes
from foldin.serve.storage.experiment_tables import kept_events, kept_users
from foldin.serve.storage.impression_tables import impressions
from foldin.serve.storage.listed import length_of, lists_item

__all__ = ["ArmLists", "ExperimentStore", "SplitPeriod", "UserInArm"]

_PATIENCE = "120s"  # for the statements of one experiment, on PostgreSQL


@dataclass(frozen=True)
class SplitPeriod:
    """A split of users between models: an experiment, whose arms are the models.

    Args:
        id: revision of the change that made the split.
        key: name of the key that made it.
        start: when, in seconds since 1970.
        end: when the next change of the split ended it; None while it lasts.
        shares: share of the users by name of the model.
    """

    id: int
    key: str
    start: int
    end: int | None
    shares: Mapping[str, float]


@dataclass(frozen=True)
class UserInArm:
    """A user of an experiment.

    Args:
        user: external id.
        arm: model to which the split assigned the user.
        first: time of the user's first list in the experiment, in seconds since 1970.
    """

    user: str
    arm: str
    first: int


@dataclass(frozen=True)
class ArmLists:
    """Lists of an arm that one run answered.

    Args:
        arm: model to which the split assigned the users.
        model: model that answered: another one where that of the arm was not in service.
        run: digest of its run.
        lists: number of lists.
        empty: number of those without an item.
    """

    arm: str
    model: str
    run: str
    lists: int
    empty: int


class ExperimentStore:
    """Reader of the experiments of a database.

    Args:
        engine: engine from `connect`, of a migrated database. Every method raises `EventStoreError` if the database fails.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine

    def periods(self) -> list[SplitPeriod]:
        """All experiments, newest first."""
        found: list[SplitPeriod] = []
        shares: dict[str, float | None] = {}
        end: dict[int, int] = {}
        for change in Changes(self.engine).splits():
            if found:
                end.setdefault(found[-1].id, change.time)
            # A change holds the rows that it changed; a model whose share stays is not among them.
            shares |= {name: row["share"] for name, row in change.after.items()}
            now = {name: share for name, share in sorted(shares.items()) if share is not None}
            if now:
                found.append(SplitPeriod(change.revision, change.key, change.time, None, now))
        return [SplitPeriod(one.id, one.key, one.start, end.get(one.id), one.shares) for one in reversed(found)]

    def users(self, split: int) -> list[UserInArm]:
        """The users of an experiment, in the order of their first lists."""
        each = self._entries(split)
        first = sa.func.min(each.c.first)
        statement = (
            sa.select(each.c.user_id, each.c.arm, first)
            .group_by(each.c.user_id, each.c.arm)
            .order_by(first, each.c.user_id)
        )
        return [UserInArm(*row) for row in self._rows(statement)]

    def _entries(self, split: int) -> sa.Subquery:
        """(user, arm, a time of which the earliest is that of the first list), of kept lists and of those that were deleted."""
        one, kept = impressions.c, kept_users.c
        return sa.union_all(
            sa.select(one.user_id, one.arm, sa.func.min(one.time).label("first"))
            .where(one.split == split, one.user_id.is_not(None))
            .group_by(one.user_id, one.arm),
            sa.select(kept.user_id, kept.arm, kept.first).where(kept.split == split, kept.user_id != ""),
        ).subquery()

    def lists(self, split: int) -> list[ArmLists]:
        """The numbers of lists of an experiment by arm, model and run."""
        one, kept = impressions.c, kept_users.c
        empty = sa.case((length_of(self._is_postgresql, one["items"]) == 0, 1), else_=0)
        each = sa.union_all(
            sa.select(one.arm, one.model, one.run, sa.func.count().label("lists"), sa.func.sum(empty).label("empty"))
            .where(one.split == split)
            .group_by(one.arm, one.model, one.run),
            sa.select(kept.arm, kept.model, kept.run, kept.lists, kept.empty).where(kept.split == split),
        ).subquery()
        by = (each.c.arm, each.c.model, each.c.run)
        statement = sa.select(*by, sa.func.sum(each.c.lists), sa.func.sum(each.c.empty)).group_by(*by).order_by(*by)
        return [
            ArmLists(arm, model, run, int(lists), int(none)) for arm, model, run, lists, none in self._rows(statement)
        ]

    def outcomes(self, split: int, window: int) -> list[tuple[str, str, int]]:
        """(user, kind, number of events) of the events of an experiment that come of its lists.

        An event counts if the experiment listed its item to the user before, and if it is at most `window` seconds after the
        user's first list; an event that names a list only if that list held the item. Of lists that were deleted, the events
        count that were stored before.

        Args:
            window: seconds.
        """
        one, event, each = impressions.c, events.c, self._entries(split)
        entered = (
            sa.select(each.c.user_id, sa.func.min(each.c.first).label("first")).group_by(each.c.user_id).subquery()
        )
        shown = sa.exists().where(
            one.split == split,
            one.user_id == event.user_id,
            one.time <= event.time,
            sa.or_(event.list_id.is_(None), event.list_id == one.list_id),
            lists_item(self._is_postgresql, one["items"], event.item),
        )
        kept = sa.exists().where(kept_events.c.split == split, kept_events.c.event_id == event.id)
        in_window = sa.and_(
            event.user_id == entered.c.user_id,
            event.time.between(entered.c.first, entered.c.first + window),
        )
        statement = (
            sa.select(event.user_id, event.kind, sa.func.count())
            .select_from(entered.join(events, in_window))
            .where(sa.or_(shown.correlate(events), kept.correlate(events)))
            .group_by(event.user_id, event.kind)
        )
        return [(user, kind, int(count)) for user, kind, count in self._rows(statement)]

    @property
    def _is_postgresql(self) -> bool:
        return self.engine.dialect.name == "postgresql"

    def _rows(self, statement: sa.Select[Any]) -> Sequence[Any]:
        try:
            with self.engine.connect() as connection:
                if self._is_postgresql:
                    connection.exec_driver_sql(f"SET LOCAL statement_timeout = '{_PATIENCE}'")
                return connection.execute(statement).all()
        except SQLAlchemyError as error:
            raise unusable(error) from error
