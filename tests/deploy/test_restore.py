"""A back-up of either database, restored into an empty one: a fresh service finds everything again."""

import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from foldin.data import read_log
from foldin.serve import Event, EventStore, KeyRing, Limits, Service, connect
from foldin.serve.server import build
from foldin.serve.storage.keys import SCOPES
from tests.serve.conftest import make_run
from tests.serve.postgres import Postgres

pytestmark = pytest.mark.long
NOW = 1_700_000_000
READ = ("/v1/models", "/v1/users/u1", "/v1/changes", "/v1/experiments", "/v1/items/i0", "/v1/items/i1", "/v1/items/new")


@contextmanager
def serving(runs: list[Any], url: str, key: str | None = None) -> Iterator[tuple[TestClient, Service]]:
    """(a client whose every request has the key, the service) on a database."""
    app, service, _ = build(runs, url, open_to_all=False, host="127.0.0.1", limits=Limits(), device="cpu")
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    with TestClient(app, base_url="http://localhost", headers=headers) as client:
        yield client, service
    service.registry.close()
    service.events.engine.dispose()


def contents(url: str) -> dict[str, set[tuple[Any, ...]]]:
    """Every row of every table of a database."""
    engine = connect(url, reading=True)
    metadata = sa.MetaData()
    metadata.reflect(engine)
    with engine.connect() as connection:
        found = {
            name: {tuple(map(str, row)) for row in connection.execute(sa.select(table))}
            for name, table in metadata.tables.items()
        }
    engine.dispose()
    return found


def in_sqlite(url: str) -> str:
    """The URL of a copy by SQLite's own back-up, as of `sqlite3 events.db ".backup foldin.db"`, while the original is in use."""
    path = url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(f"{path}.copy")) as target:
        source.backup(target)
    return f"{url}.copy"


def in_postgresql(server: Postgres, dump: str) -> str:
    """The URL of an empty database into which a dump was restored, as `docs/guide/deploy.md` says."""
    where = ["-h", "127.0.0.1", "-p", str(server.port), "-U", "foldin"]
    for name, arguments in {
        "pg_dump": ["--format=custom", "--file", dump, "postgres"],
        "createdb": ["again"],
        "pg_restore": ["--exit-on-error", "--dbname", "again", dump],
    }.items():
        subprocess.run([str(server.binaries / name), *where, *arguments], check=True)
    return server.url.removesuffix("postgres") + "again"


@pytest.fixture
def restored(url, request, tmp_path) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(URL of the restored database, a key, what the service on the original answered)."""
    runs = [make_run(tmp_path / "runs" / name, name) for name in ("ease", "multvae")]
    engine = connect(url)
    store = EventStore(engine)
    store.append([Event(f"u{at % 7}", f"i{at % 12}", NOW + at, ("view", "buy")[at % 2], 0.5 * at) for at in range(60)])
    key = KeyRing(engine).create("shop", SCOPES)
    with serving(runs, url, key) as (client, service):
        assert client.put("/v1/split", json={"shares": {"ease": 0.5, "multvae": 0.5}}).status_code == 200
        items = [
            {"item": "i0", "title": "해 <'\">", "features": {"year": 1999}},
            {"item": "i1", "is_active": False},
            {"item": "new", "title": "New"},
        ]
        assert client.post("/v1/items", json={"items": items}).status_code == 200
        shown = client.post("/v1/recommendations", json={"user": "u1", "k": 5}).json()["items"]
        assert service.impressions is not None
        service.impressions.flush()
        answers = {"list": shown, **{path: client.get(path).json() for path in READ}}
        assert answers["/v1/users/u1"]["lists"]
    postgres = url.startswith("postgresql")
    copy = in_postgresql(request.getfixturevalue("server"), str(tmp_path / "dump")) if postgres else in_sqlite(url)
    yield copy, key, answers
    engine.dispose()
    if postgres:
        server = request.getfixturevalue("server")
        where = ["-h", "127.0.0.1", "-p", str(server.port), "-U", "foldin"]
        subprocess.run([str(server.binaries / "dropdb"), *where, "--force", "again"], check=True)


def test_a_fresh_service_on_a_restored_back_up_is_the_one_that_was(restored, url):
    copy, key, answers = restored
    before = contents(url)
    assert contents(copy) == before
    assert all(
        before[f"foldin_{name}"] for name in ("events", "keys", "items", "retirements", "deployments", "changes")
    )
    assert read_log(copy).histories.fingerprint() == read_log(url).histories.fingerprint()
    with serving([], copy, key) as (client, _):  # no run is given: the database names them
        found = {path: client.get(path).json() for path in READ}
        for one in (*found["/v1/models"]["models"], *answers["/v1/models"]["models"]):
            one.pop("since", None)  # of this process
        assert found == {path: answers[path] for path in READ}
        again = client.post("/v1/recommendations", json={"user": "u1", "k": 5}).json()["items"]
        assert [one["item"] for one in again] == [one["item"] for one in answers["list"]]
        assert client.get("/v1/models", headers={"Authorization": "Bearer foldin_other"}).status_code == 401
        stored_already = {"user": "u1", "item": "i1", "time": NOW + 1, "kind": "buy"}
        sent = [{"user": "u1", "item": "i3", "time": NOW + 1000}, stored_already]
        receipt = client.post("/v1/events", json={"events": sent}).json()
        assert (receipt["accepted"], receipt["duplicates"]) == (1, 1)
        changed = client.put("/v1/items/i1", json={"is_active": True})
        assert (changed.status_code, changed.json()["is_active"]) == (200, True)
    assert contents(url) == before  # the original is another database
    assert len(contents(copy)["foldin_events"]) == len(before["foldin_events"]) + 1
