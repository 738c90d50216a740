"""Lists for all users over HTTP, in place of a model that knows nothing or cannot answer; and new items in lists."""

import time

import pytest
from fastapi.testclient import TestClient

from foldin.client import ItemList, Recommendations
from foldin.client.decoding import decode
from foldin.errors import OverloadedError
from foldin.serve import Event, EventStore, Limits, ListLogging, Registry, Service, Telemetry, connect, make_app
from foldin.serve.engine.impressions import ImpressionLog
from foldin.serve.engine.item_lists import ItemLists
from foldin.serve.storage.impressions import ImpressionStore
from foldin.serve.storage.item_lists import ItemListStore
from foldin.serve.storage.items import ItemChange
from tests.serve.asking import ask, items

DAY = 86_400


@pytest.fixture
def lists(service):
    """Popular i7, then i3, then an unknown item; i3 is trending."""
    now = int(time.time())
    rows = [("i7", 6, 5 * DAY), ("i3", 4, 60), ("unheard", 2, 5 * DAY), ("i9", 1, 5 * DAY)]
    service.events.append([Event(f"s{at}", item, now - ago) for item, number, ago in rows for at in range(number)])
    service.items.put([ItemChange(item="n1", title="First new", features={"kind": "odd"})])
    made = ItemLists(ItemListStore(service.events.engine))
    made.look()
    service.lists.look()
    return made


def test_the_lists_are_read(client, service, lists):
    popular = client.get("/v1/lists/popular").json()
    assert popular["time"] == service.lists.time
    assert [(one["item"], one["score"]) for one in popular["items"]] == [
        ("i7", 6.0),
        ("i3", 4.0),
        ("unheard", 2.0),
        ("i9", 1.0),
    ]
    assert popular["items"][0]["title"] == "Film 7, the odd one"
    (trend,) = client.get("/v1/lists/trending").json()["items"]
    assert (trend["item"], trend["score"]) == ("i3", pytest.approx(14 / 10))
    assert [one["title"] for one in client.get("/v1/lists/recent").json()["items"]] == ["First new"]
    service.items.put([ItemChange(item="i7", is_active=False)])
    assert [one["item"] for one in client.get("/v1/lists/popular?limit=2").json()["items"]] == ["i3", "unheard"]
    assert client.get("/v1/lists/best").status_code == 422


def test_an_unknown_user_gets_the_list_that_the_request_names(client, lists):
    found = ask(client, user="stranger", fallback="popular")
    assert (found["source"], found["model"], found["prior"]) == ("popular", "multvae", False)
    assert items(found) == ["i7", "i3", "i9"]  # what no catalog has and nobody sent is left out
    assert {hit["source"] for hit in found["items"]} == {"popular"}
    assert items(ask(client, fallback="recent", history=["nothing known"])) == ["n1"]
    assert items(ask(client, fallback="popular", filter={"kind": {"any_of": ["odd"]}}, deny=["i7"])) == ["i3", "i9"]
    assert items(ask(client, fallback="recent", filter={"kind": {"any_of": ["odd"]}})) == ["n1"]
    assert items(ask(client, fallback="popular", k=1)) == ["i7"]
    plain = ask(client)
    for request in ({"filter": {"kind": {"any_of": ["even"]}}}, {"allow": ["i1"]}):  # an empty one is the model's
        assert ask(client, fallback="recent", **request)["source"] == "model"
    assert (plain["source"], plain["items"][0]["source"]) == ("model", "model")
    assert "filter" in ask(client, 422, fallback="popular", filter={"none": {"low": 1}})["error"]


def test_a_list_that_does_not_answer_says_why(client, service):
    found = ask(client, user="stranger", fallback="popular")
    assert (found["source"], found["prior"]) == ("model", True)
    assert found["fallback_note"] == "the list 'popular' did not answer: it is not computed yet"
    told = client.get("/v1/lists/popular").json()
    assert (told["time"], told["items"], told["note"]) == (None, [], "it is not computed yet")
    ItemLists(ItemListStore(service.events.engine)).look()
    service.lists.look()
    for name, why in (
        ("popular", "no item was taken in the last 30 days"),
        ("trending", "no item was taken on the last day"),
        ("recent", "no item was sent"),
    ):
        assert client.get(f"/v1/lists/{name}").json()["note"] == why
        assert ask(client, fallback=name)["fallback_note"] == f"the list {name!r} did not answer: {why}"
    batch = ask(client, path="/v1/recommendations:batch", requests=[{"fallback": "recent"}, {"history": ["i0"]}, {}])
    assert [bool(one["fallback_note"]) for one in batch["answers"]] == [True, False, False]
    assert ask(client, history=["i0"], fallback="recent")["fallback_note"] is None


def test_a_list_that_has_no_item_for_the_request_says_so(client, service, lists):
    assert ask(client, user="stranger", fallback="popular")["fallback_note"] is None
    found = ask(client, user="stranger", fallback="popular", allow=["i1"])
    assert found["fallback_note"] == "the list 'popular' did not answer: it has no item that the request admits"
    assert client.get("/v1/lists/recent").json()["note"] is None
    service.items.put([ItemChange(item="n1", is_active=False)])
    assert client.get("/v1/lists/recent").json()["note"] == "all of its items are retired"


def test_the_client_reads_why(client):
    answer = decode(Recommendations, ask(client, user="stranger", fallback="popular"))
    assert answer.fallback_note == "the list 'popular' did not answer: it is not computed yet"
    assert decode(ItemList, client.get("/v1/lists/recent").json()).note == "it is not computed yet"


def test_a_known_user_gets_the_model_s_list(client, lists):
    assert ask(client, history=["i0"], fallback="popular")["source"] == "model"
    answers = ask(client, path="/v1/recommendations:batch", requests=[{"fallback": "popular"}, {"history": ["i0"]}])
    assert [one["source"] for one in answers["answers"]] == ["popular", "model"]


