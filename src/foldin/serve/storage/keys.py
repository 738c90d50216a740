"""API keys: 256 random bits with scopes, stored only as their SHA-256."""

import hashlib
import secrets
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from foldin.errors import ConfigError, EventStoreError
from foldin.serve.storage.event_store import unusable
from foldin.serve.storage.migrations import keys

__all__ = ["SCOPES", "Key", "KeyRing"]

_FRESH, _STALE, _PAUSE = 2.0, 600.0, 0.25  # seconds
SCOPES = ("read", "write", "admin")  # lists, items and stored events; changes of events and users; models


@dataclass(frozen=True)
class Key:
    """A key of a client.

    Args:
        name: name in logs, and for rate limits.
        scopes: what the key may do, of `SCOPES`.
    """

    name: str
    scopes: tuple[str, ...]


class KeyRing:
    """The keys of a database. Keys have enough entropy that a plain hash is safe to store.

    Keys that were found are cached for two seconds, and for ten minutes while the database is not available, so that requests
    with a history are still served. A revoked key may work for as long.

    Of secrets that are not known, all keys are read at once, four times a second at most, so that wrong keys, however many and
    however different, cost no more. A new key may be refused for as long.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine
        self._known: dict[str, tuple[float, Key]] = {}
        self._reading = threading.Lock()
        self._read = -_PAUSE  # when all keys were read
        self._failed: EventStoreError | None = None  # if they could not be

    def create(self, name: str, scopes: Sequence[str]) -> str:
        """Create a key and return it. It cannot be read again.

        Raises:
            ConfigError: no scope, an unknown scope, or a name that exists already.
        """
        unknown = [scope for scope in scopes if scope not in SCOPES]
        if unknown or not scopes:
            raise ConfigError(f"scopes of a key are {', '.join(SCOPES)}, not {', '.join(unknown) or 'none'}")
        secret = f"foldin_{secrets.token_urlsafe(32)}"
        row = {"digest": _digest(secret), "name": name, "scopes": ",".join(scopes), "created": int(time.time())}
        try:
            with self.engine.begin() as connection:
                connection.execute(sa.insert(keys).values(row))
        except IntegrityError as error:
            raise ConfigError(f"there is a key named {name!r} already") from error
        self._read = -_PAUSE
        return secret

    def fresh(self, secret: str) -> Key | None:
        """The `Key` of a secret if it was read a moment ago; None if not, and then `find` asks the database. It takes no time."""
        since, key = self._known.get(_digest(secret), (0.0, None))
        return key if time.monotonic() - since < _FRESH else None

    def find(self, secret: str) -> Key | None:
        """The `Key` of a secret; None if there is none.

        Raises:
            EventStoreError: the database is not available.
        """
        digest, now = _digest(secret), time.monotonic()
        since, key = self._known.get(digest, (0.0, None))
        if key is None:
            self._read_all()
            return self._known.get(digest, (0.0, None))[1]
        if now - since < _FRESH:
            return key
        try:
            with self.engine.connect() as connection:
                row = connection.execute(sa.select(keys).where(keys.c.digest == digest)).one_or_none()
        except SQLAlchemyError as error:
            if now - since < _STALE:
                return key
            raise unusable(error) from error
        if row is None:
            self._known.pop(digest, None)
            return None
        found = _key(row)
        self._known[digest] = (now, found)
        return found

    def _read_all(self) -> None:
        """Read all keys, unless that was done a moment ago; who comes meanwhile waits for the same answer.

        Raises:
            EventStoreError: the database is not available, or was not a moment ago.
        """
        with self._reading:
            if time.monotonic() - self._read >= _PAUSE:
                try:
                    with self.engine.connect() as connection:
                        rows = connection.execute(sa.select(keys)).all()
                    now = time.monotonic()
                    self._known, self._failed = {row.digest: (now, _key(row)) for row in rows}, None
                except SQLAlchemyError as error:
                    self._failed = unusable(error)
                self._read = time.monotonic()
            if self._failed is not None:
                raise EventStoreError(str(self._failed)) from self._failed

    def names(self) -> list[Key]:
        """All keys, by name."""
        with self.engine.connect() as connection:
            rows = connection.execute(sa.select(keys).order_by(keys.c.name)).all()
        return [_key(row) for row in rows]

    def remove(self, name: str) -> None:
        """Revoke a key.

        Raises:
            ConfigError: there is no key of that name.
        """
        with self.engine.begin() as connection:
            if not connection.execute(sa.delete(keys).where(keys.c.name == name)).rowcount:
                raise ConfigError(f"there is no key named {name!r}")
        self._known, self._read = {}, -_PAUSE


def _key(row: sa.Row[Any]) -> Key:
    return Key(row.name, tuple(row.scopes.split(",")))


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
