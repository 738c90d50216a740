"""Several processes of a service, here applications in one process, that share a database: what one changes, all serve."""

import json
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from foldin.errors import ConfigError, OverloadedError, RunError
from foldin.runs import read_info
from foldin.serve import Changes, DeploymentStore, Limits, RunRef, connect
from foldin.serve.engine import commands
from foldin.serve.engine.fleet import Fleet
from foldin.serve.engine.service import Service
from foldin.serve.engine.watcher import Watcher
from foldin.serve.server import build
from tests.serve.asking import ask
from tests.serve.conftest import make_run
from tests.serve.postgres import emptied


class Process(TestClient):
    """A client of an application, with its service, fleet and watcher."""

    service: Service
    fleet: Fleet
    watcher: Watcher

    def deployments(self) -> dict[str, dict]:
        return {one["name"]: one for one in self.get("/v1/models").json()["deployments"]}

    def served(self) -> dict[str, str]:
        return {one["name"]: one["kind"] for one in self.get("/v1/models").json()["models"]}


@contextmanager
def process(url: str, *given: str | Path, force: bool = False) -> Iterator[Process]:
    app, service, watcher = build(
        given, url, open_to_all=True, host="127.0.0.1", limits=Limits(), device="cpu", force=force
    )
    with Process(app, base_url="http://localhost", raise_server_exceptions=False) as client:
        client.service, client.fleet, client.watcher = service, watcher.fleet, watcher
        yield client
    service.events.engine.dispose()


def until(holds: Callable[[], bool]) -> None:
    """Wait for something that another thread brings about."""
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.01)


@pytest.fixture
def database(url) -> Iterator[str]:
    """The URL of an empty database, once for SQLite and once for PostgreSQL."""
    yield url
    engine = connect(url)
    emptied(engine)
    engine.dispose()


@pytest.fixture
def file(tmp_path) -> str:
    return f"sqlite:///{tmp_path}/events.db"


def test_what_is_changed_through_one_process_is_served_by_all_and_after_a_restart(database, runs):
    names = ("ease", "popularity")
    with process(database, *(runs[name] for name in names)) as one, process(database) as two:
        assert one.served() == two.served() == {"ease": "ease", "popularity": "popularity"}
        assert ask(two)["model"] == "ease"  # the first one
        answer = one.post("/v1/models", json={"run": str(runs["multvae"]), "name": "popularity", "default": True})
        assert answer.status_code == 200
        until(lambda: two.served() == {"ease": "ease", "popularity": "multvae"})
        until(lambda: ask(two)["model"] == "popularity")
        assert two.deployments() == one.deployments()
        assert two.deployments()["popularity"]["generation"] == 2
        assert two.post("/v1/models/popularity:rollback").status_code == 200
        until(lambda: one.served()["popularity"] == "popularity")
        assert two.put("/v1/split", json={"shares": {"ease": 0.5, "popularity": 0.5}}).status_code == 200
        until(lambda: one.service.registry.shares == {"ease": 0.5, "popularity": 0.5})
        users = [f"u{at}" for at in range(20)]
        chosen = [ask(one, user=user)["model"] for user in users]
        assert chosen == [ask(two, user=user)["model"] for user in users]
        assert set(chosen) == set(names)
        assert one.put("/v1/split", json={"shares": {}}).status_code == 200
        assert one.delete("/v1/models/ease").status_code == 200
        until(lambda: two.served() == {"popularity": "popularity"})
        ask(two, 422, model="ease")
        assert one.get("/v1/models").json()["revision"] == two.get("/v1/models").json()["revision"] == 7
        before = one.deployments()
    with process(database, *(runs[name] for name in names)) as again:
        assert again.deployments() == before
        assert again.served() == {"popularity": "popularity"}
        assert again.post("/v1/models/popularity:rollback").status_code == 200  # to a run that it has to load
        assert again.served() == {"popularity": "multvae"}
        log = again.get("/v1/changes", params={"limit": 3}).json()["changes"]
        assert [(change["revision"], change["action"], change["model"], change["key"]) for change in log] == [
            (8, "rollback", "popularity", "anybody"),
            (7, "retire", "ease", "anybody"),
            (6, "split", None, "anybody"),
        ]


