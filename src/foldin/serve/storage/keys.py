"""API keys: 256 random bits with scopes, stored only as their SHA-256."""

import hashlib
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from foldin.errors import ConfigError
from foldin.serve.storage.event_store import unusable
from foldin.serve.storage.migrations import keys

__all__ = ["SCOPES", "Key", "KeyRing"]

_FRESH, _STALE = 2.0, 600.0  # seconds
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
    """

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine
        self._known: dict[str, tuple[float, Key]] = {}

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
        return secret

    def find(self, secret: str) -> Key | None:
        """The `Key` of a secret; None if there is none.

        Raises:
            EventStoreError: the database is not available.
        """
        digest, now = _digest(secret), time.monotonic()
        since, key = self._known.get(digest, (0.0, None))
        if key is not None and now - since < _FRESH:
            return key
        try:
            with self.engine.connect() as connection:
                row = connection.execute(sa.select(keys).where(keys.c.digest == digest)).one_or_none()
        except SQLAlchemyError as error:
            if key is not None and now - since < _STALE:
                return key
            raise unusable(error) from error
        if row is None:
            self._known.pop(digest, None)
            return None
        found = Key(row.name, tuple(row.scopes.split(",")))
        self._known[digest] = (now, found)  # only existing keys, so that the cache is bounded by the table
        return found

    def names(self) -> list[Key]:
        """All keys, by name."""
        with self.engine.connect() as connection:
            rows = connection.execute(sa.select(keys).order_by(keys.c.name)).all()
        return [Key(row.name, tuple(row.scopes.split(","))) for row in rows]

    def remove(self, name: str) -> None:
        """Revoke a key.

        Raises:
            ConfigError: there is no key of that name.
        """
        self._known.clear()
        with self.engine.begin() as connection:
            if not connection.execute(sa.delete(keys).where(keys.c.name == name)).rowcount:
                raise ConfigError(f"there is no key named {name!r}")


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
