"""The lists that were answered, in the database: what was shown to whom, by which arm of a split, with which propensities.

A process holds lists back for a moment before it writes them, so that a user may be erased meanwhile by another process. An
erasure therefore leaves a digest of the user's id for an hour, and what is written later of lists from before it is dropped.
"""

import hashlib
import json
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DataError, SQLAlchemyError

from foldin.data.log.store import unusable
from foldin.serve.storage.experiment_keeping import forget_user, keep_of_lists
from foldin.serve.storage.impression_tables import erasures, impressions

__all__ = ["HELD_BACK", "NEW_ITEMS", "Impression", "ImpressionStore", "erase_lists"]

NEW_ITEMS = "new_items"  # of propensities given the items above, in a list that is certain but for its new items
HELD_BACK = 600  # seconds after which a list that could not be written is dropped
_REMEMBERED = 3600  # seconds for which an erasure is known, which is longer than any list is held back
_CLOCKS = 5  # seconds by which the clocks of two machines may differ
_AT_ONCE = 500  # values of one statement: SQLite may limit variables to 999
_LOCK = 0x666F6C69  # on PostgreSQL, shared by those who write lists, and held alone by who erases a user
_PURGING = 0x666F6C70  # on PostgreSQL, held by the one who deletes old lists


@dataclass(frozen=True, kw_only=True)
class Impression:
    """A list that was answered.

    Args:
        list_id: id of the list, as in its answer.
        time: when it was made, in seconds since 1970.
        user: external id of the user; None for a list for a history, or for nobody known.
        model: name of the model that answered.
        run: digest of its run.
        arm: model to which a split assigned the user; None if no split chose the model.
        share: probability of that assignment.
        split: revision of the change that made the split.
        ranker: how the list was made: `exact`, `beam:WIDTH`, `index:…`, `thompson` or `temperature:T`, followed by
            `+new:SHARE` if new items may have its places; or `fallback:NAME`.
        items: external ids; the position of an item in the list is its place here, the first being the best.
        propensities: propensity of each item; None for a list that was not drawn at random.
        propensity_of: the event whose probability a propensity is: `given_above` or `in_list`, as in `PropensityOf`, or
            `NEW_ITEMS`.
        history: `{"items": […], "times": […] or None, "exclude_seen": …}` as the model read them, oldest first, and whether these
            items could not be listed again; of a list with propensities. With `"weights"` of the events if some differ from 1,
            and with `"dislikes"`, items that are never listed, and their `"strengths"` if there are any.
        restricted: whether more than `history` and the items retired at the time decided what could be listed, and with which
            probability: the request had `allow`, `deny`, a filter or rules, or said otherwise than the model's log whether seen
            items are excluded; the run itself does not list an item; or the user has older events than the model reads.
        item_revision: revision of the items at which the retired ones were left out; None if none was retired.
        context: what the request gave as its context.
    """

    list_id: str
    time: int
    user: str | None
    model: str
    run: str
    ranker: str
    items: Sequence[str]
    restricted: bool = False
    arm: str | None = None
    share: float | None = None
    split: int | None = None
    propensities: Sequence[float] | None = None
    propensity_of: str | None = None
    history: dict[str, Any] | None = None
    context: dict[str, Any] | None = None
    item_revision: int | None = None


_FIELDS = tuple(field.name for field in fields(Impression))
_JSON = frozenset(column.name for column in impressions.columns if isinstance(column.type, sa.JSON))
_values = attrgetter(*_FIELDS)
_ROWS = 999 // len(_FIELDS)  # of a statement: SQLite may limit variables to 999


