"""Runs, stores and a service to call."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import polars as pl
import pytest
from fastapi.testclient import TestClient

from foldin.data import Catalog
from foldin.models import ALL
from foldin.serve import EventStore, KeyRing, Limits, Registry, Service, Telemetry, connect, make_app
from foldin.store import save_run
from foldin.training import fit
from tests.conftest import checkerboard

ITEMS = 20
SETTINGS = {
    "multvae": {"hidden": (), "latent": 8, "epochs": 20, "batch_size": 20, "learning_rate": 0.02},
    "ease": {"regularization": 1.0},
    "popularity": {},
}


def make_run(folder: Path, name: str, seed: int = 0) -> Path:
    """A run of a tiny model on the checkerboard, with titles and attributes."""
    kind = ALL[name]
    model = kind(ITEMS, kind.Config(**SETTINGS[name]), seed=seed)
    train = checkerboard(60, ITEMS)
    fit(model, train, seed=seed)
    parity = ["even", "odd"] * (ITEMS // 2)
    table = pl.DataFrame(
        {
            "item": [f"i{at}" for at in range(ITEMS)],
            "title": [f"Film {at}, the {of} one" for at, of in enumerate(parity)],
            "count": train.counts(),
            "kind": parity,
            "year": [None, *range(1981, 1980 + ITEMS)],
        }
    )
    save_run(folder, name=name, model=model, catalog=Catalog(table), info={"seed": seed})
    return folder


@pytest.fixture(scope="session")
def runs(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("runs")
    return {name: make_run(root / name, name) for name in SETTINGS}


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL of its own; skipped where the system has none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("no PostgreSQL on this machine")
    binaries = found[-1].parent
    folder = Path(tempfile.mkdtemp(prefix="foldin-pg"))
    as_user: list[str] = []
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        shutil.chown(folder, "postgres")
        as_user = ["runuser", "-u", "postgres", "--"]

    def run(*command: str) -> None:
        subprocess.run([*as_user, *command], check=True, capture_output=True, cwd="/")

    data, port = folder / "data", 54000 + os.getpid() % 1000
    run(str(binaries / "initdb"), "-D", str(data), "-U", "foldin", "-A", "trust", "--no-sync")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}"
    run(str(binaries / "pg_ctl"), "-D", str(data), "-w", "-o", options, "-l", str(folder / "log"), "start")
    yield f"postgresql://foldin@127.0.0.1:{port}/postgres"
    run(str(binaries / "pg_ctl"), "-D", str(data), "-m", "immediate", "stop")
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/events.db"
    return request.getfixturevalue("postgres")


@pytest.fixture
def store(url):
    engine = connect(url)
    found = EventStore(engine)
    yield found
    with engine.begin() as connection:
        for table in ("foldin_events", "foldin_batches", "foldin_keys"):
            connection.exec_driver_sql(f"DELETE FROM {table}")
    engine.dispose()


@pytest.fixture
def service(runs, tmp_path):
    engine = connect(f"sqlite:///{tmp_path}/events.db")
    registry = Registry()
    for name in SETTINGS:
        registry.deploy(runs[name])
    registry.make_default("multvae")
    limits = Limits(history=50, k=100, batch=20, ids=100, body=20_000)
    yield Service(registry, EventStore(engine), limits, Telemetry())
    registry.close()
    engine.dispose()


@pytest.fixture
def client(service, runs):
    app = make_app(service, None, roots=(runs["ease"].parent,))
    with TestClient(app, raise_server_exceptions=False) as found:
        yield found


@pytest.fixture
def keyed(service):
    """(client, secrets by scope)."""
    ring = KeyRing(service.events.engine)
    secrets = {scope: ring.create(scope, [scope]) for scope in ("read", "write", "admin")}
    with TestClient(make_app(service, ring), raise_server_exceptions=False) as found:
        yield found, secrets