def test_a_change_of_what_another_process_changed_meanwhile_is_refused_with_both(file, runs):
    with process(file, runs["ease"]) as one, process(file) as two:
        read = two.deployments()["ease"]["generation"]
        assert one.post("/v1/models", json={"run": str(runs["popularity"]), "name": "ease"}).status_code == 200
        body = {"run": str(runs["multvae"]), "name": "ease", "generation": read}
        for refused in (
            two.post("/v1/models", json=body),
            two.post("/v1/models/ease:rollback", params={"generation": read}),
            two.post("/v1/models/ease:default", params={"generation": read}),
            two.delete("/v1/models/ease", params={"generation": read}),
            two.put("/v1/split", json={"shares": {}, "revision": read}),
        ):
            assert refused.status_code == 409
            assert (refused.json()["expected"], refused.json()["found"]) == (1, 2)
        until(lambda: two.served() == {"ease": "popularity"})
        assert two.post("/v1/models", json={**body, "generation": 2}).status_code == 200
        assert two.served() == {"ease": "multvae"}
        assert two.service.registry.previous("ease") is not None
        assert two.post("/v1/models/none:default").status_code == 404
        assert two.delete("/v1/models/none").status_code == 404


def test_a_run_that_is_missing_keeps_the_old_one_and_holds_up_nothing_else(file, tmp_path, runs):
    late, digest = tmp_path / "late", read_info(runs["multvae"])["digest"]
    with process(file, runs["ease"], runs["popularity"]) as one:
        rows = DeploymentStore(one.service.events.engine)
        rows.deploy("ease", RunRef(str(late), digest), key="test")
        until(lambda: one.deployments()["ease"]["problem"] is not None)
        found = one.deployments()["ease"]
        assert (found["wanted"], found["serving"]) == (digest[:12], read_info(runs["ease"])["digest"][:12])
        assert "late: no such run directory" in found["problem"]
        assert ask(one, model="ease")["run"] == found["serving"]
        ready = one.get("/readyz")
        assert (ready.status_code, ready.json()["deployments"]) == (200, False)
        until(lambda: 'foldin_deployment_problems{model="ease"} 1.0' in one.get("/metrics").text)
        assert 'foldin_deployment_generation{model="ease"} 2.0' in one.get("/metrics").text
        assert re.search(r'foldin_deployment_timestamp_seconds\{model="ease"\} 1\.\d+e\+09', one.get("/metrics").text)
        commands.deploy(one.fleet, str(runs["multvae"]), "popularity", key="test")
        assert one.served() == {"ease": "ease", "popularity": "multvae"}
        shutil.copytree(runs["multvae"], late)
        until(lambda: one.served()["ease"] == "multvae")
        assert one.deployments()["ease"]["problem"] is None
        assert one.get("/readyz").json()["deployments"]
        assert 'foldin_deployment_problems{model="ease"} 0.0' in one.get("/metrics").text


def test_a_damaged_run_is_refused_before_the_database_is_told(file, tmp_path, runs):
    broken = make_run(tmp_path / "broken", "popularity")
    with process(file, runs["ease"]) as one:
        (broken / "model.safetensors").write_bytes(b"cut short")
        with pytest.raises(RunError, match="damaged"):
            commands.deploy(one.fleet, str(broken), "ease", key="test")
        assert one.deployments()["ease"]["generation"] == 1
        threads = [thread for thread in threading.enumerate() if thread.name == "foldin-batches"]
        commands.deploy(one.fleet, str(runs["ease"]), key="test")  # the run that serves: loaded, and not kept twice
        assert [thread for thread in threading.enumerate() if thread.name == "foldin-batches"] == threads


def test_after_a_restart_without_the_wanted_run_the_one_before_serves(file, tmp_path, runs):
    new = make_run(tmp_path / "new", "popularity")
    with process(file, runs["ease"]) as one:
        commands.deploy(one.fleet, str(new), "ease", key="test")
    make_run(new, "multvae")  # a run was trained over it, although a run's folder must not change
    with process(file) as again:
        assert again.served() == {"ease": "ease"}
        assert "by now, not" in again.deployments()["ease"]["problem"]
        assert again.get("/readyz").status_code == 200
        commands.roll_back(again.fleet, "ease", key="test")
        assert again.deployments()["ease"]["problem"] is None
        with pytest.raises(RunError, match="by now, not"):  # what cannot be loaded is not rolled back to
            commands.roll_back(again.fleet, "ease", key="test")
        assert again.deployments()["ease"]["generation"] == 3
    shutil.move(new, tmp_path / "away")
    rows = DeploymentStore(connect(file))
    rows.deploy("ease", RunRef(str(new), "0" * 64), key="test")
    rows.deploy("ease", RunRef(str(new), "1" * 64), key="test")
    with process(file) as again:  # nothing that could serve: it says so, and waits
        assert again.served() == {}
        assert again.get("/readyz").status_code == 503
        refused = again.post("/v1/recommendations", json={})
        assert refused.status_code == 503
        assert "the default model 'ease' is not in service here" in refused.json()["error"]
        with pytest.raises(OverloadedError):
            again.service.registry.choose(None, "anna")
        rows.deploy("ease", RunRef(str(runs["ease"]), read_info(runs["ease"])["digest"]), key="test")
        until(lambda: again.served() == {"ease": "ease"})
    rows.engine.dispose()


