"""What is counted, and logged, of a request: tokens of its key, the model that answered, a test's split."""

import json
import logging

import pytest
from fastapi.testclient import TestClient

from foldin.serve import EventStore, Limits, Registry, Service, Telemetry, connect, make_app
from foldin.serve.limits import TokenBuckets


def lines(caplog) -> list[dict]:
    return [json.loads(one.message) for one in caplog.records if one.name == "foldin.serve"]


def test_a_request_of_many_lists_takes_a_token_for_each():
    buckets = TokenBuckets(rate=10.0, burst=3)
    assert buckets.take("a", 2, now=0.0) == 0.0
    assert buckets.take("a", 2, now=0.0) == pytest.approx(0.1)
    assert buckets.take("a", 2, now=0.1) == 0.0
    assert buckets.take("b", 1000, now=0.0) == 0.0  # a full bucket is enough for anything
    assert buckets.take("b", 1, now=0.0) == pytest.approx(0.1)


def test_a_batch_over_http_takes_a_token_for_each_list(runs, tmp_path):
    registry = Registry()
    registry.deploy(runs["ease"])
    store = EventStore(connect(f"sqlite:///{tmp_path}/events.db"))
    service = Service(registry, store, Limits(rate=0.001, burst=5), Telemetry())
    with TestClient(make_app(service, None), base_url="http://localhost") as client:
        ask = lambda count: client.post("/v1/recommendations:batch", json={"requests": [{"k": 1}] * count})
        assert ask(4).status_code == 200
        refused = ask(2)
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 1


def test_the_log_names_who_answered_and_a_test_s_split(client, caplog):
    names = {one["name"]: one["run"] for one in client.get("/v1/models").json()["models"]}
    with caplog.at_level(logging.INFO, logger="foldin.serve"):
        client.post("/v1/recommendations", json={"user": "u", "model": "ease"})
        client.put("/v1/split", json={"shares": {"ease": 0.5, "popularity": 0.5}})
        answers = [client.post("/v1/recommendations", json={"user": f"u{at}"}).json() for at in range(8)]
        client.post("/v1/recommendations", json={"history": ["i1"]})
        client.post(
            "/v1/recommendations:batch", json={"requests": [{"model": "ease"}, {"model": "ease"}, {"model": "multvae"}]}
        )
    logged = lines(caplog)
    assert (logged[0]["model"], logged[0]["run"], logged[0]["split"]) == ("ease", names["ease"], False)
    asked = logged[2:10]
    assert all(one["split"] for one in asked)
    assert [one["model"] for one in asked] == [one["model"] for one in answers]
    assert {one["model"] for one in asked} == {"ease", "popularity"}
    assert (logged[10]["model"], logged[10]["split"]) == ("multvae", False)  # of nobody in particular: the default
    assert logged[11]["lists"] == {"ease": 2, "multvae": 1}
