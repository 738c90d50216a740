"""Filters on attributes over HTTP."""

import datetime as dt

import polars as pl
import pytest
from fastapi.testclient import TestClient

from foldin.client import ItemFilter
from foldin.client.requests import encoded
from foldin.data import Catalog, Histories
from foldin.models import Popularity, PopularityConfig
from foldin.runs import save_run
from foldin.serve import EventStore, Limits, Registry, Service, Telemetry, connect, make_app
from foldin.serve.storage.items import ItemChange
from foldin.training import fit
from tests.serve.asking import ask, items


def test_over_http(client):
    ask = lambda **wanted: client.post("/v1/recommendations", json={"k": 20, "filter": wanted})
    listed = lambda answer: {hit["item"] for hit in answer.json()["items"]}
    assert listed(ask(kind={"none_of": ["even"]})) == {f"i{at}" for at in range(1, 20, 2)}
    assert listed(ask(year={"any_of": [1985, "1990"]})) == {"i5", "i10"}
    for wrong in (
        {"kind": {"any_of": [1]}},
        {"year": {"low": "1990"}},
        {"year": {"low": True}},
        {"year": {"above": 3}},
    ):
        assert ask(**wrong).status_code == 422


def test_the_names_of_attributes(client):
    told = client.get("/v1/models").json()["models"][0]
    assert told["attributes"] == ["count", "kind", "year"]


@pytest.fixture
def dated(tmp_path):
    """(a client, the service) of a model whose items have days and times."""
    train = Histories.from_lists([[0, 1, 2], [3, 4, 5], [0, 1]], 6)
    model = Popularity(6, PopularityConfig())
    fit(model, train)
    days = [dt.date(2024, 1, 29 + at) if at < 3 else dt.date(2024, 2, at - 2) for at in range(6)]
    times = [dt.datetime(2024, 1, 31, 4 * at) for at in range(6)]
    names = [f"i{at}" for at in range(6)]
    table = pl.DataFrame({"item": names, "count": train.counts(), "released": days, "sold": times})
    save_run(tmp_path / "run", model=model, catalog=Catalog(table), info={"seed": 0})
    engine, registry = connect(f"sqlite:///{tmp_path}/events.db"), Registry()
    registry.deploy(tmp_path / "run")
    service = Service(registry, EventStore(engine), Limits(), Telemetry())
    with TestClient(make_app(service, None), base_url="http://localhost", raise_server_exceptions=False) as client:
        yield client, service
    registry.close()
    engine.dispose()


def test_dates_over_http(dated):
    client, service = dated
    listed = lambda **wanted: sorted(items(ask(client, k=20, filter=wanted)))
    assert listed(released={"low": "2024-01-31"}) == ["i2", "i3", "i4", "i5"]
    assert listed(released={"high": "2024-01-31", "none_of": ["2024-01-30"]}) == ["i0", "i2"]
    assert listed(released={"any_of": ["2024-02-01", "2024-01-29T10:00:00Z"]}) == ["i0", "i3"]
    assert listed(sold={"high": "2024-01-31T08:00:00"}) == ["i0", "i1", "i2"]
    assert listed(sold={"low": "2024-01-31T17:00:00+09:00"}) == ["i2", "i3", "i4", "i5"]
    assert listed(sold={"any_of": ["2024-01-31"]}) == [f"i{at}" for at in range(6)]
    boost = {"where": {"released": {"any_of": ["2024-02-03"]}}, "log_weight": 100}
    assert items(ask(client, k=1, rules={"boosts": [boost]})) == ["i5"]
    kinds = client.get("/v1/models").json()["models"][0]["attribute_kinds"]
    assert kinds == {"count": "number", "released": "date", "sold": "date"}
    service.items.put([ItemChange(item="i0", features={"released": "2024-03-01"})])
    assert listed(released={"low": "2024-02-03"}) == ["i0", "i5"]


def test_what_is_no_date_is_refused_over_http(dated):
    client, _ = dated
    for wrong in ("soon", "2024-01", "2024-02-30", 20240131):
        for path, body in (("", {"released": {"low": wrong}}), (":batch", {"sold": {"high": wrong}})):
            asked = {"filter": body} if not path else {"requests": [{"filter": body}]}
            said = ask(client, 422, path=f"/v1/recommendations{path}", **asked)["error"]
            assert "contains dates; a date such as 2024-01-31 or 2024-01-31T12:00:00 was expected" in said


def test_the_client_sends_dates():
    sent = encoded({"day": ItemFilter(low=dt.date(2024, 1, 31), any_of=[dt.date(2024, 2, 1), "x"])})
    assert sent == b'{"day":{"any_of":["2024-02-01","x"],"low":"2024-01-31"}}'
