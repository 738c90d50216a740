"""API keys: 256 random bits, kept as their SHA-256 alone, each with scopes."""

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
SCOPES = ("read", "write", "admin")  # lists and searches; events and users; models


@dataclass(frozen=True)
class Key:
    """Who may do what.

    Args:
        name: for logs and limits.
        scopes: of `SCOPES`.
    """

    name: str
    scopes: tuple[str, ...]


class KeyRing:
    """The keys of a database. A key has so much entropy that a plain hash of it cannot be searched.

    What was found is remembered: for two seconds without asking again, and while the database is away for ten minutes, so that
    whoever brings a history is served all the same. A key that is taken back may work for so long.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine
        self._known: dict[str, tuple[float, Key]] = {}

    def create(self, name: str, scopes: Sequence[str]) -> str:
        """A new key; this is the only time that it is seen.

        Raises:
            ConfigError: no scope, an unknown one, or a name that is taken.
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
        """Whose key this is.

        Raises:
            EventStoreError: the database is away.
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
        self._known[digest] = (now, found)  # of keys that there are: no more than the table holds
        return found

    def names(self) -> list[Key]:
        """All keys, by name."""
        with self.engine.connect() as connection:
            rows = connection.execute(sa.select(keys).order_by(keys.c.name)).all()
        return [Key(row.name, tuple(row.scopes.split(","))) for row in rows]

    def remove(self, name: str) -> None:
        """Take a key back.

        Raises:
            ConfigError: there is none of that name.
        """
        self._known.clear()
        with self.engine.begin() as connection:
            if not connection.execute(sa.delete(keys).where(keys.c.name == name)).rowcount:
                raise ConfigError(f"there is no key named {name!r}")


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
