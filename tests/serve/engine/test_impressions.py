"""The log of lists in a process: what a request adds, what is written, what is dropped and counted, and what events say of it."""

import time

import numpy as np
import pytest
from fastapi.testclient import TestClient

from foldin.errors import ConfigError, EventStoreError
from foldin.serve import DeploymentStore, ListLogging, RunRef, make_app
from tests.serve.asking import ask, items
from tests.serve.logged import NEVER, Made


@pytest.fixture
def make(runs, tmp_path):
    made: list[Made] = []

    def one(**settings) -> Made:
        made.append(Made(runs, f"sqlite:///{tmp_path}/events.db", **settings))
        return made[-1]

    yield one
    for each in made:
        each.registry.close()
        each.events.engine.dispose()


@pytest.fixture
def served(make):
    """(the service, a client of it)."""
    found = make()
    with TestClient(make_app(found.service, None), base_url="http://localhost") as client:
        yield found, client


def test_every_answer_has_an_id_and_what_is_logged_is_the_answer(served):
    made, client = served
    plain = ask(client, user="ann", k=3, context={"page": "home"})
    drawn = ask(client, user="ann", k=4, explore="temperature", temperature=0.5, model="multvae")
    both = ask(client, path="/v1/recommendations:batch", requests=[{"user": "ann", "k": 1}, {"user": "bob"}])
    made.log.flush()
    first, second, third = made.store.of_user("ann")
    assert {one["list_id"] for one in (plain, drawn, *both["answers"])} >= {first.list_id, second.list_id}
    by_id = {one.list_id: one for one in (first, second, third)}
    found = by_id[plain["list_id"]]
    assert (found.model, found.run, found.items) == (plain["model"], plain["run"], items(plain))
    assert (found.ranker, found.context, found.propensities, found.history) == ("exact", {"page": "home"}, None, None)
    assert abs(found.time - time.time()) < 60
    found = by_id[drawn["list_id"]]
    assert (found.ranker, found.propensity_of, found.items) == ("temperature:0.5", "given_above", items(drawn))
    assert np.allclose(found.propensities, [hit["propensity"] for hit in drawn["items"]])
    assert found.history["items"] == []
    assert not found.restricted
    assert made.count("impressions", outcome="written") == 4.0


def test_estimated_propensities_are_logged_as_the_inverse_of_their_weights(served):
    made, client = served
    drawn = ask(client, user="ann", k=4, explore="thompson", draws=50, deny=["i1"])
    made.log.flush()
    (found,) = made.store.of_user("ann")
    assert (found.ranker, found.propensity_of, found.restricted) == ("thompson", "in_list", True)
    weights = [hit["inverse_propensity"] for hit in drawn["items"]]
    assert np.allclose(np.array(found.propensities) * weights, 1.0)


def test_a_split_s_lists_name_the_experiment_the_arm_and_its_share(served):
    made, client = served
    shares = {"multvae": 0.75, "ease": 0.25}
    answer = client.put("/v1/split", json={"shares": shares})
    assert answer.status_code == 200, answer.text
    users = [f"u{at}" for at in range(24)]
    answers = {user: ask(client, user=user, k=1) for user in users}
    ask(client, user="u0", k=1, model="ease")  # not chosen by the split
    ask(client, history=["i1"], k=1)  # nobody, whom no split assigns
    made.log.flush()
    for user in users:
        found = made.store.of_user(user)[0]
        assert (found.arm, found.model) == (answers[user]["model"],) * 2
        assert (found.share, found.split) == (shares[found.arm], answer.json()["revision"])
    assert {one["model"] for one in answers.values()} == set(shares)
    assert [one.split is None for one in made.store.of_user("u0")].count(True) == 1


def test_a_user_whose_arm_is_out_of_service_stays_in_it(make):
    made = make()
    made.registry.direct("multvae", {"gone": 1.0}, 3)
    routed = made.service.place(_request("ann"), made.service.history(_request("ann")))
    assert (routed.deployment.name, routed.arm.model, routed.by_split) == ("multvae", "gone", False)


def _request(user: str):
    from foldin.serve.schemas import RecommendRequest

    return RecommendRequest(user=user)


def test_of_a_share_of_the_users_all_lists_are_logged_and_of_the_others_none(make):
    made = make(share=0.4)
    users = [f"u{at}" for at in range(60)]
    for _ in range(2):
        made.service.recommend([_request(user) for user in users])
    made.log.flush()
    counts = [len(made.store.of_user(user)) for user in users]
    assert set(counts) == {0, 2}
    assert 10 < counts.count(2) < 40
    nothing = make(share=0.0)
    nothing.service.recommend([_request("u0")])
    assert nothing.log.waiting() == 0


