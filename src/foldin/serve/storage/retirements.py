"""When items were retired and listed again, by revisions of the items: which were retired when a logged list was made.

A retired item is part of the state of the catalog, and the same for all lists of a revision. A list therefore names the revision,
and another policy that is evaluated on it may list what could be listed then.
"""

from bisect import bisect_right
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import sqlalchemy as sa

from foldin.data import Catalog
from foldin.serve.storage.item_tables import items
from foldin.tensors import Array, Bool

__all__ = ["Retirements", "create_retirements", "note_retired", "retirements"]

_AT_ONCE = 400  # items of a statement: SQLite may limit variables to 999


def _table(metadata: sa.MetaData) -> sa.Table:
    """The table, as of version 9 of the database: a later version defines it anew."""
    return sa.Table(
        "foldin_retirements",
        metadata,
        sa.Column("item", sa.Text, primary_key=True),
        sa.Column(
            "since", sa.BigInteger, primary_key=True, autoincrement=False
        ),  # revision from which on it was retired
        sa.Column("until", sa.BigInteger),  # revision from which on it was listed again; null while it is retired
    )


retirements = _table(sa.MetaData())


def create_retirements(connection: sa.Connection) -> None:
    """The migration from version 8 to version 9, which is never changed."""
    then = sa.MetaData()
    of_items = _table(then)
    then.create_all(connection)
    connection.execute(sa.text("ALTER TABLE foldin_impressions ADD COLUMN item_revision BIGINT"))
    known = sa.table("foldin_items", sa.column("item"), sa.column("revision"), sa.column("is_active", sa.Boolean))
    retired = sa.select(known.c.item, known.c.revision).where(known.c.is_active.is_(False))
    connection.execute(sa.insert(of_items).from_select(("item", "since"), retired))


def note_retired(connection: sa.Connection, active: Mapping[str, bool], revision: int) -> None:
    """Note which items were retired or listed again, in the transaction of the change, before the items themselves change.

    Args:
        active: whether an item may be listed from now on.
        revision: revision of the change.
    """
    names = list(active)
    for at in range(0, len(names), _AT_ONCE):
        some = names[at : at + _AT_ONCE]
        among = sa.select(items.c.item).where(items.c.item.in_(some), items.c.is_active.is_(False))
        retired = set(connection.execute(among).scalars())
        begun = [{"item": one, "since": revision} for one in some if not active[one] and one not in retired]
        ended = [one for one in some if active[one] and one in retired]
        if begun:
            connection.execute(sa.insert(retirements), begun)
        if ended:
            open_ = sa.and_(retirements.c.item.in_(ended), retirements.c.until.is_(None))
            connection.execute(sa.update(retirements).where(open_).values(until=revision))


@dataclass(frozen=True)
class Retirements:
    """The items that were retired at any revision.

    Args:
        spans: (item, first revision, revision from which on it was listed again or None).
        changes: revisions at which these items changed, sorted.
    """

    spans: tuple[tuple[str, int, int | None], ...]
    changes: tuple[int, ...]

    @classmethod
    def read(cls, connection: sa.Connection) -> "Retirements":
        """The retirements of a database."""
        found = connection.execute(sa.select(retirements.c.item, retirements.c.since, retirements.c.until)).all()
        spans = tuple((row.item, row.since, row.until) for row in found)
        changes = {since for _, since, _ in spans} | {until for _, _, until in spans if until is not None}
        return cls(spans, tuple(sorted(changes)))

    def masks(self, revisions: Collection[int], catalog: Catalog) -> dict[int, Bool[Array, " items"]]:
        """Masks of the items of a catalog that were retired at some revisions; revisions between two changes share one."""
        made: dict[int, Bool[Array, " items"]] = {}
        found = {}
        for revision in set(revisions):
            change = bisect_right(self.changes, revision)
            if change not in made:
                names = [
                    item
                    for item, since, until in self.spans
                    if since <= revision and (until is None or revision < until)
                ]
                made[change] = np.zeros(len(catalog), dtype=bool)
                made[change][catalog.known(names)] = True
            found[revision] = made[change]
        return found
