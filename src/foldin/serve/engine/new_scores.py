"""Models that score items which came after their training: larger ones are made beside the requests, and put in their place.

A process looks every few seconds for items that were sent and that a model in service could score by their features or titles. It
makes the model of the larger catalog in a thread, warms it up, and puts it into service at once, as a deployment of the same run;
requests have no more to do than before. An item whose title or features change is scored anew. A retired one stays in the larger
model, which reads it in histories, and is in no list.
"""

import json
import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from weakref import WeakKeyDictionary

from foldin.models import ExtendsItems, capability
from foldin.ranking import Approximate
from foldin.runs import Run, known_of_larger
from foldin.serve.engine.catalog_view import larger_catalog
from foldin.serve.engine.deployment import Deployment
from foldin.serve.engine.live_items import LiveItems
from foldin.serve.engine.registry import Registry
from foldin.serve.engine.repeating import Repeating
from foldin.serve.storage.items import ItemRow, ItemsState

__all__ = ["NewScores"]

logger = logging.getLogger("foldin.serve")


class NewScores:
    """Keeps the models in service such that they score the items that were sent.

    Args:
        registry: models in service.
        items: the items that were sent.
        seconds: time between two looks; 0 to leave all models as they were trained.
        rest: how many times as long as it took to make a model none is made of the same name; 9 is a tenth of the time at most.
    """

    def __init__(self, registry: Registry, items: LiveItems, *, seconds: float = 2.0, rest: float = 9.0) -> None:
        self.registry, self.items, self.seconds, self.rest = registry, items, seconds, rest
        self._poll = Repeating(self.look, seconds=seconds, name="new items")
        self._replaced: list[Deployment] = []
        # Of each deployment, the revision of the items up to which there is nothing to do.
        self._done: WeakKeyDictionary[Deployment, int] = WeakKeyDictionary()
        # By name of the model: the time from which on one may be made again, and what could not be made.
        self._rested: dict[str, float] = {}
        self._failed: dict[str, tuple[str, Mapping[str, ItemRow]]] = {}

    def look(self) -> None:
        """Make the models anew whose new items changed since they were made."""
        while self._replaced:  # since the last look: no request of that time waits any more
            self._replaced.pop().batcher.close()
        state = self.items.state
        for one in self.registry.all():
            if self._done.get(one) == state.revision:
                continue
            rows = scored_rows(one.trained or one.run, state) if self._able(one) else {}
            if rows == one.new_rows or self._failed.get(one.name) == (one.digest, rows):
                self._done[one] = state.revision
            elif time.monotonic() >= self._rested.get(one.name, 0.0):
                self._renew(one, rows)

    def start(self) -> None:
        """Look, and go on looking, unless the time between two looks is 0."""
        if self.seconds > 0:
            self._poll.once()
            self._poll.start()

    def stop(self) -> None:
        """Stop looking."""
        self._poll.stop()
        while self._replaced:
            self._replaced.pop().batcher.close()

    def _able(self, one: Deployment) -> bool:
        """Whether a model can score new items; an index of its items, which would have to be built anew, has none."""
        return capability(one.run.model, ExtendsItems) is not None and not isinstance(one.ranker, Approximate)

    def _renew(self, old: Deployment, rows: Mapping[str, ItemRow]) -> None:
        """Put the model with these new items into service; after an error, the old one stays until the items change again."""
        begun = time.monotonic()
        try:
            new = with_new_items(old, rows)
        except Exception as error:  # the memory is full, a value is odd, or a bug in a model: what is in service stays
            self._failed[old.name] = old.digest, rows
            logger.warning(json.dumps({"new items": "not scored", "model": old.name, "error": str(error)}))
            return
        finally:
            now = time.monotonic()
            self._rested[old.name] = now + self.rest * (now - begun)
        if self.registry.renew(old, new):
            self._replaced.append(old)
            logger.info(json.dumps({"new items": len(rows), "model": old.name, "run": old.digest}))
        else:
            new.batcher.close()


def scored_rows(trained: Run, state: ItemsState) -> dict[str, ItemRow]:
    """The items of a state that a run does not have, and that have a value in a column that its model reads; the oldest first.

    Whether they are active does not matter. Two items of the same second are in the order of their ids, in every process.
    """
    model = capability(trained.model, ExtendsItems)
    read = frozenset() if model is None else model.columns_of_new()
    strange = [row for row in state.rows.values() if row.item not in trained.catalog]
    told = [row for row in strange if ("title" in read and row.title) or _has(row, read)]
    told.sort(key=lambda row: (row.created, row.item))
    # What else is known of an item changes neither its scores nor what is computed from the model.
    return {row.item: ItemRow(item=row.item, title=row.title, features=row.features) for row in told}


def _has(row: ItemRow, columns: frozenset[str]) -> bool:
    return any(value is not None for name, value in row.features.items() if name in columns)


def with_new_items(old: Deployment, rows: Mapping[str, ItemRow]) -> Deployment:
    """The deployment of the same run with these new items, or as it was trained if there are none.

    Raises:
        FoldinError: as `ExtendsItems.with_new_items`.
    """
    trained = run = old.trained or old.run
    if rows:
        able = capability(trained.model, ExtendsItems)
        assert able is not None
        catalog = larger_catalog(trained.catalog, list(rows.values()))
        known = known_of_larger(trained.known, len(catalog))
        run = replace(trained, model=able.with_new_items(catalog), catalog=catalog, known=known)
    return Deployment(
        old.name,
        run,
        queued=old.queued,
        ranked_by=old.ranked_by,
        since=old.since,
        trained=trained if rows else None,
        new_rows=rows,
        using=old.using,
    )
