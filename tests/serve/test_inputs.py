"""Ids of any length that the catalog has, and fields that take only what they are described to take."""

import secrets
from urllib.parse import quote

import polars as pl
import pytest
from fastapi.testclient import TestClient

from foldin.data import Catalog
from foldin.errors import ConfigError
from foldin.models import MODELS
from foldin.runs import save_run
from foldin.serve import Event, EventStore, Limits, Registry, Service, Telemetry, connect, make_app
from foldin.testing import two_tastes

LONG = ["https://news.example/" + "a" * 190 + f"/{at}" for at in range(5)] + ["쿠" * 400, "x" * 3000, "short"]


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A service whose catalog has long ids, and a run of a long name."""
    root = tmp_path_factory.mktemp("long")
    model = MODELS["popularity"].model_class(len(LONG), MODELS["popularity"]())
    model.load_state({name: one + 1 for name, one in model.state().items()})
    catalog = Catalog(pl.DataFrame({"item": LONG, "count": two_tastes(16, len(LONG)).counts()}))
    folder = root / ("r" * 250)
    save_run(folder, model=model, catalog=catalog, info={})
    registry = Registry()
    registry.deploy(folder)
    engine = connect(f"sqlite:///{root}/events.db")
    service = Service(registry, EventStore(engine), Limits(), Telemetry())
    with TestClient(make_app(service, None), base_url="http://localhost", raise_server_exceptions=False) as found:
        yield found
    registry.close()
    engine.dispose()


@pytest.mark.parametrize("item", LONG, ids=range(len(LONG)))
def test_what_is_listed_can_be_sent_wherever_an_item_is_taken(pages, item):
    listed = [hit["item"] for hit in pages.post("/v1/recommendations", json={"k": 20}).json()["items"]]
    assert item in listed
    user = f"reader of {LONG.index(item)}"
    sent = pages.post("/v1/events", json={"events": [{"user": user, "item": item, "time": 1}]})
    assert sent.json() == {"accepted": 1, "duplicates": 0, "replayed": False}
    assert pages.get(f"/v1/users/{quote(user)}").json()["events"][0]["item"] == item
    for question in ({"user": user}, {"history": [item]}, {"deny": [item]}):
        answer = pages.post("/v1/recommendations", json={"k": 20, **question}).json()
        assert item not in [hit["item"] for hit in answer["items"]]
        assert not answer["unknown_items"]
    only = pages.post("/v1/recommendations", json={"allow": [item]}).json()["items"]
    assert [hit["item"] for hit in only] == [item]
    assert len(pages.get(f"/v1/items/{quote(item, safe='')}/similar").json()["items"]) == len(LONG) - 1
    assert item in [one["item"] for one in pages.get("/v1/items", params={"q": item}).json()["items"]]
    batch = pages.post("/v1/recommendations:batch", json={"requests": [{"history": [item]}]})
    assert batch.status_code == 200


def test_a_long_name_of_a_model_can_be_sent(pages):
    (name,) = [one["name"] for one in pages.get("/v1/models").json()["models"]]
    assert len(name) == 250
    assert pages.post("/v1/recommendations", json={"model": name}).status_code == 200
    assert pages.get("/v1/items", params={"model": name}).status_code == 200
    assert pages.get(f"/v1/models/{name}/report").status_code == 200


def test_ids_that_no_catalog_has_are_bounded_in_one_line(pages):
    fair, long = "y" * 2000, "y" * 2001
    assert pages.post("/v1/events", json={"events": [{"user": "p", "item": fair}]}).status_code == 200
    assert pages.post("/v1/recommendations", json={"history": [fair]}).json()["unknown_items"] == [fair]
    refused = [
        pages.post("/v1/events", json={"events": [{"user": "p", "item": long}]}),
        pages.post("/v1/recommendations", json={"history": [long]}),
        pages.post("/v1/recommendations", json={"allow": [long]}),
        pages.post("/v1/recommendations", json={"deny": ["쿠" * 700]}),
        pages.get(f"/v1/items/{long}/similar"),
        pages.get("/v1/items", params={"q": long}),
    ]
    for answer in refused:
        assert answer.status_code == 422
        assert "at most 2,000 bytes" in answer.json()["error"]
        assert len(answer.json()["error"]) < 200
    assert pages.get(f"/v1/items/{fair}/similar").status_code == 404
    users = [
        pages.post("/v1/events", json={"events": [{"user": "u" * 501, "item": "short"}]}),
        pages.post("/v1/recommendations", json={"user": "쿠" * 200}),
        pages.get(f"/v1/users/{'u' * 501}"),
        pages.delete(f"/v1/users/{'u' * 501}"),
    ]
    for answer in users:
        assert answer.status_code == 422
        assert "at most 500 bytes" in answer.json()["error"]
    assert pages.post("/v1/recommendations", json={"user": "u" * 500}).status_code == 200
    for empty in ({"history": [""]}, {"user": ""}, {"deny": ["\x00"]}):
        assert pages.post("/v1/recommendations", json=empty).status_code == 422


def test_a_value_of_another_kind_is_refused(client):
    fields = [
        *({"k": wrong} for wrong in (True, 3.0, 3.5, "3", None, [3])),
        *({"seed": wrong, "explore": "temperature"} for wrong in (True, 1.0, "1")),
        *({"temperature": wrong} for wrong in (True, "1", None)),
        *({name: wrong} for name in ("attributions", "uncertainty") for wrong in (1, 0, "true", None)),
        *({"exclude_seen": wrong} for wrong in (1, 0, "true")),
        *({"history": wrong} for wrong in ([1], [True], "i1", {"i1": 1}, [None])),
        *({"model": wrong} for wrong in (1, True)),
        *({"user": wrong} for wrong in (7, True)),
        *(
            {"filter": {"year": wrong}}
            for wrong in ({"low": True}, {"high": "3"}, {"any_of": "1990"}, {"any_of": [None]})
        ),
    ]
    for field in fields:
        for path, body in (("", field), (":batch", {"requests": [field]})):
            answer = client.post(f"/v1/recommendations{path}", json=body)
            assert answer.status_code == 422, field
            assert next(iter(field)) in answer.json()["error"]


def test_whole_numbers_are_numbers(client):
    for fine in ({"temperature": 2, "explore": "temperature"}, {"filter": {"year": {"low": 1990}}}, {"seed": None}):
        assert client.post("/v1/recommendations", json=fine).status_code == 200
        assert client.post("/v1/recommendations:batch", json={"requests": [fine]}).status_code == 200


def test_other_questions_are_as_strict(client):
    split = lambda shares: client.put("/v1/split", json={"shares": shares}).status_code
    assert split({"ease": True}) == split({"ease": "1"}) == 422
    assert split({"ease": 1}) == split({}) == 200
    assert client.post("/v1/models", json={"run": "x", "default": 1}).status_code == 422
    on_map = lambda **body: client.post("/v1/models/multvae/map:user", json=body).status_code
    assert on_map(history=["i1"], seed=1) == 200
    assert on_map(history=["i1"], seed=True) == on_map(history=["i1"], seed=1.0) == on_map(history=[1]) == 422
    assert client.post("/v1/events", json={"events": [{"user": 1, "item": "i1"}]}).status_code == 422


def test_an_id_that_postgresql_cannot_index_is_said(postgres):
    store = EventStore(connect(postgres))
    with pytest.raises(ConfigError, match=r"item '.*is too long for an index"):
        store.append([Event("p", secrets.token_hex(6000), 1)])
    assert store.append([Event("쿠" * 166, "쿠" * 666, 1)]).accepted == 1
    assert store.erase("쿠" * 166) == 1
    store.engine.dispose()


def test_items_are_listed_by_id_in_the_order_of_the_request(client):
    found = client.get("/v1/items", params={"item": ["i7", "none", "i2"]}).json()["items"]
    assert [one["item"] for one in found] == ["i7", "i2"]
    assert found[0]["title"] == "Film 7, the odd one"
    assert client.get("/v1/items", params={"item": ["i1"] * 101}).status_code == 422
    assert client.get("/v1/items", params={"item": ["x" * 2001]}).status_code == 422
