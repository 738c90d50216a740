"""Roles of columns, from the usual column names or from the caller's options."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from foldin.data.log.spellings import ITEM_KINDS, KIND, ORDER, RATING, SESSION, TIME, USER, plain_name, stem
from foldin.errors import ColumnError

__all__ = ["ROLES", "Columns", "check_said", "is_generic", "item_kinds", "listed", "proposals"]

ROLES = ("user", "item", "time", "rating", "kind", "order")


@dataclass(frozen=True)
class Columns:
    """Names of the columns of a file by role; None for a role that the file does not have."""

    user: str
    item: str
    time: str | None = None
    rating: str | None = None
    kind: str | None = None
    order: str | None = None

    def roles(self) -> dict[str, str]:
        """Role → column name, for the roles that the file has."""
        return {role: name for role, name in vars(self).items() if name is not None}


def listed(names: Sequence[str]) -> str:
    """The first twenty column names, as text for a message."""
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return ", ".join(map(repr, names[:20])) + more


def check_said(present: Sequence[str], said: Mapping[str, str | None], source: str) -> None:
    """Raise if a column that the caller named is absent, or is both the user and the item.

    Raises:
        ColumnError: the message gives the option and the columns of the file.
    """
    for role, name in said.items():
        if name is not None and name not in present:
            raise ColumnError(f"{source}: no column {name!r} (--{role}); there are {listed(present)}")
    roles: dict[str, str] = {}
    for role, name in said.items():
        if name is not None and roles.setdefault(name, role) != role:
            raise ColumnError(f"{source}: --{roles[name]} and --{role} are both {name!r}; there are {listed(present)}")


def _ranked(present: Sequence[str], words: Sequence[str], *, ids: bool) -> list[str]:
    """The columns with one of the names, in the order of `words`; for one word, an id comes before the bare word."""
    rank: dict[str, int] = {}
    for place, word in enumerate(words):
        rank.setdefault(plain_name(word), place)
    found: list[tuple[int, int, int, str]] = []
    for at, name in enumerate(present):
        plain = plain_name(name)
        short = stem(plain) if ids else plain
        if plain in rank:
            found.append((rank[plain], 1, at, name))
        elif short in rank:
            found.append((rank[short], 0, at, name))
    return [name for *_, name in sorted(found)]


def item_kinds(present: Sequence[str]) -> list[list[str]]:
    """The columns that look like items, one list for each kind (products, films, …), in order of preference."""
    kinds = [_ranked(present, words, ids=True) for words in ITEM_KINDS]
    found = [kind for kind in kinds if kind]
    # Liang et al. write uid,sid; elsewhere a sid is a session.
    return found or [[name] for name in _ranked(present, ("sid",), ids=False)]


def is_generic(name: str) -> bool:
    """Whether a column is called the item, rather than a movie, a product or an artist."""
    return bool(_ranked([name], ITEM_KINDS[0], ids=True))


def proposals(present: Sequence[str]) -> dict[str, list[str]]:
    """The columns that each role may be, by their names, in order of preference; sessions are a role here."""
    found = {
        "user": _ranked(present, USER, ids=True),
        "session": _ranked(present, SESSION, ids=True),
        "item": [name for kind in item_kinds(present) for name in kind],
        "time": _ranked(present, TIME, ids=False),
        "rating": _ranked(present, RATING, ids=False),
        "kind": _ranked(present, KIND, ids=False),
        "order": _ranked(present, ORDER, ids=False),
    }
    sid = _ranked(present, ("sid",), ids=False)
    found["session"] += [name for name in sid if name not in found["item"]]
    return found
