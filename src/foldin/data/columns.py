"""Which column holds what, from the usual spellings or from what the caller says."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from foldin.errors import ColumnError

__all__ = ["SPELLINGS", "Columns", "detect_columns", "plain_name"]

# In order of preference: where a log has two of them (user_id and session_id), the earlier one is meant.
SPELLINGS: dict[str, tuple[str, ...]] = {
    "user": (
        *("user", "userid", "uid", "person", "personid", "reviewerid", "customer", "customerid", "visitor"),
        *("visitorid", "member", "memberid", "account", "accountid", "reader", "session", "sessionid"),
    ),
    "item": (
        *("item", "itemid", "iid", "sid", "movie", "movieid", "product", "productid", "parentasin", "asin", "book"),
        *("bookid", "isbn", "article", "articleid", "song", "songid", "track", "trackid", "artist", "artistid"),
        *("game", "gameid", "business", "businessid", "sku"),
    ),
    "time": (*("timestamp", "time", "ts", "datetime", "date", "eventtime", "unixreviewtime", "createdat", "tdat"),),
    "rating": ("rating", "ratings", "score", "stars", "overall", "weight"),
    "order": ("order", "pos", "position"),
}


@dataclass(frozen=True)
class Columns:
    """The names of the columns in a file; None for a role that the file does not have."""

    user: str
    item: str
    time: str | None = None
    rating: str | None = None
    order: str | None = None

    def roles(self) -> dict[str, str]:
        """Role → column, for the roles present."""
        return {role: name for role, name in vars(self).items() if name is not None}


def plain_name(name: str) -> str:
    # RecBole writes "user_id:token"; spelling, case and separators do not matter.
    return re.sub(r"[^a-z0-9]", "", name.split(":", maxsplit=1)[0].lower())


def detect_columns(present: Sequence[str], said: Mapping[str, str | None], source: str) -> Columns:
    """The column of each role: what was said, else the first usual spelling.

    Raises:
        ColumnError: a column that was said is absent, or no column looks like the person or the item.
    """
    plain: dict[str, str] = {}
    for name in present:
        plain.setdefault(plain_name(name), name)
    found: dict[str, str] = {}
    for role, spellings in SPELLINGS.items():
        asked = said.get(role)
        if asked is not None:
            if asked not in present:
                raise ColumnError(
                    f"{source}: no column {asked!r} (--{role}); there are {', '.join(map(repr, present))}"
                )
            found[role] = asked
            continue
        for spelling in spellings:
            if spelling in plain and plain[spelling] not in found.values():
                found[role] = plain[spelling]
                break
    if "time" in found and said.get("order") is None:
        found.pop("order", None)  # a column called "position" beside times may well be a place on a page
    for role in ("user", "item"):
        if role not in found:
            raise ColumnError(
                f"{source}: no column looks like the {role}; there are {', '.join(map(repr, present))}; say --{role} NAME"
            )
    return Columns(**found)