def test_a_given_run_is_deployed_once_unless_it_is_forced(file, tmp_path, runs, caplog):
    elsewhere = make_run(tmp_path / "ease", "popularity")
    with process(file, runs["ease"]) as one:
        assert one.served() == {"ease": "ease"}
    with caplog.at_level("WARNING", logger="foldin.serve"), process(file, elsewhere) as one:
        assert one.served() == {"ease": "ease"}
    told = [json.loads(record.message) for record in caplog.records if "not deployed" in record.message]
    assert [line["not deployed"] for line in told] == ["ease"]
    assert "--deploy" in told[0]["because"]
    with process(file, elsewhere, force=True) as one:
        assert one.served() == {"ease": "popularity"}
    with process(file, elsewhere, force=True) as one:
        assert one.deployments()["ease"]["generation"] == 2  # the same run again is no change
    with process(file) as one:
        assert one.served() == {"ease": "popularity"}
        assert one.post("/v1/models", json={"run": str(elsewhere), "name": "other"}).status_code == 200
    with pytest.raises(ConfigError, match="a ranker was given for 'none'; there are ease, other"):
        build([], file, open_to_all=True, host="::1", limits=Limits(), device="cpu", rankers={"none": "exact"})


def test_a_run_trained_again_is_deployed_once_by_many_that_watch_it_and_also_while_none_does(file, tmp_path):
    folder = make_run(tmp_path / "shop", "ease")
    with process(file, folder) as one, process(file, folder) as two:
        make_run(folder, "popularity")
        watching = [threading.Thread(target=each.watcher.look) for each in (one, two)]
        for thread in watching:
            thread.start()
        for thread in watching:
            thread.join()
        until(lambda: one.served() == two.served() == {"shop": "popularity"})
        log = Changes(one.service.events.engine).of_model("shop")
        assert [(change.action, change.key) for change in log] == [("deploy", "command line"), ("deploy", "watch")]
    make_run(folder, "multvae")
    with process(file, folder) as again:
        assert again.served() == {"shop": "multvae"}
        assert again.deployments()["shop"]["generation"] == 3
    with process(file, folder) as again:
        assert again.deployments()["shop"]["generation"] == 3


def test_what_is_retired_is_not_brought_back_by_a_new_run_in_its_folder(file, tmp_path, runs):
    folder = make_run(tmp_path / "shop", "popularity")
    with process(file, runs["ease"], folder) as one:
        commands.retire(one.fleet, "shop", key="test")
        make_run(folder, "ease")
        one.watcher.look()
        assert one.served() == {"ease": "ease"}
    with process(file, runs["ease"], folder) as again:
        assert again.served() == {"ease": "ease"}
        commands.deploy(again.fleet, str(folder), key="test")
        assert again.served() == {"ease": "ease", "shop": "ease"}


@pytest.mark.long
def test_a_slow_run_holds_up_no_other_change(file, runs):
    with process(file, runs["ease"], runs["popularity"]) as one, process(file) as two:
        entered, leave, load = threading.Event(), threading.Event(), two.service.registry.load

        def slowly(folder, name):
            if name == "ease":
                entered.set()
                leave.wait(30)
            return load(folder, name)

        two.service.registry.load = slowly
        commands.deploy(one.fleet, str(runs["multvae"]), "ease", key="test")
        assert entered.wait(30)
        commands.deploy(one.fleet, str(runs["multvae"]), "popularity", key="test")
        commands.make_default(one.fleet, "popularity", key="test")
        until(lambda: two.served() == {"ease": "ease", "popularity": "multvae"})
        until(lambda: ask(two)["model"] == "popularity")
        commands.roll_back(
            one.fleet, "ease", key="test"
        )  # what is being loaded is not wanted any more when it is there
        leave.set()
        until(lambda: two.deployments() == one.deployments() and two.served()["ease"] == "ease")


def test_until_a_new_default_model_is_loaded_the_old_one_answers(file, runs):
    with process(file, runs["ease"]) as one, process(file) as two:
        entered, leave, load = threading.Event(), threading.Event(), two.service.registry.load

        def slowly(folder, name):
            entered.set()
            leave.wait(30)
            return load(folder, name)

        two.service.registry.load = slowly
        commands.deploy(one.fleet, str(runs["multvae"]), key="test", default=True)
        commands.split(one.fleet, {"multvae": 1.0}, key="test")
        commands.retire(one.fleet, "ease", key="test")
        assert one.served() == {"multvae": "multvae"}
        assert entered.wait(30)
        until(lambda: two.service.registry.shares == {"multvae": 1.0})
        assert ask(two)["model"] == ask(two, user="anna")["model"] == "ease"
        assert two.get("/readyz").status_code == 200
        leave.set()
        until(lambda: two.served() == {"multvae": "multvae"})
        assert ask(two)["model"] == ask(two, user="anna")["model"] == "multvae"


