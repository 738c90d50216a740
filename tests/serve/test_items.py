"""Items over HTTP: inserted, changed and retired while models serve, in every process."""

import time

from fastapi.testclient import TestClient

from foldin.serve import Limits, Registry, Service, Telemetry, make_app
from foldin.serve.storage.items import ItemChange
from tests.serve.asking import ask, items

FILTER = {"kind": {"any_of": ["strange"]}}


def found(client, q: str, **parameters) -> list[str]:
    return [one["item"] for one in client.get("/v1/items", params={"q": q, **parameters}).json()["items"]]


def test_a_title_and_features_are_changed_in_answers_filters_rules_and_search(client):
    assert found(client, "ghost") == []
    put = client.put("/v1/items/i3", json={"title": "The Ghost", "features": {"kind": "strange"}}).json()
    assert (put["title"], put["features"], put["is_active"]) == ("The Ghost", {"kind": "strange", "year": 1983}, True)
    assert put["models"] == ["ease", "multvae", "popularity", "semantic"]
    for model in ("multvae", "ease"):
        (hit,) = ask(client, model=model, filter=FILTER)["items"]
        assert (hit["item"], hit["title"]) == ("i3", "The Ghost")
    assert found(client, "ghost") == ["i3"]
    assert found(client, "film 3") != ["i3"]
    boosted = ask(client, k=3, rules={"boosts": [{"where": FILTER, "log_weight": 50.0}]})
    assert items(boosted)[0] == "i3"
    assert client.put("/v1/items/i3", json={"features": {}}).json()["features"] == {"kind": "odd", "year": 1983}
    assert ask(client, filter=FILTER)["items"] == []


def test_a_retired_item_is_in_no_list_until_it_is_active_again(client):
    before = {model: items(ask(client, history=["i0"], k=20, model=model)) for model in ("multvae", "ease")}
    near = [one["item"] for one in client.get("/v1/items/i0/similar", params={"limit": 3}).json()["items"]]
    gone = near[0]
    assert client.put(f"/v1/items/{gone}", json={"is_active": False}).json()["is_active"] is False
    for model, listed in before.items():
        assert items(ask(client, history=["i0"], k=20, model=model)) == [one for one in listed if one != gone]
    pinned = {"pins": [{"item": gone, "position": 1, "forced": True}]}
    for restricted in (
        {"allow": [gone]},
        {"allow": [gone], "rules": pinned},
        {"allow": [gone], "explore": "temperature"},
        {"filter": {"kind": {"any_of": ["even", "odd"]}}, "k": 20},
    ):
        assert gone not in items(ask(client, **restricted))
    assert gone not in found(client, "film", limit=100)
    assert gone not in found(client, "", limit=100)
    after = [one["item"] for one in client.get("/v1/items/i0/similar", params={"limit": 3}).json()["items"]]
    assert after[:2] == near[1:]
    assert len(after) == 3
    requests = [
        {"history": ["i0"], "k": 20},
        {"history": ["i1"], "deny": ["i4"]},
        {"model": "ease"},
        {"history": ["i2"]},
    ]
    for some in (requests, requests[::3]):  # masks of their own, and the one of retired items for all
        together = ask(client, path="/v1/recommendations:batch", requests=some)["answers"]
        alone = [ask(client, **one) for one in some]
        assert [items(one) for one in together] == [items(one) for one in alone]
    client.put(f"/v1/items/{gone}", json={"is_active": True})
    assert items(ask(client, history=["i0"], k=20, model="ease")) == before["ease"]


def test_several_items_are_stored_at_once_or_none(client):
    batch = [{"item": "new/1 ü", "title": "First"}, {"item": "i1", "is_active": False}]
    receipt = client.post("/v1/items", json={"items": batch}).json()
    assert receipt["accepted"] == 2
    known = client.get("/v1/items/new%2F1%20%C3%BC").json()
    assert (known["title"], known["models"], known["features"]) == ("First", [], {})
    assert abs(known["created"] - time.time()) < 60
    assert client.get("/v1/items/i2").json()["created"] is None
    assert client.get("/v1/items/none").status_code == 404
    refused = {
        "'i1' occurs twice": [{"item": "i1"}, {"item": "i1"}],
        "feature 'year', as in the catalog of 'ease': whole numbers were expected": [
            {"item": "i2", "title": "never"},
            {"item": "i3", "features": {"year": "old"}},
        ],
        "'count' is no name of a feature": [{"item": "i3", "features": {"count": 3}}],
        "at most 20": [{"item": str(at)} for at in range(21)],
        "2,000 bytes": [{"item": "x" * 3000}],
        "name": [{"item": "i3", "name": "x"}],
    }
    for said, sent in refused.items():
        response = client.post("/v1/items", json={"items": sent})
        assert response.status_code == 422
        assert said in response.json()["error"]
    assert client.get("/v1/items/i2").json()["title"] == "Film 2, the even one"
    assert client.post("/v1/items", json={"items": [{"item": "i4"}]}).json()["revision"] == receipt["revision"] + 1


def test_writing_needs_the_scope_to_write(keyed):
    client, secrets = keyed
    headers = {scope: {"authorization": f"Bearer {secret}"} for scope, secret in secrets.items()}
    assert client.put("/v1/items/i1", json={}, headers=headers["read"]).status_code == 403
    assert client.post("/v1/items", json={"items": [{"item": "a"}]}, headers=headers["read"]).status_code == 403
    assert client.put("/v1/items/i1", json={"title": "T"}, headers=headers["write"]).status_code == 200
    assert client.get("/v1/items/i1", headers=headers["write"]).status_code == 403
    assert client.get("/v1/items/i1", headers=headers["read"]).json()["title"] == "T"


def test_other_processes_and_later_models_show_the_change(client, service, runs):
    other = Registry()
    other.deploy(runs["ease"])
    second = Service(other, service.events, Limits(), Telemetry())
    with TestClient(make_app(second, None), base_url="http://localhost") as elsewhere:
        client.put("/v1/items/i3", json={"is_active": False, "title": "Gone"})
        until = time.monotonic() + 30
        while second.items.state.revision != service.items.state.revision:
            assert time.monotonic() < until
            time.sleep(0.01)
        assert "i3" not in items(ask(elsewhere, k=20))
        other.deploy(runs["popularity"], "later")
        assert "i3" not in items(ask(elsewhere, k=20, model="later"))
        other.deploy(runs["ease"])
        other.roll_back("ease")
        assert "i3" not in items(ask(elsewhere, k=20, model="ease"))


def test_the_titles_of_a_user_s_events_are_the_newest(client):
    client.post("/v1/events", json={"events": [{"user": "u", "item": "i5"}]})
    client.put("/v1/items/i5", json={"title": "Renamed"})
    assert client.get("/v1/users/u").json()["events"][0]["title"] == "Renamed"


def test_a_retired_item_keeps_its_place_in_histories(client, service):
    with_it = ask(client, history=["i0", "i2"], k=5)
    service.items.put([ItemChange(item="i2", is_active=False)])
    again = ask(client, history=["i0", "i2"], k=5)
    assert (again["items"], again["known_events"]) == (with_it["items"], 2)
