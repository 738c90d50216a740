"""The whole kit without containers: its processes are killed one after the other while clients read and write.

PostgreSQL, nginx, the service with two workers and the nightly job run on this machine by the files of `deploy/`: the commands
of their units and containers, with other paths and ports.
"""

import os
import shutil
import signal
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
import sqlalchemy as sa

import foldin
from foldin.client import Client, ClientError, Event
from foldin.experiment.nights import read_nights
from foldin.runs.pointer import read_pointer
from foldin.serve import EventStore, KeyRing, connect, import_events
from foldin.serve.storage.keys import SCOPES
from tests.deploy.machine import Kit
from tests.deploy.starting import ended_well, until
from tests.deploy.traffic import ITEMS, Traffic
from tests.serve.postgres import Postgres
from tests.serve.processes import forking, runs_still

DAY = 86_400
USERS = 80


@pytest.fixture
def kit(tmp_path) -> Iterator[Kit]:
    missing = [name for name in ("nginx", "openssl") if shutil.which(name) is None]
    database = None if missing else Postgres.find()
    if database is None:
        pytest.skip(f"no {' and no '.join(missing or ['PostgreSQL'])} on this machine")
    found = Kit(tmp_path, database)
    try:
        found.start_database()
        yield found
    finally:
        found.end()
        shutil.rmtree(database.folder, ignore_errors=True)


