"""The tables of the lists that were answered, and of the users who were erased a moment ago."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

__all__ = ["create_impression_tables", "erasures", "impressions"]


def _json() -> sa.JSON:
    return sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def _tables(metadata: sa.MetaData) -> tuple[sa.Table, sa.Table]:
    """(impressions, erasures), as of version 6 of the database: a later version defines its tables anew."""
    of_lists = sa.Table(
        "foldin_impressions",
        metadata,
        sa.Column("list_id", sa.Text, primary_key=True),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.Column("user_id", sa.Text),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("run", sa.Text, nullable=False),
        sa.Column("arm", sa.Text),
        sa.Column("share", sa.Double),
        sa.Column("split", sa.BigInteger),
        sa.Column("ranker", sa.Text, nullable=False),
        sa.Column("items", _json(), nullable=False),
        sa.Column("propensities", _json()),
        sa.Column("propensity_of", sa.Text),
        sa.Column("history", _json()),
        sa.Column("restricted", sa.Boolean, nullable=False),
        sa.Column("context", _json()),
        sa.Index("foldin_impressions_of_user", "user_id", "time"),
        sa.Index("foldin_impressions_of_split", "split", "user_id"),
        sa.Index("foldin_impressions_by_time", "time"),
    )
    of_erasures = sa.Table(
        "foldin_erasures",
        metadata,
        sa.Column("digest", sa.Text, primary_key=True),
        sa.Column("time", sa.BigInteger, nullable=False),
    )
    return of_lists, of_erasures


_now = _tables(sa.MetaData())
impressions = _now[0]
impressions.append_column(sa.Column("item_revision", sa.BigInteger))  # since version 9
erasures = _now[1]


def create_impression_tables(connection: sa.Connection) -> None:
    """The migration from version 5 to version 6, which is never changed."""
    then = sa.MetaData()
    _tables(then)
    then.create_all(connection)
    connection.execute(sa.text("ALTER TABLE foldin_events ADD COLUMN list_id TEXT"))
