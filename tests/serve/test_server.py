"""The process: what is checked before it listens, runs that change under it, and how it ends."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from foldin.errors import ConfigError, RunError
from foldin.serve import Limits
from foldin.serve.engine.commands import roll_back
from foldin.serve.engine.watcher import Watcher
from foldin.serve.server import build, check_address
from tests.serve.conftest import make_run


def test_where_it_may_listen():
    check_address("127.0.0.1", open_to_all=True, has_keys=False)
    check_address("localhost", open_to_all=True, has_keys=False)
    check_address("::1", open_to_all=True, has_keys=True)
    check_address("0.0.0.0", open_to_all=False, has_keys=True)
    for host in ("0.0.0.0", "192.168.0.1", "::", "example.org"):
        with pytest.raises(ConfigError, match="can be reached from other machines"):
            check_address(host, open_to_all=True, has_keys=True)
    with pytest.raises(ConfigError, match="no key yet"):
        check_address("127.0.0.1", open_to_all=False, has_keys=False)


def test_what_cannot_be_served_is_refused_before_a_port_is_opened(tmp_path, runs):
    how = {"open_to_all": True, "host": "127.0.0.1", "limits": Limits(), "device": "cpu"}
    url = f"sqlite:///{tmp_path}/events.db"
    with pytest.raises(ConfigError, match="runs of different names"):
        build([runs["ease"], runs["ease"]], url, **how)
    with pytest.raises(ConfigError, match="no run was given, and the database knows no model"):
        build([], url, **how)
    with pytest.raises(RunError, match="no such run"):
        build([tmp_path / "none"], url, **how)
    with pytest.raises(ConfigError, match="not the URL of a database"):
        build([runs["ease"]], "nowhere", **how)
    app, service, _ = build([runs["ease"], runs["multvae"]], url, **how)
    assert service.registry.default == "ease"
    assert app.title == "foldin"
    service.registry.close()


def test_a_run_that_is_trained_again_is_served_and_a_damaged_one_is_not(tmp_path, caplog):
    folder = make_run(tmp_path / "shop", "ease")
    how = {"open_to_all": True, "host": "127.0.0.1", "limits": Limits(), "device": "cpu"}
    _, service, watcher = build([folder], f"sqlite:///{tmp_path}/events.db", **how)
    registry, fleet = service.registry, watcher.fleet
    first = registry.get("shop")
    watcher.look()
    assert registry.get("shop") is first
    make_run(folder, "popularity")
    watcher.look()
    assert registry.get("shop").run.name == "popularity"
    roll_back(fleet, "shop", key="test")
    watcher.look()
    assert registry.get("shop") is first  # what was rolled back stays so
    Watcher(fleet, {"shop": str(folder)}).look()  # as after a restart
    assert registry.get("shop") is first
    roll_back(fleet, "shop", key="test")
    make_run(folder, "multvae")
    (folder / "catalog.parquet").write_bytes(b"cut short")
    with caplog.at_level("WARNING", logger="foldin.serve"):
        watcher.look()
        watcher.look()
    assert registry.get("shop").run.name == "popularity"
    assert len(caplog.records) == 1
    assert "damaged" in json.loads(caplog.records[0].message)["error"]
    (folder / "run.json").write_text("{")
    watcher.look()
    registry.close()


@pytest.fixture
def process(tmp_path, runs):
    """(a serving process, its address, its run's folder)."""
    folder = tmp_path / "films"
    shutil.copytree(runs["multvae"], folder)
    command = [sys.executable, "-m", "foldin", "serve", str(folder), "--no-keys", "--port", "0"]
    command += ["--events", f"sqlite:///{tmp_path}/events.db"]
    started = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert started.stderr is not None
    address = None
    for line in started.stderr:
        found = re.search(r"http://[\d.:]+", line)
        if found:
            address = found[0]
            break
    yield started, address, folder
    started.kill()
    started.wait()
    started.stderr.close()


def test_the_command_serves_takes_up_a_new_run_and_ends_when_told(process):
    started, address, folder = process
    assert address is not None
    with httpx.Client(base_url=address, timeout=30) as client:
        assert client.get("/readyz").status_code == 200
        found = client.post("/v1/recommendations", json={"history": ["i0"], "k": 3}).json()
        assert len(found["items"]) == 3
        before = found["run"]
        other = make_run(Path(str(folder) + "-new"), "multvae", seed=9)
        for name in ("model.safetensors", "catalog.parquet", "history.jsonl", "run.json"):
            shutil.copy(other / name, folder / f".{name}")
        for name in ("model.safetensors", "catalog.parquet", "history.jsonl", "run.json"):
            (folder / f".{name}").replace(folder / name)
        until = time.monotonic() + 60
        while time.monotonic() < until:
            if client.post("/v1/recommendations", json={}).json()["run"] != before:
                break
            time.sleep(0.1)
        else:
            pytest.fail("the new run was not taken up")
    started.send_signal(signal.SIGTERM)
    assert started.wait(30) in (0, -signal.SIGTERM)