def test_a_full_queue_is_answered_by_the_list(client, service, lists, monkeypatch):
    def full(*_):
        raise OverloadedError("too many requests wait")

    for one in service.registry.all():
        monkeypatch.setattr(one, "ask", full)
    found = ask(client, history=["i7"], fallback="popular")
    assert (found["source"], items(found), found["known_events"]) == ("popular", ["i3", "i9"], 1)
    assert ask(client, 503, history=["i7"])["error"]
    refused = ask(client, 503, history=["i7"], fallback="popular", deny=["i3", "i9"])["error"]
    assert (
        refused == "too many requests wait; the list 'popular' did not answer: it has no item that the request admits"
    )


@pytest.fixture
def empty(tmp_path):
    """A service without a model, with a log of its lists."""
    store, told = EventStore(connect(f"sqlite:///{tmp_path}/events.db")), Telemetry()
    log = ImpressionLog(ImpressionStore(store.engine), told, ListLogging(seconds=1000))
    made = ItemLists(ItemListStore(store.engine))
    yield Service(Registry(), store, Limits(), told, log, lists=made)
    store.engine.dispose()


def test_a_service_without_a_model_answers_from_the_list_and_logs_it(empty):
    now = int(time.time()) - 60
    empty.events.append([Event(f"u{at}", item, now) for item, number in (("a", 3), ("b", 2)) for at in range(number)])
    empty.items.put([ItemChange(item="b", title="Bee"), ItemChange(item="c")])
    empty.lists.look()
    with TestClient(make_app(empty, None), base_url="http://localhost") as client:
        found = ask(client, user="ann", fallback="popular")
        assert [(hit["item"], hit["title"]) for hit in found["items"]] == [("a", "a"), ("b", "Bee")]
        assert (found["model"], found["run"], found["source"]) == (None, None, "popular")
        assert items(ask(client, user="u2", fallback="popular")) == ["b"]
        assert items(ask(client, allow=["b", "c"], fallback="recent")) == ["b", "c"]
        batch = ask(client, path="/v1/recommendations:batch", requests=[{"fallback": "popular"}])
        assert items(batch["answers"][0]) == ["a", "b"]
        for refused, why in (
            ({}, ""),
            (
                {"fallback": "popular", "filter": {"kind": {"low": 1}}},
                "there is no catalog to evaluate a filter or rules on",
            ),
            ({"fallback": "trending", "deny": ["a", "b"]}, "it has no item that the request admits"),
        ):
            said = ask(client, 422, **refused)["error"]
            assert "none is in service" in said
            assert said.endswith(why)
            assert ("did not answer" in said) == bool(why)
        empty.impressions.flush()
        (logged,) = empty.impressions.store.of_user("ann")
        assert (logged.model, logged.ranker, logged.items) == ("", "fallback:popular", ["a", "b"])


def test_new_items_take_their_share_of_the_places(client, service):
    service.items.put([ItemChange(item=f"n{at}", title=f"New {at}", features={"year": 2000}) for at in range(30)])
    assert {hit["source"] for hit in ask(client, k=20)["items"]} == {"model"}
    service.explore_new = 0.5
    found = ask(client, history=["i0", "n3"], k=20, seed=1)
    by_source = {source: [hit for hit in found["items"] if hit["source"] == source] for source in ("model", "new")}
    assert 4 <= len(by_source["new"]) <= 16
    assert "n3" not in items(found)
    assert {hit["propensity"] for hit in by_source["model"]} == {0.5}
    assert [hit["propensity"] for hit in by_source["new"]] == pytest.approx(
        [0.5 / left for left in range(29, 29 - len(by_source["new"]), -1)]
    )
    assert [hit["rank"] for hit in found["items"]] == list(range(1, 21))
    assert items(ask(client, history=["i0", "n3"], k=20, seed=1)) == items(found)
    drawn = ask(client, history=["i0"], k=10, seed=2, explore="temperature")
    alone = [hit for hit in drawn["items"] if hit["source"] == "model"]
    service.explore_new = 0.0
    plain = ask(client, history=["i0"], k=10, seed=2, explore="temperature")["items"][: len(alone)]
    assert [hit["item"] for hit in alone] == [hit["item"] for hit in plain]
    assert [hit["propensity"] for hit in alone] == pytest.approx([0.5 * hit["propensity"] for hit in plain])
    service.explore_new = 1.0
    for certain in ({"explore": "thompson", "draws": 20}, {"rules": {"caps": [{"feature": "kind", "most": 3}]}}):
        assert {hit["source"] for hit in ask(client, k=5, **certain)["items"]} == {"model"}
    assert {hit["source"] for hit in ask(client, k=20, filter={"year": {"high": 1985}})["items"]} == {"model"}


def test_lists_with_new_items_are_logged_with_their_propensities(client, service):
    service.items.put([ItemChange(item=f"n{at}") for at in range(9)])
    service.explore_new = 0.5
    log = service.impressions = ImpressionLog(ImpressionStore(service.events.engine), service.telemetry)
    sent = [ask(client, user="ann", k=6, seed=4), ask(client, user="ann", k=6, seed=4, explore="temperature")]
    log.flush()
    logged = {one.list_id: one for one in log.store.of_user("ann")}
    for answer, ranker, of in zip(sent, ("exact", "temperature:1"), ("new_items", "given_above"), strict=True):
        one = logged[answer["list_id"]]
        assert (one.ranker, one.propensity_of, one.items) == (f"{ranker}+new:0.5", of, items(answer))
        assert one.propensities == [hit["propensity"] for hit in answer["items"]]
        assert one.history == {"items": [], "times": None} or one.history["times"] == []