def first_log(path: Path, now: int) -> Path:
    """Users of two tastes, over some days."""
    rng, rows = np.random.default_rng(0), ["user,item,time"]
    for user in range(USERS):
        for item in rng.permutation(ITEMS // 2)[:6]:
            rows.append(f"u{user:03d},i{2 * item + user % 2:02d},{now - 10 * DAY + int(rng.integers(6 * DAY))}")
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def two_days(now: int) -> Iterator[Event]:
    """Everybody takes new items of the own taste, two on one day and three on the next."""
    rng = np.random.default_rng(1)
    for user in range(USERS):
        for at, item in enumerate(rng.permutation(6)[:5]):
            begin = now - (60 if at < 2 else 20) * 3600
            yield Event(f"u{user:03d}", f"n{2 * item + user % 2:02d}", time=begin + int(rng.integers(15 * 3600)))


def stored(url: str) -> dict[str, list[int]]:
    """User → times of the events, of the users that `Traffic` writes for."""
    engine = connect(url)
    found = {user: [event.time for event in EventStore(engine).history(user)] for user in ("w0", "w1")}
    engine.dispose()
    return found


@pytest.mark.long
@pytest.mark.timeout(900)
def test_nothing_acknowledged_is_lost_and_no_request_fails_whatever_is_killed(kit, tmp_path):
    now = int(time.time())
    engine = sa.create_engine(f"postgresql+psycopg://foldin@127.0.0.1:{kit.database.port}/postgres")
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("CREATE DATABASE foldin")
    engine.dispose()
    # The first night, a key, and the service.
    import_events(first_log(tmp_path / "log.csv", now), kit.url)
    night = kit.of_unit("foldin-nightly.service")
    until(lambda: ended_well(night), "the first night is over")
    key = new_key(kit.url)
    kit.kept["foldin"] = kit.of_unit("foldin.service")
    kit.start_nginx()
    at_the_edge(kit)
    traffic = Traffic(kit.address, key, ssl.create_default_context(cafile=str(tmp_path / "tls.pem")))
    try:
        with traffic.client() as client:
            until(lambda: ready(client), "the service is ready")
            traffic.start()
            traffic.goes_on()
            before = listed(client)
            assert not any(item.startswith("n") for item in before)
            swapped(kit, client, now)
            traffic.goes_on()
            client.roll_back("shop")
            until(lambda: listed(client) == before, "the earlier run is in service again")
            killed_in_turn(kit, traffic)
            # What was rolled back stays so, whatever was started again.
            assert all(listed(client) == before for _ in range(10))
            assert [change.action for change in client.changes()] == ["rollback", "deploy", "deploy"]
            compared_with_what_serves(kit, client)
    finally:
        traffic.stop()
    assert traffic.failures == []
    found = stored(kit.url)
    for user, times in traffic.acknowledged.items():
        assert len(found[user]) == len(set(found[user]))
        assert set(times) <= set(found[user])
    assert kit.kept["foldin"].end() == 0
    assert restored(kit)


def new_key(url: str) -> str:
    engine = connect(url)
    secret = KeyRing(engine).create("kit", SCOPES)
    engine.dispose()
    return secret


def at_the_edge(kit: Kit) -> None:
    """What nginx answers by itself, before the service answers: errors in JSON, and when to come again."""
    plain = f"http://localhost:{kit.ports['FOLDIN_HTTP']}"
    with httpx.Client(verify=ssl.create_default_context(cafile=str(kit.folder / "tls.pem"))) as http:

        def away() -> bool:
            try:
                found = http.get(f"{kit.address}/readyz")
            except httpx.TransportError:  # nginx has not begun yet
                return False
            assert (found.status_code, found.headers["retry-after"]) == (503, "1")
            assert set(found.json()) == {"error", "request_id"}
            return True

        until(away, "nginx answers")
        assert http.get(f"{kit.address}/metrics").status_code == 404
        found = http.post(f"{kit.address}/v1/events", content=b"x" * ((1 << 20) + 1))
        assert (found.status_code, found.json()["error"]) == (413, "body: at most 1 MiB")
        found = http.get(f"{plain}/v1/models", headers={"x-request-id": "mine"})
        assert (found.status_code, found.json()["request_id"]) == (403, "mine")
        found = http.get(f"{plain}/studio?x=1")
        assert (found.status_code, found.headers["location"]) == (308, "https://localhost/studio?x=1")


def ready(client: Client) -> bool:
    try:
        return client.ready().models
    except ClientError:
        return False


def swapped(kit: Kit, client: Client, now: int) -> None:
    """Events of two days, and a night in which the job is killed once; the service then serves the new run."""
    receipt = client.add_events(two_days(now), chunk=100)
    assert (receipt.accepted, receipt.duplicates) == (5 * USERS, 0)
    night = kit.of_unit("foldin-nightly.service")
    until(lambda: night.text().count("choosing the number of epochs") == 2, "training begins", pause=0.005)
    night.kill()
    assert foldin.load(kit.run).name == "ease"  # the earlier run, whole
    until(lambda: ended_well(night), "the night is over")
    assert night.starts == 2
    assert generation_of(kit) > 1  # what was written in part keeps its number
    until(lambda: any(item.startswith("n") for item in listed(client)), "the new run is in service")
    (deployed,) = client.models().deployments
    assert deployed.generation == 2


def compared_with_what_serves(kit: Kit, client: Client) -> None:
    """The night after the roll back compares with the run that answers, not with the one to which the folder points."""
    (deployed,) = client.models().deployments
    pointer = read_pointer(kit.run)
    assert pointer is not None
    assert not pointer.digest.startswith(str(deployed.serving))
    night = kit.of_unit("foldin-nightly.service")
    until(lambda: ended_well(night), "another night is over")
    assert read_nights(kit.run)[-1].incumbent.startswith(str(deployed.serving))


def generation_of(kit: Kit) -> int:
    pointer = read_pointer(kit.run)
    return 0 if pointer is None else pointer.generation


def listed(client: Client) -> tuple[str, ...]:
    """The list of a history; workers serve a change within a second of each other."""
    return client.recommend(history=["i00", "i02"]).ids


def killed_in_turn(kit: Kit, traffic: Traffic) -> None:
    """Kill a worker, the process that forks them, their parent, the database and nginx, each under load."""
    service = kit.kept["foldin"]
    worker = kit.workers()[0]
    os.kill(worker, signal.SIGKILL)
    until(lambda: worker not in kit.workers() and len(kit.workers()) == 2, "another worker")
    traffic.goes_on()
    workers = kit.workers()
    os.kill(forking(service.pid)[0], signal.SIGKILL)
    until(lambda: len(kit.workers()) == 2 and not any(map(runs_still, workers)), "other workers")
    traffic.goes_on()
    workers = kit.workers()
    service.kill()
    until(lambda: not any(map(runs_still, workers)), "the workers of the killed process are gone")
    traffic.goes_on()
    kit.kept["postgres"].kill()
    kit.wait_for_database()
    traffic.goes_on()
    kit.kept["nginx"].kill()
    traffic.goes_on()
    assert all(kit.kept[name].starts >= 2 for name in ("foldin", "postgres", "nginx"))


def restored(kit: Kit) -> bool:
    """Whether a back-up, restored into an empty database, is the same log."""
    where = ["-h", "127.0.0.1", "-p", str(kit.database.port), "-U", "foldin"]
    dump = str(kit.folder / "foldin.dump")
    for name, arguments in {
        "pg_dump": ["--format=custom", "--file", dump, "foldin"],
        "createdb": ["again"],
        "pg_restore": ["--exit-on-error", "--dbname", "again", dump],
    }.items():
        subprocess.run([str(kit.database.binaries / name), *where, *arguments], check=True)
    logs = [foldin.read_log(url) for url in (kit.url, kit.url.removesuffix("foldin") + "again")]
    fingerprints = {log.histories.fingerprint() for log in logs}
    return len(logs[0].histories) > USERS and len(fingerprints) == 1
