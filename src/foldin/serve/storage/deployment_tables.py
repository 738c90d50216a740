"""The tables of the models that are to be in service: a row a model, a log of all changes, and the revision."""

import sqlalchemy as sa

__all__ = ["changes", "create_deployment_tables", "deployments", "revision"]


def _tables(metadata: sa.MetaData) -> tuple[sa.Table, sa.Table, sa.Table]:
    """(deployments, changes, revision), as of version 4 of the database: a later version defines its tables anew."""
    of_models = sa.Table(
        "foldin_deployments",
        metadata,
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("uri", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("previous_uri", sa.Text),
        sa.Column("previous_digest", sa.Text),
        sa.Column("is_default", sa.Boolean, nullable=False),
        sa.Column("share", sa.Double),
        sa.Column("retired", sa.Boolean, nullable=False),
        sa.Column("changed", sa.BigInteger, nullable=False),
    )
    of_changes = sa.Table(
        "foldin_changes",
        metadata,
        sa.Column("revision", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("model", sa.Text),
        sa.Column("before", sa.Text, nullable=False),
        sa.Column("after", sa.Text, nullable=False),
    )
    of_all = sa.Table("foldin_revision", metadata, sa.Column("revision", sa.BigInteger, nullable=False))
    return of_models, of_changes, of_all


_now = _tables(sa.MetaData())
deployments = _now[0]
changes = _now[1]
revision = _now[2]

# The log of changes only grows: the database itself refuses to alter it.
_ONLY_GROWS = {
    "sqlite": tuple(
        f"CREATE TRIGGER foldin_changes_no_{verb.lower()} BEFORE {verb} ON foldin_changes "
        "BEGIN SELECT RAISE(ABORT, 'the log of changes only grows'); END"
        for verb in ("UPDATE", "DELETE")
    ),
    "postgresql": (
        "CREATE FUNCTION foldin_changes_only_grow() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the log of changes only grows'; END $$",
        "CREATE TRIGGER foldin_changes_only_grow BEFORE UPDATE OR DELETE ON foldin_changes "
        "FOR EACH ROW EXECUTE FUNCTION foldin_changes_only_grow()",
    ),
}


def create_deployment_tables(connection: sa.Connection) -> None:
    """The migration from version 3 to version 4, which is never changed."""
    then = sa.MetaData()
    *_, of_all = _tables(then)
    then.create_all(connection)
    connection.execute(sa.insert(of_all).values(revision=0))
    for statement in _ONLY_GROWS[connection.dialect.name]:
        connection.exec_driver_sql(statement)
