"""One history gives one list: on the command line, from a file, over HTTP as a history, and from the events that are kept."""

import json

import numpy as np
import polars as pl
import pytest
from fastapi.testclient import TestClient

from foldin.cli import main
from foldin.data import Histories
from foldin.ranking import scores
from foldin.runs import load_run
from foldin.serve import EventStore, Limits, Registry, Service, Telemetry, connect, make_app
from tests.conftest import make_log
from tests.lists import recommend

START = 1_600_000_000
TAKEN = ["i07", "i11", "i03", "i07", "i05", "i11"]


def call(*arguments) -> int:
    with pytest.raises(SystemExit) as stop:
        main([str(one) for one in arguments])
    return int(stop.value.code or 0)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Runs of a model that looks at the order and one that looks at times, under both rules for repeats."""
    root, log = tmp_path_factory.mktemp("ways"), make_log()
    frame = pl.DataFrame(
        {
            "user": log.users.gather(log.histories.users()),
            "item": log.items["item"].gather(log.histories.items.astype("int64")),
            "timestamp": log.histories.times,
        }
    )
    frame.write_csv(root / "log.csv")
    quick = [
        *("--model", "sasrec", "--set", "embedding_dim=8", "--set", "dropout=0", "--set", "learning_rate=0.02"),
        "--epochs",
        "3",
    ]
    for rule in ("first", "last"):
        assert call("fit", root / "log.csv", *quick, "--repeats", rule, "--out", root / rule, "--device", "cpu") == 0
    timed = [*quick, "--set", "timed=true", "--out", root / "timed", "--device", "cpu"]
    assert call("fit", root / "log.csv", *timed) == 0
    return root


@pytest.fixture
def client(runs, tmp_path):
    registry = Registry()
    for name in ("first", "last", "timed"):
        registry.deploy(runs / name)
    engine = connect(f"sqlite:///{tmp_path}/events.db")
    service = Service(registry, EventStore(engine), Limits(), Telemetry())
    with TestClient(make_app(service, None), base_url="http://localhost", raise_server_exceptions=False) as found:
        yield found
    registry.close()
    engine.dispose()


def lists(content) -> list[tuple[str, float]]:
    return [(hit["item"], hit["probability"]) for hit in content["items"]]


def over_http(client, **question) -> list[tuple[str, float]]:
    answer = client.post("/v1/recommendations", json={"k": 6, **question})
    assert answer.status_code == 200, answer.json()
    return lists(answer.json())


def near(one, other) -> bool:
    return [item for item, _ in one] == [item for item, _ in other] and np.allclose(
        [p for _, p in one], [p for _, p in other], rtol=1e-4
    )


@pytest.mark.parametrize(
    ("name", "read"), [("first", [7, 11, 3, 5]), ("last", [3, 7, 5, 11]), ("timed", [7, 11, 3, 5])]
)
def test_one_history_with_repeats_gives_one_list_whatever_the_way_in(client, runs, capsys, tmp_path, name, read):
    capsys.readouterr()
    assert call("recommend", runs / name, "--history", ",".join(TAKEN), "-k", "6", "--json", "--device", "cpu") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["history"] == [f"i{at:02}" for at in read]
    shown = lists(told)
    assert near(shown, over_http(client, history=TAKEN, model=name))
    assert near(shown, over_http(client, history=["none", *TAKEN], model=name))
    run = load_run(runs / name)
    places = {one: at for at, one in enumerate(run.catalog.ids)}
    exact = recommend(run.model, Histories.from_lists([[places[f"i{at:02}"] for at in read]], len(places)), 6)
    assert [item for item, _ in shown] == [run.catalog.ids[at] for at in exact.items[0]]
    times = [START + at for at in range(len(TAKEN))]
    events = [{"user": "p", "item": item, "time": time} for item, time in zip(TAKEN, times, strict=True)]
    assert client.post("/v1/events", json={"events": events[::-1]}).json()["accepted"] == len(TAKEN)
    kept = over_http(client, user="p", model=name)
    assert near(kept, over_http(client, history=TAKEN, times=times, model=name))
    (tmp_path / "users.csv").write_text(
        "user,item,timestamp\n" + "".join(f"p,{one['item']},{one['time']}\n" for one in events)
    )
    target = tmp_path / "lists.ndjson"
    more = ("--users", tmp_path / "users.csv", "--out", target, "-k", "6", "--device", "cpu")
    assert call("recommend", runs / name, *more) == 0
    rows = pl.read_ndjson(target)
    assert near(kept, list(zip(rows["item"].to_list(), rows["probability"].to_list(), strict=True)))
    assert near(kept, shown) == (name != "timed")


def test_the_two_rules_give_two_lists(client):
    assert not near(over_http(client, history=TAKEN, model="first"), over_http(client, history=TAKEN, model="last"))
    told = {one["name"]: one["repeats"] for one in client.get("/v1/models").json()["models"]}
    assert told == {"first": "first", "last": "last", "timed": "first"}


def test_a_model_that_looks_at_times_reads_those_that_are_kept(client):
    items = ["i03", "i05", "i07"]
    close = over_http(client, history=items, times=[START, START + 1, START + 2], model="timed")
    apart = over_http(client, history=items, times=[START, START + 10**5, START + 10**7], model="timed")
    assert not near(close, apart)
    # Without times a history is of one moment; requests with and without times do not disturb each other in one batch.
    at_once = over_http(client, history=items, times=[START] * 3, model="timed")
    assert near(at_once, over_http(client, history=items, model="timed"))
    asked = [{"history": items, "model": "timed", "k": 6}, {"history": [], "model": "timed", "k": 6}]
    asked += [{**asked[0], "times": [START, START + 10**5, START + 10**7]}] * 2
    answers = client.post("/v1/recommendations:batch", json={"requests": asked}).json()["answers"]
    assert near(lists(answers[0]), at_once)
    assert near(lists(answers[2]), apart)
    assert near(lists(answers[3]), apart)


def test_reasons_of_a_model_that_looks_at_times_keep_the_times_of_the_others(client, runs):
    items, times = ["i03", "i05", "i07"], [START, START + 10**5, START + 10**7]
    answer = client.post(
        "/v1/recommendations", json={"history": items, "times": times, "model": "timed", "k": 1, "attributions": True}
    ).json()
    (hit,) = answer["items"]
    run = load_run(runs / "timed")
    at = {one: place for place, one in enumerate(run.catalog.ids)}

    def score(kept: list[int]) -> float:
        users = Histories(
            items=np.array([at[items[one]] for one in kept], np.int32),
            offsets=np.array([0, len(kept)]),
            n_items=len(at),
            times=np.array([times[one] for one in kept]),
        )
        return float(scores(run.model, users)[0, at[hit["item"]]])

    changes = {items[one]: score([0, 1, 2]) - score([two for two in range(3) if two != one]) for one in range(3)}
    for said, sign in (("raised_by", 1), ("lowered_by", -1)):
        wanted = {item: change for item, change in changes.items() if sign * change > 0}
        assert {one["item"]: one["change"] for one in hit[said]} == pytest.approx(wanted, abs=1e-4)
    assert answer["effect_unit"] == "nats"


def test_events_of_several_kinds_give_one_list_from_a_file_and_from_the_store(runs, tmp_path):
    kinds = ("view", "buy")
    frame = pl.read_csv(runs / "log.csv")
    frame = pl.concat([frame.with_columns(pl.lit(kind).alias("event")) for kind in kinds]).sort("user", "timestamp")
    frame.write_csv(tmp_path / "log.csv")
    more = ("--set", "embedding_dim=8", "--set", "dropout=0", "--set", "learning_rate=0.02", "--epochs", "3")
    fit = ("fit", tmp_path / "log.csv", "--model", "sasrec", *more, "--repeats", "first-of-kind", "--device", "cpu")
    assert call(*fit, "--out", tmp_path / "kinds") == 0
    asked = [(item, kinds[at % 3 == 2], START + at) for at, item in enumerate([*TAKEN, *TAKEN])]
    rows = "".join(f"p,{item},{kind},{time}\n" for item, kind, time in asked)
    (tmp_path / "users.csv").write_text(f"user,item,event,timestamp\n{rows}")
    target = tmp_path / "lists.ndjson"
    assert call("recommend", tmp_path / "kinds", "--users", tmp_path / "users.csv", "--out", target, "-k", "6") == 0
    table = pl.read_ndjson(target)
    from_file = list(zip(table["item"].to_list(), table["probability"].to_list(), strict=True))

    registry, engine = Registry(), connect(f"sqlite:///{tmp_path}/events.db")
    registry.deploy(tmp_path / "kinds")
    with TestClient(make_app(Service(registry, EventStore(engine), Limits(), Telemetry()), None)) as client:
        client.base_url = "http://localhost"
        events = [{"user": "p", "item": item, "kind": kind, "time": time} for item, kind, time in asked]
        assert client.post("/v1/events", json={"events": events}).json()["accepted"] == len(asked)
        kept = over_http(client, user="p")
        once = over_http(client, history=TAKEN)
    registry.close()
    engine.dispose()
    assert near(kept, from_file)
    assert not near(kept, once)  # the purchases are read beside the views
