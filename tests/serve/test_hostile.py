"""Who calls badly, or means badly: refused in one line, and never by a 500."""

import asyncio
import logging
import os
import threading

import pytest
from fastapi.testclient import TestClient
from pydantic import ValidationError
from sqlalchemy.exc import OperationalError

from foldin.errors import ConfigError, EventStoreError, OverloadedError
from foldin.serve import Event, EventStore, KeyRing, Limits, Registry, Service, Telemetry, connect, make_app
from foldin.serve.api.middleware import Middleware
from foldin.serve.schemas import BatchRecommendRequest, EventBatch
from foldin.serve.studio.insight import Insight


def test_addresses_that_no_file_or_folder_can_have(client, runs):
    assert client.get(f"/studio/{'a' * 300}.js").status_code == 404
    for run in ("\x00", f"{runs['ease'].parent}/{'a' * 300}", "a" * 900):
        refused = client.post("/v1/models", json={"run": run})
        assert refused.status_code == 422
        assert "run:" in refused.json()["error"]
    for path in ("/v1/users/a%00b", "/v1/items/%00/similar"):
        assert client.get(path).status_code == 422


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "["},
        {"Host": "elsewhere.example"},
        {"Origin": "http://["},
        {"Origin": "null"},
        {"Origin": "file://"},
        {"Origin": "http://elsewhere.example"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_without_keys_only_the_own_machine_and_its_own_pages_call(client, headers):
    assert client.get("/v1/models", headers=headers).status_code == 403
    assert client.post("/v1/models/ease:rollback", headers=headers).status_code == 403
    assert client.get("/v1/models", headers={"Origin": "http://localhost"}).status_code == 200


def test_numbers_that_would_leave_json(client):
    question = {"history": ["i0"], "explore": "temperature", "temperature": 1e-308}
    assert client.post("/v1/recommendations", json=question).status_code == 422
    coldest = client.post("/v1/recommendations", json={**question, "temperature": 0.01}).json()
    assert all(0 <= one["propensity"] <= 1 for one in coldest["items"])


def test_more_than_may_come_at_once_is_refused_before_it_is_read(client):
    with pytest.raises(ValidationError, match="at most 10000 items"):
        BatchRecommendRequest.model_validate({"requests": [{}] * 10_001})
    with pytest.raises(ValidationError, match="at most 10000 items"):
        EventBatch.model_validate({"events": [{"user": "p", "item": "i"}] * 10_001})
    found = client.post("/v1/recommendations:batch", json={"requests": [{}] * 21})
    assert found.status_code == 422
    assert "at most 20" in found.json()["error"]


def test_a_model_in_an_address_is_not_found_and_one_in_a_question_is_wrong(client):
    assert client.get("/v1/models/none/map").status_code == 404
    assert client.post("/v1/models/none:rollback").status_code == 422
    assert client.post("/v1/recommendations", json={"model": "none"}).status_code == 422


def run_middleware(receive, *, patience=30.0, app=None):
    """The status that one request is answered with; None where nobody is there to be told."""
    sent, scope = [], {"type": "http", "method": "POST", "path": "/x", "headers": []}

    async def read(scope, receive, send):
        from starlette.requests import Request

        await Request(scope, receive).body()

    async def send(message):
        sent.append(message)

    asyncio.run(Middleware(app or read, body=100, telemetry=Telemetry(), patience=patience)(scope, receive, send))
    return next((one["status"] for one in sent if one["type"] == "http.response.start"), None)


def test_a_body_that_does_not_come_is_not_waited_for():
    async def slow():
        await asyncio.sleep(5)

    assert run_middleware(slow, patience=0.05) == 408

    async def drop_by_drop():
        await asyncio.sleep(0.02)
        return {"type": "http.request", "body": b"x", "more_body": True}

    assert run_middleware(drop_by_drop, patience=0.1) == 408


def test_who_goes_away_in_the_middle_is_no_error_of_ours(caplog):
    async def gone():
        return {"type": "http.disconnect"}

    with caplog.at_level(logging.INFO, logger="foldin.serve"):
        assert run_middleware(gone) is None
    assert [one.levelname for one in caplog.records] == ["INFO"]
    assert '"status": 499' in caplog.records[0].message


def test_a_bug_is_told_in_one_line_of_json(caplog):
    async def broken(scope, receive, send):
        raise RuntimeError("inside")

    async def nothing():
        return {"type": "http.request", "body": b"", "more_body": False}

    with caplog.at_level(logging.INFO, logger="foldin.serve"):
        assert run_middleware(nothing, app=broken) == 500
    (error,) = [one.message for one in caplog.records if one.levelname == "ERROR"]
    assert error.startswith("{")
    assert "RuntimeError: inside" in error
    assert "\n" not in error


def test_the_log_does_not_keep_who_somebody_is(client, caplog):
    with caplog.at_level(logging.INFO, logger="foldin.serve"):
        client.get("/v1/users/somebody-s-name")
        client.delete("/v1/users/somebody-s-name")
    assert "/v1/users/{user" in caplog.records[0].message
    assert not any("somebody" in one.message for one in caplog.records if one.name == "foldin.serve")


def test_idempotency_keys_are_of_who_sends_them(service):
    ring = KeyRing(service.events.engine)
    first, second = (ring.create(name, ["write"]) for name in ("first", "second"))
    with TestClient(make_app(service, ring), base_url="http://localhost") as client:
        send = lambda secret, item: client.post(
            "/v1/events",
            json={"events": [{"user": "p", "item": item, "time": 1}]},
            headers={"Authorization": f"Bearer {secret}", "Idempotency-Key": "1"},
        )
        assert send(first, "i0").json()["accepted"] == 1
        assert send(second, "i1").json()["accepted"] == 1
        assert send(first, "i0").json()["replayed"] is True
        assert send(first, "i2").status_code == 409


def test_with_keys_too_a_history_is_served_while_the_database_is_away(service, monkeypatch):
    ring = KeyRing(service.events.engine)
    secret = ring.create("shop", ["read"])
    headers = {"Authorization": f"Bearer {secret}"}
    with TestClient(make_app(service, ring), base_url="http://localhost") as client:
        ask = lambda: client.post("/v1/recommendations", json={"history": ["i0"]}, headers=headers).status_code
        assert ask() == 200

        def away(*_):
            raise OperationalError("connect", {}, Exception("away"))

        monkeypatch.setattr(service.events.engine, "connect", away)
        monkeypatch.setattr("foldin.serve.storage.keys._FRESH", 0.0)
        monkeypatch.setattr("foldin.serve.storage.keys._PAUSE", 0.0)
        assert ask() == 200
        assert client.get("/v1/models", headers={"Authorization": "Bearer other"}).status_code == 503
        monkeypatch.setattr("foldin.serve.storage.keys._STALE", 0.0)
        assert ask() == 503


def test_readiness_looks_at_the_tables(tmp_path):
    path = tmp_path / "events.db"
    engine = connect(f"sqlite:///{path}")
    store = EventStore(engine)
    assert store.ready()
    engine.dispose()
    os.truncate(path, 0)
    for suffix in ("-wal", "-shm"):
        (tmp_path / f"events.db{suffix}").unlink(missing_ok=True)
    assert not store.ready()
    engine.dispose()


def test_batches_of_the_same_events_in_other_orders_never_wait_for_each_other(postgres, monkeypatch):
    monkeypatch.setattr("foldin.serve.storage.event_store._ATTEMPTS", 1)  # what is lost is not tried again
    engine = connect(postgres)
    store = EventStore(engine)
    events = [Event("deadlock", f"i{at}", at) for at in range(400)]
    errors = []

    def write(batch):
        try:
            for _ in range(3):
                store.append(batch)
                store.erase("deadlock")
            store.append(batch)
        except EventStoreError as error:
            errors.append(error)

    threads = [
        threading.Thread(target=write, args=(batch,)) for batch in (events, events[::-1], events[200:] + events[:200])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.append(events)
    stored = store.history("deadlock")
    store.erase("deadlock")
    engine.dispose()
    assert not errors
    assert len(stored) == 400


def test_a_deadlock_with_somebody_else_is_tried_again(postgres):
    engine = connect(postgres)
    store = EventStore(engine)
    first, second = Event("else", "i1", 1), Event("else", "i2", 2)
    with engine.connect() as other:
        other.exec_driver_sql("SET deadlock_timeout = '10s'")  # so that the batch is what is ended
        add = "INSERT INTO foldin_events (user_id, item, time, kind, arrived) VALUES ('else', '{}', {}, '', 0)"
        other.exec_driver_sql(add.format("i2", 2))
        writing = threading.Thread(target=store.append, args=([first, second],))
        writing.start()
        while not other.exec_driver_sql("SELECT 1 FROM pg_locks WHERE NOT granted").all():
            writing.join(0.01)
        other.exec_driver_sql(add.format("i1", 1) + " ON CONFLICT DO NOTHING")
        other.commit()
        writing.join()
    stored = store.history("else")
    store.erase("else")
    engine.dispose()
    assert [event.item for event in stored] == ["i1", "i2"]


def test_one_live_report_at_a_time(runs):
    registry, insight = Registry(), Insight()
    one = registry.deploy(runs["multvae"])
    with insight._explaining, pytest.raises(OverloadedError, match="is being computed"):
        insight.report(one, live=True)
    assert insight.report(one, live=False).explained is None
    registry.close()


def test_who_has_a_model_keeps_it_while_its_share_grows(runs):
    registry = Registry()
    for name in ("ease", "popularity"):
        registry.deploy(runs[name])
    users = [f"p{at}" for at in range(2000)]

    def served(share):
        registry.split({"ease": share, "popularity": 1 - share})
        return {user for user in users if registry.choose(None, user).name == "ease"}

    few, more = served(0.1), served(0.2)
    assert few < more
    assert 0.15 < len(more) / len(users) < 0.25
    with pytest.raises(ConfigError):
        registry.split({"ease": 0.5})
    registry.close()


def test_the_description_tells_of_every_field_and_parameter(service):
    spec = make_app(service, KeyRing(service.events.engine)).openapi()
    for name, schema in spec["components"]["schemas"].items():
        for field, about in schema.get("properties", {}).items():
            assert about.get("description") or name in ("HTTPValidationError", "ValidationError"), (name, field)
    for path, calls in spec["paths"].items():
        for call in calls.values():
            assert call["security"] == ([] if path in ("/healthz", "/readyz") else [{"key": []}])
            for parameter in call.get("parameters", []):
                assert parameter.get("description") or parameter["schema"].get("description"), (path, parameter["name"])
    assert spec["components"]["securitySchemes"]["key"]["scheme"] == "bearer"


def test_a_batch_of_many_lists_fits_in_a_full_bucket(runs, tmp_path):
    registry = Registry()
    registry.deploy(runs["ease"])
    store = EventStore(connect(f"sqlite:///{tmp_path}/events.db"))
    service = Service(registry, store, Limits(rate=1000.0, burst=10), Telemetry())
    with TestClient(make_app(service, None), base_url="http://localhost") as client:
        assert client.post("/v1/recommendations:batch", json={"requests": [{"k": 1}] * 15}).status_code == 200