def test_a_full_queue_drops_counts_and_does_not_wait(make):
    made = make(queued=3)
    for at in range(5):
        made.service.recommend([_request(f"u{at}")])
    assert made.log.waiting() == 3
    assert made.count("impressions", outcome="dropped") == 2.0
    made.log.flush()
    assert [len(made.store.of_user(f"u{at}")) for at in range(5)] == [1, 1, 1, 0, 0]


def test_while_the_database_is_away_lists_wait_and_are_written_once_it_is_back(make, monkeypatch):
    made = make()
    made.service.recommend([_request("ann"), _request("bob")])
    with monkeypatch.context() as away:
        away.setattr(made.store, "write", _away)
        for _ in range(2):
            with pytest.raises(EventStoreError):
                made.log.flush()
        assert made.log.waiting() == 2
    made.log.flush()
    made.log.flush()
    assert [len(made.store.of_user(user)) for user in ("ann", "bob")] == [1, 1]
    assert made.count("impressions", outcome="dropped") == 0.0


def test_what_waits_too_long_for_the_database_is_dropped_so_that_an_erasure_is_never_forgotten(make, monkeypatch):
    made = make()
    made.service.recommend([_request("ann")])
    monkeypatch.setattr(made.store, "write", _away)
    now = time.time()
    with pytest.raises(EventStoreError):
        made.log.flush()
    monkeypatch.setattr("foldin.serve.engine.impressions.time.time", lambda: now + 700)
    with pytest.raises(EventStoreError):
        made.log.flush()
    assert made.log.waiting() == 0
    assert made.count("impressions", outcome="dropped") == 1.0


def _away(_):
    raise EventStoreError("the event store cannot be used: away")


def test_the_thread_writes_what_waits_purges_what_is_old_and_writes_the_rest_at_the_end(runs, tmp_path):
    made = Made(runs, f"sqlite:///{tmp_path}/events.db", days=1.0)
    made.log.settings = ListLogging(days=1.0, seconds=0.01)
    made.service.recommend([_request("ann")])
    made.log.flush()
    with made.events.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE foldin_impressions SET time = time - 2 * 86400")
    made.log.start()
    made.service.recommend([_request("bob")])
    until = time.monotonic() + 20
    while (made.store.of_user("ann") or not made.store.of_user("bob")) and time.monotonic() < until:
        time.sleep(0.01)
    assert made.store.of_user("ann") == []
    assert len(made.store.of_user("bob")) == 1
    made.log.settings = ListLogging(seconds=NEVER)
    made.service.recommend([_request("bob")])
    made.log.stop()
    assert len(made.store.of_user("bob")) == 2
    made.registry.close()
    made.events.engine.dispose()


def test_events_name_lists_and_unknown_ones_are_stored_and_counted(served):
    made, client = served
    listed = ask(client, user="ann", k=2)["list_id"]
    made.log.flush()
    events = [
        {"user": "ann", "item": "i1", "time": 1_600_000_000, "list_id": listed},
        {"user": "ann", "item": "i2", "time": 1_600_000_001, "list_id": "never-given"},
        {"user": "ann", "item": "i3", "time": 1_600_000_002},
    ]
    assert client.post("/v1/events", json={"events": events}).json()["accepted"] == 3
    text = f"user,item,time,list_id\nann,i4,1600000003,{listed}\nann,i5,1600000004,\n"
    assert client.post("/v1/events", content=text, headers={"content-type": "text/csv"}).json()["accepted"] == 2
    assert made.count("listed_events", list="known") == 2.0
    assert made.count("listed_events", list="unknown") == 1.0
    stored = client.get("/v1/users/ann").json()
    assert [one["list_id"] for one in stored["events"]] == [listed, "never-given", None, listed, None]
    assert [one["list_id"] for one in stored["lists"]] == [listed]
    client.delete("/v1/users/ann")
    assert client.get("/v1/users/ann").json() == {"user": "ann", "events": [], "lists": []}


@pytest.mark.parametrize(
    ("context", "said"),
    [
        ({"page": "x" * 1001}, "at most 1000 bytes of JSON, not 1012"),
        ({"page": "a\0b"}, "NUL"),
        (["page"], "an object was expected, not a list"),
    ],
)
def test_a_context_that_cannot_be_kept_is_refused(served, context, said):
    assert said in ask(served[1], status=422, context=context)["error"]


@pytest.mark.parametrize("wrong", [{"share": 1.5}, {"share": -0.1}, {"days": 0.0}])
def test_settings_outside_their_range_are_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        ListLogging(**wrong)


def test_the_state_knows_which_change_made_the_split(store):
    rows = DeploymentStore(store.engine)
    for name in ("one", "two"):
        rows.deploy(name, RunRef(f"/runs/{name}", name), key="anna")
    assert rows.state().split is None
    assert rows.split({"one": 0.5, "two": 0.5}, key="anna").split == 3
    assert rows.deploy("one", RunRef("/runs/three", "three"), key="anna").split == 3
    assert (rows.state().revision, rows.state().split) == (4, 3)
