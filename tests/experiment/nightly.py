"""Logs that grow by a day, on which it is known which of two models is better."""

import numpy as np
import polars as pl

from foldin.data import Columns, EventLog, ReadReport, log_from_table

DAY = 86_400
BEGIN = 1_000_000_000
ITEMS, USERS, FEW = 40, 120, 30


def rows(nights: int = 1, *, first: int = 0, fresh_item: bool = False) -> list[tuple[str, str, int]]:
    """Events of users of two tastes (items of even or of odd number) over thirty days, and of some users on days after them.

    Args:
        nights: number of further days. On each, `FEW` other users take three more items of their taste.
        first: number of the first of them, so that other users come.
        fresh_item: whether they take an item on these days that nobody has taken before.
    """
    rng = np.random.default_rng(0)
    found = []
    own = [rng.permutation(ITEMS // 2) * 2 + user % 2 for user in range(USERS)]
    for user in range(USERS):
        for item in own[user][:8]:
            found.append((f"u{user:03d}", f"i{item:02d}", BEGIN + int(rng.integers(0, 30 * DAY))))
    for night in range(nights):
        for user in range((first + night) * FEW, (first + night + 1) * FEW):
            at = BEGIN + (30 + night) * DAY + 1000 + user
            found += [(f"u{user:03d}", f"i{item:02d}", at + k) for k, item in enumerate(own[user][8:11])]
            if fresh_item:
                found.append((f"u{user:03d}", "new", at + 10))
    return found


def log_of(events: list[tuple[str, str, int]], *, times: bool = True) -> EventLog:
    table = pl.DataFrame(events, schema=["user", "item", "timestamp"], orient="row")
    columns = Columns(user="user", item="item", time="timestamp" if times else None)
    report = ReadReport(source="made", format="table", columns=columns.roles(), rows=len(events))
    return log_from_table(table, columns, report)


def nightly_log(nights: int = 1, **options) -> EventLog:
    """The log of `rows`."""
    return log_of(rows(nights, **options))
