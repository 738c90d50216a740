"""The lists under rules, and their price, are the same in Python, on the command line, from a file and over HTTP."""

import json

import polars as pl
import pytest
from fastapi.testclient import TestClient

from foldin.cli import main
from foldin.data import Histories
from foldin.errors import ConfigError
from foldin.ranking import Ruled, WithSpread, rank, resolve_rules, rules_of
from foldin.runs import load_run
from foldin.serve import EventStore, Limits, Registry, Service, Telemetry, connect, make_app
from tests.serve.conftest import make_run

HISTORY = ["i4", "i7", "i2"]
RULES = {
    "boosts": [{"where": {"kind": {"any_of": ["odd"]}}, "log_weight": 1.5}],
    "freshness": {"feature": "year", "half_life": 5, "log_weight": 1},
    "diversity": {"method": "dpp", "theta": 0.6},
    "caps": [{"feature": "kind", "most": 3}],
    "pins": [{"item": "i4", "position": 2, "forced": True}, {"item": "i2", "position": 1}],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("ruled") / "films", "multvae")


@pytest.fixture(scope="module")
def client(folder, tmp_path_factory):
    registry, engine = Registry(), connect(f"sqlite:///{tmp_path_factory.mktemp('events')}/events.db")
    registry.deploy(folder)
    with TestClient(make_app(Service(registry, EventStore(engine), Limits(), Telemetry()), None)) as found:
        found.base_url = "http://localhost"
        yield found
    registry.close()
    engine.dispose()


def command(*arguments) -> None:
    with pytest.raises(SystemExit) as stop:
        main([str(one) for one in arguments])
    assert not stop.value.code


def test_one_list_whatever_the_way_in(folder, client, capsys, tmp_path):
    run = load_run(folder)
    rules = rules_of(RULES, "rules")
    history = Histories.from_lists([run.catalog.indices(HISTORY)], 20)
    found = rank(run.model, history, 5, ranker=Ruled(resolve_rules(rules, run.catalog)))
    items = [run.catalog.ids[at] for at in found.items[0]]
    assert items[1] == "i4"
    assert items[0] != "i2"  # it was taken, and is not forced
    assert max(sum(int(one[1:]) % 2 == parity for one in items) for parity in (0, 1)) == 3
    price = {"unit": "nats", "given_up": float(found.price.total[0]), "places": 5}
    parts = dict(found.price.parts(0))
    assert list(parts) == ["boost 1", "freshness", "diversity", "cap kind", "pins"]

    def same(shown):
        assert [one["item"] for one in shown["items"]] == items
        said = shown["price"]
        assert {name: said[name] for name in price} == pytest.approx(price, abs=1e-4)
        assert {one["rule"]: one["given_up"] for one in said["rules"]} == pytest.approx(parts, abs=1e-4)

    capsys.readouterr()
    how = ("--rules", json.dumps(RULES), "-k", 5, "--device", "cpu")
    command("recommend", folder, "--history", ",".join(HISTORY), *how, "--json")
    same(json.loads(capsys.readouterr().out))
    command("recommend", folder, "--history", ",".join(HISTORY), *how)
    assert f"given up to the rules: {price['given_up']:.3f} nats (boost 1 " in capsys.readouterr().out
    asked = {"history": HISTORY, "k": 5, "rules": RULES}
    same(client.post("/v1/recommendations", json=asked).json())
    same(client.post("/v1/recommendations:batch", json={"requests": [{"k": 2}, asked]}).json()["answers"][1])
    assert client.post("/v1/recommendations", json={"k": 2}).json()["price"] is None

    events = pl.DataFrame({"user": ["u"] * 3, "item": HISTORY, "timestamp": [1, 2, 3]})
    events.write_csv(tmp_path / "users.csv")
    command("recommend", folder, "--users", tmp_path / "users.csv", "--out", tmp_path / "lists.ndjson", *how)
    for table in (pl.read_ndjson(tmp_path / "lists.ndjson"), run.recommend(events, k=5, rules=rules)):
        assert table["item"].to_list() == items
        assert table["given_up_nats"].to_list() == pytest.approx([price["given_up"]] * 5, abs=1e-4)
        assert table["given_up_nats: pins"][0] == pytest.approx(parts["pins"], abs=1e-4)


def test_exploration_and_uncertainty_under_rules(client):
    rules = {
        "caps": [{"feature": "kind", "most": 2}],
        "pins": [{"item": "i19", "position": 1}, {"item": "no", "position": 3}],
    }
    ask = lambda **more: client.post("/v1/recommendations", json={"history": ["i0"], "k": 4, "rules": rules, **more})
    for how in ({"explore": "temperature", "seed": 1}, {"explore": "thompson", "draws": 20, "seed": 1}):
        shown = ask(**how).json()
        assert shown["items"][0]["item"] == "i19"
        assert shown["items"][0]["propensity"] == 1.0
        assert shown["unknown_items"] == ["no"]
        assert shown["price"]["rules"][0]["rule"] == "cap kind"
    assert ask(uncertainty=True, draws=20).json()["items"][0]["sd"] > 0.0
    for wrong, said in (
        ({"caps": [{"feature": "none", "most": 2}]}, "rules: cap: no feature 'none'"),
        ({"caps": [{"feature": "kind", "most": 0}]}, "most"),
        ({"pins": [{"item": "i3", "position": 9}]}, "rules: pins: no position 9 in a list of at most 4 items"),
        ({"cap": []}, "cap"),
    ):
        answer = ask(rules=wrong)
        assert answer.status_code == 422
        assert said in answer.json()["error"]
    refused = ask(explore="temperature", rules={"diversity": {"method": "mmr", "theta": 0.5}})
    assert "diversity cannot be combined with drawing by temperature" in refused.json()["error"]


def test_rules_in_python_are_checked(folder):
    run = load_run(folder)
    with pytest.raises(ConfigError, match="wrong: no rule 'caps of'"):
        run.recommend(None, rules=rules_of({"caps of": 1}, "wrong"))
    spread = Ruled(resolve_rules(rules_of(RULES, "rules"), run.catalog), WithSpread(draws=3))
    assert rank(run.model, Histories.empty(1, 20), 3, ranker=spread).spread.draws == 3