class ImpressionStore:
    """The log of lists.

    Args:
        engine: engine from `connect`, of a migrated database. Every method raises `EventStoreError` if the database fails.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine

    def write(self, lists: Sequence[Impression]) -> int:
        """Write lists, except those of users who were erased since; returns their number. Lists that are there stay as they are.

        Raises:
            EventStoreError: the database is not available; none is written.
            DataError: (of SQLAlchemy) the database cannot hold a value, at no later time either.
        """
        try:
            with self.engine.begin() as connection:
                _lock(connection, alone=False)
                until = _erased(connection, {one.user for one in lists if one.user is not None})
                kept = [one for one in lists if one.user not in until or one.time > until[one.user]]
                for at in range(0, len(kept), _ROWS):
                    _insert(connection, kept[at : at + _ROWS])
                return len(kept)
        except DataError:
            raise
        except SQLAlchemyError as error:
            raise unusable(error) from error

    def known(self, ids: Collection[str]) -> set[str]:
        """Those of some ids of lists that are in the log."""
        found: set[str] = set()
        try:
            with self.engine.connect() as connection:
                for some in _parts(ids):
                    among = impressions.c.list_id.in_(some)
                    found |= set(connection.execute(sa.select(impressions.c.list_id).where(among)).scalars())
        except SQLAlchemyError as error:
            raise unusable(error) from error
        return found

    def of_user(self, user: str) -> list[Impression]:
        """The lists of a user, oldest first."""
        statement = sa.select(impressions).where(impressions.c.user_id == user)
        try:
            with self.engine.connect() as connection:
                rows = connection.execute(statement.order_by(impressions.c.time, impressions.c.list_id)).mappings()
                return [_impression(dict(row)) for row in rows]
        except SQLAlchemyError as error:
            raise unusable(error) from error

    def purge(self, before: int, *, at_once: int = 1000) -> int:
        """Delete the lists that were made before a time, and what is no longer needed of erasures; returns the number of lists.

        What experiments need of them is kept; see `keep_of_lists`.

        Args:
            before: seconds since 1970.
            at_once: number of lists that one transaction deletes, so that no other waits for long.
        """
        forgotten = sa.delete(erasures).where(erasures.c.time < int(time.time()) - _REMEMBERED)
        old, total = sa.select(impressions.c.list_id).where(impressions.c.time < before), 0
        try:
            while self._any(old):
                with self.engine.begin() as connection:
                    total += _purged(connection, old.limit(at_once))
            with self.engine.begin() as connection:
                connection.execute(forgotten)
        except SQLAlchemyError as error:
            raise unusable(error) from error
        return total

    def _any(self, wanted: sa.Select[Any]) -> bool:
        with self.engine.connect() as connection:
            return bool(connection.execute(wanted.limit(1)).all())


def _purged(connection: sa.Connection, old: sa.Select[Any]) -> int:
    """Delete the lists that a query chooses; returns their number."""
    _lock(connection, alone=False)  # no user is erased meanwhile
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_PURGING)))
    ids = connection.execute(old).scalars().all()
    for some in _parts(ids):
        chosen = impressions.c.list_id.in_(some)
        keep_of_lists(connection, chosen)
        connection.execute(sa.delete(impressions).where(chosen))
    return len(ids)


def erase_lists(connection: sa.Connection, user: str) -> int:
    """Delete a user's lists, those still to be written, and what experiments keep, in the transaction of an erasure."""
    _lock(connection, alone=True)
    insert: Any = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert
    now = {"digest": _digest(user), "time": int(time.time())}
    kept = insert(erasures).values(now).on_conflict_do_update(index_elements=["digest"], set_={"time": now["time"]})
    connection.execute(kept)
    forget_user(connection, user)
    return int(connection.execute(sa.delete(impressions).where(impressions.c.user_id == user)).rowcount)


def _erased(connection: sa.Connection, users: Collection[str]) -> dict[str | None, int]:
    """Of some users, those who were erased a moment ago, and until when lists of theirs are not to be written."""
    digests = {_digest(one): one for one in users}
    found: dict[str | None, int] = {}
    for among in _parts(digests):
        statement = sa.select(erasures.c.digest, erasures.c.time).where(erasures.c.digest.in_(among))
        found |= {digests[digest]: at + _CLOCKS for digest, at in connection.execute(statement)}
    return found


def _lock(connection: sa.Connection, *, alone: bool) -> None:
    """Let no user be erased between the look at who was and the writing of lists; on SQLite only one transaction writes."""
    if connection.dialect.name != "postgresql":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        return
    lock = sa.func.pg_advisory_xact_lock if alone else sa.func.pg_advisory_xact_lock_shared
    connection.execute(sa.select(lock(_LOCK)))


def _parts(values: Collection[str]) -> Iterator[list[str]]:
    """Values in parts, each for one statement."""
    listed = list(values)
    return (listed[at : at + _AT_ONCE] for at in range(0, len(listed), _AT_ONCE))


def _digest(user: str) -> str:
    return hashlib.sha256(user.encode("utf-8", "surrogatepass")).hexdigest()


def _insert(connection: sa.Connection, lists: Sequence[Impression]) -> None:
    """Write lists by one statement of the driver: one for each row would take the interpreter's lock as often."""
    driver = "%s" if connection.dialect.name == "postgresql" else "?"
    columns = ["user_id" if name == "user" else name for name in _FIELDS]
    row = f"({', '.join([driver] * len(columns))})"
    into = f"INSERT INTO {impressions.name} ({', '.join(columns)}) VALUES {', '.join([row] * len(lists))}"
    connection.exec_driver_sql(f"{into} ON CONFLICT DO NOTHING", tuple(value for one in lists for value in _row(one)))


def _row(one: Impression) -> Iterator[Any]:
    for name, value in zip(_FIELDS, _values(one), strict=True):
        yield json.dumps(value) if name in _JSON and value is not None else value


def _impression(row: dict[str, Any]) -> Impression:
    return Impression(user=row.pop("user_id"), **row)
