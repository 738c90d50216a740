"""The tables of what experiments need of lists that are no longer kept: users with their arms, and the events that count."""

import sqlalchemy as sa

__all__ = ["create_experiment_tables", "kept_events", "kept_users"]


def _tables(metadata: sa.MetaData) -> tuple[sa.Table, sa.Table]:
    """(users, events), as of version 8 of the database: a later version defines its tables anew."""
    of_users = sa.Table(
        "foldin_experiment_users",
        metadata,
        sa.Column("split", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("user_id", sa.Text, primary_key=True),  # empty for lists without a user
        sa.Column("arm", sa.Text, primary_key=True),
        sa.Column("model", sa.Text, primary_key=True),
        sa.Column("run", sa.Text, primary_key=True),
        sa.Column("first", sa.BigInteger, nullable=False),
        sa.Column("lists", sa.BigInteger, nullable=False),
        sa.Column("empty", sa.BigInteger, nullable=False),
        sa.Index("foldin_experiment_users_of_user", "user_id"),
    )
    of_events = sa.Table(
        "foldin_experiment_events",
        metadata,
        sa.Column("split", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("event_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("user_id", sa.Text, nullable=False, index=True),
    )
    return of_users, of_events


_now = _tables(sa.MetaData())
kept_users = _now[0]
kept_events = _now[1]


def create_experiment_tables(connection: sa.Connection) -> None:
    """The migration from version 7 to version 8, which is never changed."""
    then = sa.MetaData()
    _tables(then)
    then.create_all(connection)
