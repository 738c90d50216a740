"""Events of users without HTTP: checked and stored, and given back with all else that is stored of a user."""

import contextlib
import time
from collections.abc import Sequence

from foldin.errors import ConfigError, EventStoreError
from foldin.serve.engine.impressions import ImpressionLog
from foldin.serve.engine.registry import Registry
from foldin.serve.limits import Limits, bounded
from foldin.serve.schemas import EventIn, EventOut, ImpressionOut, UserOut
from foldin.serve.storage.event_store import Event, EventStore, Receipt
from foldin.serve.storage.impressions import ImpressionStore
from foldin.serve.telemetry import Telemetry

__all__ = ["StoresEvents"]


class StoresEvents:
    """The part of the service that stores events.

    Args:
        registry: models in service, whose catalogs know ids and titles of items.
        events: store of users' events.
        limits: limits of one request.
        telemetry: counters of events.
        impressions: log of the lists that events name; None for no log.
    """

    def __init__(
        self,
        registry: Registry,
        events: EventStore,
        limits: Limits,
        telemetry: Telemetry,
        impressions: ImpressionLog | None = None,
    ) -> None:
        self.registry, self.events, self.limits, self.telemetry = registry, events, limits, telemetry
        self.impressions = impressions

    def append(
        self, batch: Sequence[EventIn], key: str | None, sender: str = "", *, lines: Sequence[int] | None = None
    ) -> Receipt:
        """Store events; they are on disk when this returns.

        Args:
            key: idempotency key.
            sender: client that chose the key; equal keys of different senders are different.
            lines: line of each event in the body of a request, for messages; None for a body in JSON.

        Raises:
            ConfigError: too many events, a long item id that is in no catalog, or a key that is too long.
            IdempotencyError: the key was used with other events before.
            EventStoreError: the database is not available.
        """
        most = self.limits.batch if lines is None else self.limits.bulk
        if len(batch) > most:
            raise ConfigError(f"events: at most {most}, not {len(batch)}")
        if key is not None and not 1 <= len(key) <= 200:
            raise ConfigError("Idempotency-Key: between 1 and 200 characters were expected")
        if key is not None and any(one.time is None for one in batch):
            raise ConfigError(
                "events: with an Idempotency-Key every event needs a time, so that a repeated batch is the same"
            )
        first: dict[str, int] = {}
        for at, event in enumerate(batch):
            first.setdefault(event.item, at)
        for one, at in first.items():
            if not self.registry.knows(one):
                bounded(one, "events: item" if lines is None else f"body: line {lines[at]}: item")
        now = int(time.time())
        events = [
            Event(one.user, one.item, now if one.time is None else one.time, one.kind, one.value, one.list_id)
            for one in batch
        ]
        receipt = self.events.append(events, key=None if key is None else f"{sender}/{key}")
        if not receipt.replayed:
            self.telemetry.events.labels("accepted").inc(receipt.accepted)
            self.telemetry.events.labels("duplicate").inc(receipt.duplicates)
            self._note_lists([one.list_id for one in events if one.list_id is not None])
        return receipt

    def _note_lists(self, lists: list[str]) -> None:
        """Count the lists that stored events name; the events are stored whether or not that succeeds."""
        if lists and self.impressions is not None:
            with contextlib.suppress(EventStoreError):
                self.impressions.note_events(lists)

    def user(self, user: str) -> UserOut:
        """All stored data of a user, with titles from the catalog of the default model.

        Raises:
            EventStoreError: the database is not available.
        """
        titles: dict[str, str] = {}
        kept = self.events.history(user)
        default = self.registry.serving(self.registry.default or "")
        if default is not None:
            catalog = default.view.catalog
            items = [one.item for one in kept]
            known = catalog.known(items)
            titles = {catalog.ids[at]: catalog.titles[at] for at in known}
        events = [
            EventOut(
                item=one.item,
                time=one.time,
                kind=one.kind,
                value=one.value,
                title=titles.get(one.item),
                list_id=one.list_id,
            )
            for one in kept
        ]
        logged = ImpressionStore(self.events.engine).of_user(user)
        lists = [ImpressionOut.model_validate(one, from_attributes=True) for one in logged]
        return UserOut(user=user, events=events, lists=lists)