def deploy_at_once(url: str, runs: dict[str, Path], each: int) -> None:
    names = ("ease", "popularity", "multvae", "semantic")
    with process(url, runs["ease"]) as one, process(url) as two:
        errors = []

        def deploy(here: Process, first: int) -> None:
            try:
                for at in range(each):
                    commands.deploy(here.fleet, str(runs[names[(first + at) % 4]]), "ease", key="test")
            except Exception as error:
                errors.append(error)

        threads = [threading.Thread(target=deploy, args=(here, at)) for at, here in enumerate((one, two))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not errors
        log = Changes(one.service.events.engine).of_model("ease")
        assert [change.after["ease"]["generation"] for change in log] == list(range(1, len(log) + 1))
        wanted = log[-1].after["ease"]["digest"][:12]
        for here in (one, two):
            until(lambda here=here: here.deployments()["ease"]["serving"] == wanted)
            assert ask(here)["run"] == wanted


def test_deployments_through_two_processes_at_once_end_in_one_state(file, runs):
    deploy_at_once(file, runs, each=3)


@pytest.mark.long
def test_many_deployments_at_once_end_in_one_state_on_either_database(database, runs):
    deploy_at_once(database, runs, each=20)


def test_lists_drawn_at_random_are_those_of_any_process(file, runs):
    with process(file, runs["multvae"]) as one, process(file) as two:
        events = [{"user": "anna", "item": f"i{at}", "time": at} for at in (0, 2, 4)]
        assert one.post("/v1/events", json={"events": events}).status_code == 200
        drawn = set()
        for question in ({"history": ["i0", "i2"]}, {"user": "anna"}, {}):
            for explore in ("temperature", "thompson"):
                for seed in (1, 2):
                    asked = {**question, "explore": explore, "seed": seed, "temperature": 3.0, "k": 8, "draws": 10}
                    answers = [ask(each, **asked) for each in (one, two, two)]
                    for each in answers:
                        each.pop("list_id")  # a list is answered once
                    assert answers[0] == answers[1] == answers[2]
                    drawn.add(tuple(hit["item"] for hit in answers[0]["items"]))
        assert len(drawn) > 6  # of users and seeds that differ, other lists


def test_a_model_of_a_url_is_served_by_all_and_deployed_only_from_below_the_given_ones(
    file, tmp_path, runs, monkeypatch
):
    monkeypatch.setenv("FOLDIN_CACHE", str(tmp_path / "cache"))
    shutil.copytree(runs["ease"], tmp_path / "bucket" / "shop")
    shutil.copytree(runs["popularity"], tmp_path / "bucket" / "new")
    bucket = f"file://{tmp_path}/bucket"
    with process(file, f"{bucket}/shop") as one, process(file) as two:
        assert one.served() == two.served() == {"shop": "ease"}
        assert one.deployments()["shop"]["run"] == f"{bucket}/shop"
        shutil.rmtree(tmp_path / "bucket" / "shop")  # it is in the cache
        assert one.post("/v1/models", json={"run": f"{bucket}/new", "name": "shop"}).status_code == 200
        until(lambda: two.served() == {"shop": "popularity"})
        for outside in (f"{bucket}/../bucket/new", f"file://{tmp_path}/other", f"{bucket}new", "memory://new"):
            refused = one.post("/v1/models", json={"run": outside})
            assert refused.status_code == 422
            assert "not inside a folder that this service may read" in refused.json()["error"]
        missing = one.post("/v1/models", json={"run": f"{bucket}/none"})
        assert missing.status_code == 422
        assert "no run.json" in missing.json()["error"]
    with process(file) as again:
        assert again.served() == {"shop": "popularity"}
        assert again.post("/v1/models/shop:rollback").status_code == 200
        assert again.served() == {"shop": "ease"}


@pytest.mark.long
def test_while_the_database_is_away_the_models_serve_and_then_follow_it_again(server, runs):
    engine = connect(server.url)
    with process(server.url, runs["ease"]) as one:
        server.stop()
        try:
            until(lambda: one.get("/readyz").status_code == 503)
            assert ask(one, history=["i0"])["model"] == "ease"
            refused = one.post("/v1/models", json={"run": str(runs["popularity"]), "name": "ease"})
            assert refused.status_code == 503
            assert one.served() == {"ease": "ease"}
        finally:
            server.start()
        DeploymentStore(engine).deploy(
            "ease", RunRef(str(runs["popularity"]), read_info(runs["popularity"])["digest"]), key="test"
        )
        until(lambda: one.served() == {"ease": "popularity"})
    emptied(engine)
    engine.dispose()
