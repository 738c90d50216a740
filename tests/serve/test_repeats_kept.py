"""Of a run that keeps repeats, items of the history are listed by every way in, unless a request says otherwise."""

import json

import polars as pl
import pytest
from fastapi.testclient import TestClient

import foldin
from foldin import client
from foldin.cli import main
from foldin.client.requests import encoded
from foldin.data import SimulatedRepeats
from foldin.serve import Event, EventStore, Limits, Registry, Service, Telemetry, connect, make_app
from foldin.serve.schemas import RecommendRequest
from tests.lists import recommend

TAKEN = ["i0", "i3", "i0", "i2", "i0", "i3"]
ROWS = [{"user": "p", "item": item, "time": 1_600_000_000 + at} for at, item in enumerate(TAKEN)]


def call(capsys, *arguments) -> str:
    with pytest.raises(SystemExit) as stop:
        main([str(one) for one in arguments])
    assert not stop.value.code
    return capsys.readouterr().out


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Runs of one log, with its repeats and without, trained on the command line."""
    root = tmp_path_factory.mktemp("repeats")
    SimulatedRepeats.random(40, concentration=1.0, seed=1).table(60, 12, seed=2).write_csv(root / "log.csv")
    for repeats in ("keep", "first"):
        fit = ("fit", root / "log.csv", "--model", "personal", "--repeats", repeats, "--protocol", "last-out")
        with pytest.raises(SystemExit) as stop:
            main([str(one) for one in (*fit, "--device", "cpu", "--out", root / repeats)])
        assert not stop.value.code
    return root


@pytest.fixture
def service(folder, tmp_path):
    registry, engine = Registry(), connect(f"sqlite:///{tmp_path}/events.db")
    for name in ("keep", "first"):
        registry.deploy(folder / name)
    yield Service(registry, EventStore(engine), Limits(), Telemetry())
    registry.close()
    engine.dispose()


def test_python_the_command_line_files_and_http_list_the_same(folder, service, capsys, tmp_path):
    run = foldin.load(folder / "keep")
    users = pl.DataFrame(ROWS)
    history = foldin.Histories.from_lists([run.catalog.indices(TAKEN)], len(run.catalog))
    expected = [run.catalog.ids[at] for at in recommend(run.model, history, 5, exclude_seen=False).items[0]]
    assert set(TAKEN) <= set(expected)
    assert run.recommend(users, k=5)["item"].to_list() == expected
    assert not set(TAKEN) & set(run.recommend(users, k=5, exclude_seen=True)["item"])

    told = ("recommend", folder / "keep", "--history", ",".join(TAKEN), "-k", "5", "--json")
    assert [one["item"] for one in json.loads(call(capsys, *told))["items"]] == expected
    without = json.loads(call(capsys, *told, "--exclude-seen"))["items"]
    assert not set(TAKEN) & {one["item"] for one in without}
    users.write_csv(tmp_path / "users.csv")
    call(
        capsys, "recommend", folder / "keep", "--users", tmp_path / "users.csv", "--out", tmp_path / "o.csv", "-k", "5"
    )
    assert pl.read_csv(tmp_path / "o.csv")["item"].to_list() == expected

    with TestClient(make_app(service, None), base_url="http://localhost") as http:
        assert http.post("/v1/events", json={"events": ROWS}).json()["accepted"] == len(ROWS)
        for asked in ({"history": TAKEN}, {"user": "p"}):
            answer = http.post("/v1/recommendations", json={**asked, "k": 5, "model": "keep"}).json()
            assert [hit["item"] for hit in answer["items"]] == expected
            assert answer["known_events"] == len(TAKEN)
            narrow = {**asked, "k": 5, "model": "keep", "exclude_seen": True}
            (answer,) = http.post("/v1/recommendations:batch", json={"requests": [narrow]}).json()["answers"]
            assert not set(TAKEN) & {hit["item"] for hit in answer["items"]}
        assert {one["name"]: one["repeats"] for one in http.get("/v1/models").json()["models"]} == {
            "keep": "keep",
            "first": "first",
        }


def test_a_run_without_repeats_is_as_before(folder, service, capsys):
    run = foldin.load(folder / "first")
    assert not set(TAKEN) & set(run.recommend(pl.DataFrame(ROWS), k=5)["item"])
    history = ("recommend", folder / "first", "--history", ",".join(TAKEN), "-k", "5", "--json")
    assert not set(TAKEN) & {one["item"] for one in json.loads(call(capsys, *history))["items"]}
    assert set(TAKEN) & {one["item"] for one in json.loads(call(capsys, *history, "--keep-seen"))["items"]}
    (answer,) = service.recommend([RecommendRequest(history=TAKEN, k=5, model="first")])
    assert not set(TAKEN) & {hit["item"] for hit in answer["items"]}


def test_all_newest_events_of_a_long_history_are_read(service):
    object.__setattr__(service.limits, "history", 4)
    service.events.append([Event("p", item, at) for at, item in enumerate(["i5", *TAKEN])])
    (answer,) = service.recommend([RecommendRequest(user="p", k=12, model="keep")])
    assert answer["known_events"] == 4
    (same,) = service.recommend([RecommendRequest(history=TAKEN[-4:], k=12, model="keep")])
    assert [hit["item"] for hit in answer["items"]] == [hit["item"] for hit in same["items"]]
    (without,) = service.recommend([RecommendRequest(user="p", k=12, model="keep", exclude_seen=True)])
    assert not {"i5", *TAKEN} & {hit["item"] for hit in without["items"]}


def test_the_client_sends_what_differs_from_the_models_own_rule():
    assert json.loads(encoded(client.RecommendRequest("p"))) == {"user": "p"}
    for wanted in (True, False):
        sent = json.loads(encoded(client.RecommendRequest("p", exclude_seen=wanted)))
        assert sent == {"user": "p", "exclude_seen": wanted}


def test_evaluation_splits_the_targets(folder, capsys):
    found = json.loads(call(capsys, "evaluate", folder / "keep", "--json"))
    repeats = found["models"]["personal"]["repeats"]
    assert 0.3 < repeats["target_share"] < 1.0
    assert {"repeated", "new", "listed_share"} <= repeats.keys()
    assert "repeats" not in json.loads(call(capsys, "evaluate", folder / "first", "--json"))["models"]["personal"]
    assert "share of repeats among the targets" in call(capsys, "evaluate", folder / "keep")
