"""What the service has of the runs in a folder, for those who train into it: with which run it answers, and which it may need.

A run of the folder that was deployed under the folder's name and is not in service any more was rolled back or replaced by
somebody, and the service does not take it up again (`engine/watcher.py`). One that never was deployed will be, as soon as a
process looks at the folder.
"""

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from foldin.experiment import InService
from foldin.runs import name_of_run
from foldin.runs.pointer import digest_in
from foldin.serve.storage.changes import Changes
from foldin.serve.storage.deployment_tables import deployments
from foldin.serve.storage.deployments import DeploymentStore
from foldin.serve.storage.event_store import connect, unusable
from foldin.serve.storage.fleet_state import FleetState

__all__ = ["in_service"]


def in_service(url: str, folder: Path) -> InService:
    """What the service has of a folder of runs, which it serves under the folder's name as `foldin serve` does.

    Args:
        url: URL of the event store, `sqlite:///FILE` or `postgresql://…`; it is only read.
        folder: a folder of generations, or a run directory.

    Raises:
        ConfigError: an invalid URL.
        DataError: no such SQLite file.
        EventStoreError: the database is not available.
    """
    engine, name, current = connect(url, reading=True), name_of_run(str(folder)), digest_in(folder)
    try:
        if not _has_deployments(engine):
            return InService()
        changes = Changes(engine).of_model(name)  # read first: what is deployed after it is in the rows
        state = DeploymentStore(engine).state()
    finally:
        engine.dispose()
    row, named = state.rows.get(name), _named(state)
    deployed = {one.after[name]["digest"] for one in changes if one.action == "deploy"}
    if row is None or row.retired or row.run.digest == current or current not in deployed:
        return InService(named=named)
    return InService(digest=row.run.digest, uri=row.run.uri, named=named)


def _has_deployments(engine: sa.Engine) -> bool:
    """Whether the database has the rows of models in service; that of an earlier version, or of events alone, has none."""
    try:
        return sa.inspect(engine).has_table(deployments.name)
    except SQLAlchemyError as error:
        raise unusable(error) from error


def _named(state: FleetState) -> frozenset[str]:
    """Digests and addresses of the runs in service, and of those before them."""
    rows = [row for row in state.rows.values() if not row.retired]
    runs = [run for row in rows for run in (row.run, row.previous) if run is not None]
    return frozenset(text for run in runs for text in (run.digest, run.uri))
