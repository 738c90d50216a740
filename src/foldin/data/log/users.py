"""Features of users from a second file or table, joined to the users of a log."""

from pathlib import Path
from typing import Any

import polars as pl

from foldin.data.frames import is_frame, to_polars
from foldin.data.local_copy import named_file
from foldin.data.log.attributes import typed
from foldin.data.log.columns import listed, proposals
from foldin.data.log.formats import open_table, text_lines
from foldin.data.log.report import Note
from foldin.data.log.text_ids import check_exact, text_ids
from foldin.errors import ColumnError, DataError

__all__ = ["join_users", "open_users"]

_OCCUPATIONS = (
    *("other", "academic/educator", "artist", "clerical/admin", "college/grad student", "customer service"),
    *("doctor/health care", "executive/managerial", "farmer", "homemaker", "K-12 student", "lawyer", "programmer"),
    *("retired", "sales/marketing", "scientist", "self-employed", "technician/engineer", "tradesman/craftsman"),
    *("unemployed", "writer"),
)


def _movielens_users(path: Path) -> pl.DataFrame:
    rows = [line.split("::") for line in text_lines(path) if line]
    for at, row in enumerate(rows, start=1):
        if len(row) != 5 or not row[3].isdigit() or int(row[3]) >= len(_OCCUPATIONS):
            raise DataError(
                f"{path}: line {at}: 'id::gender::age::occupation::zip' was expected, not {'::'.join(row)!r}"
            )
    named = [(user, gender, age, _OCCUPATIONS[int(work)], code) for user, gender, age, work, code in rows]
    return pl.DataFrame(named, schema=["user", "gender", "age", "occupation", "zip"], orient="row")


def open_users(users: Any) -> tuple[pl.DataFrame, str]:
    """(a table of users, its name for messages) from a file or a table: `user` (text), and typed features.

    Args:
        users: path or URL of `users.dat` of MovieLens or of any table, or a table of pandas, Polars, PyArrow or with the Arrow
            stream interface; the column of ids is found by its usual names.

    Raises:
        DataError: no such file, or a line with other fields.
        ColumnError: no column is called as users usually are, or its ids are floating-point numbers too large to be exact.
    """
    if is_frame(users):
        source, table = "the table of users", to_polars(users, "the table of users")[0]
    else:
        path, source = named_file(users)
        if not path.is_file():
            raise DataError(f"{source}: no such file")
        if path.name == "users.dat":
            table = _movielens_users(path)
        else:
            with open_table(path) as opened:
                table = opened.table.collect()
    keys = proposals(table.columns)["user"]
    if not keys:
        raise ColumnError(f"{source}: no column is called user; there are {listed(table.columns)}")
    check_exact(table[keys[0]], source)
    table = table.drop_nulls(keys[0])
    ids = text_ids(table[keys[0]]).alias("user")
    rest, _ = typed(table.drop({keys[0], "user"} & set(table.columns)))
    return pl.DataFrame([ids, *rest.iter_columns()]).drop_nulls("user"), source


def join_users(ids: pl.Series, table: pl.DataFrame, source: str) -> tuple[pl.DataFrame, list[Note]]:
    """(a row of the table for each user of a log, with nulls for those that it lacks; notes on these).

    Raises:
        ColumnError: no user is in both.
    """
    lacking = ids.filter(~ids.is_in(table["user"].to_list()))
    if lacking.len() == ids.len():
        here = "nothing" if table.is_empty() else repr(table["user"][0])
        raise ColumnError(
            f"{source}: describes none of the log's {ids.len():,} users: {here} there, {ids[0]!r} in the log; the ids must be "
            "written alike"
        )
    once = table.unique("user", keep="first", maintain_order=True)
    notes = [
        Note(f"lines of {source} repeat a user; the first line is used", table.height - once.height, dropped=False)
    ]
    if not lacking.is_empty():
        text = f"of {ids.len():,} users are not described in {source}; the first: {lacking[0]!r}"
        notes.append(Note(text, lacking.len(), dropped=False))
    return pl.DataFrame({"user": ids}).join(once, on="user", how="left", maintain_order="left"), notes
