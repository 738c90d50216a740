"""The items that were sent, in this process: read whenever their revision changed, and shown by all models in service."""

import threading
from collections.abc import Sequence

from foldin.errors import ConfigError, UnknownItemError
from foldin.serve.engine.catalog_view import CatalogView
from foldin.serve.engine.item_values import as_value
from foldin.serve.engine.registry import Registry
from foldin.serve.engine.repeating import Repeating
from foldin.serve.limits import bounded
from foldin.serve.schemas import ItemDetail
from foldin.serve.storage.items import ItemChange, ItemsState, ItemStore

__all__ = ["LiveItems"]


class LiveItems:
    """The items of this process, as the database says.

    Args:
        registry: models in service, whose catalogs the items change.
        store: the items in the database.
        seconds: time between two readings of the revision.
    """

    def __init__(self, registry: Registry, store: ItemStore, *, seconds: float = 0.5) -> None:
        self.registry, self.store = registry, store
        self._state, self._reading = ItemsState(), threading.Lock()
        self._poll = Repeating(self.look, seconds=seconds, name="items")

    @property
    def state(self) -> ItemsState:
        """The items when they were last read."""
        return self._state

    def look(self) -> None:
        """Read the revision, and the changed items if it is another one.

        Raises:
            EventStoreError: the database is not available.
        """
        with self._reading:
            if self.store.revision() == self._state.revision:
                return
            state = self.store.since(self._state)
            self.registry.show(state)
            self._state = state

    def start(self) -> None:
        """Read the items, and go on reading. A database that is away is waited for."""
        self._poll.once()
        self._poll.start()

    def stop(self) -> None:
        """Stop reading."""
        self._poll.stop()

    def put(self, changes: Sequence[ItemChange]) -> int:
        """Insert or change items, all or none; this process shows them when this returns, others within a second.

        Returns:
            The revision of the items.

        Raises:
            ConfigError: an item occurs twice, an id that is in no catalog is too long, or a feature does not fit the catalog of a
                model in service.
            EventStoreError: the database is not available.
        """
        views = [(one.name, one.view) for one in self.registry.all()]
        met: set[str] = set()
        for change in changes:
            if change.item in met:
                raise ConfigError(f"items: {change.item[:40]!r} occurs twice")
            met.add(change.item)
            if not self.registry.knows(change.item):
                bounded(change.item, "items: item")
            for name, view in views:
                _check(change, name, view)
        revision = self.store.put(changes)
        self.look()
        return revision

    def detail(self, item: str) -> ItemDetail:
        """An item as it is known now: as it was sent, or as the catalog of the default model has it, or any other one.

        Raises:
            UnknownItemError: no such item.
            EventStoreError: the database is not available.
        """
        row = self.store.get(item)
        having = [one for one in self.registry.all() if item in one.run.catalog]
        if row is None and not having:
            raise UnknownItemError(f"items: no item {item[:40]!r}")
        having.sort(key=lambda one: one.name != self.registry.default)
        catalog = having[0].view.catalog if having else None
        active = None if row is None else row.is_active
        if active is None:  # the model's catalog says it
            base = having[0].run.catalog if having else None
            active = base is None or base.retired is None or not base.retired[base.indices([item])[0]]
        title = item if catalog is None else catalog.titles[catalog.indices([item])[0]]
        return ItemDetail(
            item=item,
            title=title if row is None or row.title is None else row.title,
            features={**(having[0].view.features(item) if having else {}), **({} if row is None else row.features)},
            is_active=active,
            models=sorted(one.name for one in having),
            created=None if row is None else row.created,
            changed=None if row is None else row.changed,
        )

    def titles(self, items: Sequence[str]) -> dict[str, str]:
        """Titles of those of the given items that are not retired, by external id; of an unknown item, its id.

        A title that was sent comes before that of the default model's catalog.
        """
        default = self.registry.serving(self.registry.default or "")
        base = None if default is None else default.view.catalog
        places = [None] * len(items) if base is None else base.places(items)
        found = {}
        for item, at in zip(items, places, strict=True):
            row = self._state.rows.get(item)
            if row is None or row.is_active is not False:
                known = item if base is None or at is None else base.titles[at]
                found[item] = known if row is None or row.title is None else row.title
        return found


def _check(change: ItemChange, name: str, view: CatalogView) -> None:
    """Check the features of an item against the columns of a model's catalog.

    Raises:
        ConfigError: a value has another type than the column of its name.
    """
    columns = view.base.table.schema
    for feature, value in (change.features or {}).items():
        if feature in ("item", "title", "count", "is_active"):
            raise ConfigError(f"items: {change.item[:40]!r}: {feature!r} is no name of a feature")
        if feature in columns:
            try:
                as_value(value, columns[feature])
            except ConfigError as error:
                message = (
                    f"items: {change.item[:40]!r}: feature {feature[:40]!r}, as in the catalog of {name!r}: {error}"
                )
                raise ConfigError(message) from None
