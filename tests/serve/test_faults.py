"""What goes wrong outside: the database away and back, the disk full, requests that make no sense."""

import json
import os
import subprocess

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foldin.errors import EventStoreError
from foldin.serve import Event, EventStore, KeyRing, Limits, Registry, Service, Telemetry, connect, make_app


def test_the_database_goes_away_and_comes_back(server, runs):
    registry = Registry()
    registry.deploy(runs["ease"])
    engine = connect(server.url)
    ring = KeyRing(engine)
    service = Service(registry, EventStore(engine), Limits(), Telemetry())
    event = {"events": [{"person": "away", "item": "i0", "time": 1}]}
    with TestClient(make_app(service, None), base_url="http://localhost") as client:
        assert client.post("/v1/events", json=event).status_code == 200
        server.stop()
        try:
            refused = client.post("/v1/events", json=event)
            assert refused.status_code == 503
            assert refused.headers["retry-after"] == "1"
            assert "event store cannot be used" in refused.json()["error"]
            assert client.post("/v1/recommendations", json={"person": "away"}).status_code == 503
            # Who brings a history is served all the same.
            assert client.post("/v1/recommendations", json={"history": ["i0"]}).status_code == 200
            assert client.get("/readyz").status_code == 503
            with TestClient(make_app(service, ring), base_url="http://localhost") as keyed:
                unknown = keyed.get("/v1/models", headers={"Authorization": "Bearer foldin_x"})
                assert unknown.status_code == 503
        finally:
            server.start()
        assert client.get("/readyz").status_code == 200
        again = client.post("/v1/events", json=event).json()
        assert again == {"accepted": 0, "duplicates": 1, "replayed": False}
        client.delete("/v1/people/away")
    engine.dispose()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of one megabyte."""
    folder = tmp_path / "small"
    folder.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=False).returncode
    ):
        pytest.skip("a small file system cannot be mounted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_said_and_nothing_acknowledged_is_lost(small_disk):
    engine = connect(f"sqlite:///{small_disk}/events.db")
    store, written = EventStore(engine), []

    def fill():
        for at in range(10_000):
            written.append(store.append([Event("p", f"{at}-{n}-{'x' * 100}", at) for n in range(50)]))

    with pytest.raises(EventStoreError, match=r"cannot be used: .*(full|disk)"):
        fill()
    acknowledged = len(written)
    assert acknowledged > 0
    kept = store.history("p")
    assert len(kept) == 50 * acknowledged
    # Room again: erasing works through the log of what was written.
    engine.dispose()
    subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk)], check=True)
    store = EventStore(connect(f"sqlite:///{small_disk}/events.db"))
    assert len(store.history("p")) == 50 * acknowledged
    assert store.append([Event("p", "more", 10**6)]).accepted == 1
    store.engine.dispose()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
FIELDS = (
    "person",
    "history",
    "k",
    "allow",
    "deny",
    "filter",
    "explore",
    "temperature",
    "seed",
    "model",
    "explain",
    "uncertainty",
)
QUESTION = st.dictionaries(
    st.sampled_from(FIELDS), JSON | st.sampled_from(["i0", ["i0", "i1"], 3, "thompson", {"year": {"low": 1}}])
)
EVENTS = st.fixed_dictionaries(
    {"events": st.lists(st.dictionaries(st.sampled_from(["person", "item", "time"]), JSON), max_size=3)}
)
BODY = st.one_of(QUESTION, EVENTS, JSON, st.fixed_dictionaries({"requests": st.lists(QUESTION, max_size=3)}))
PATHS = ("/v1/recommendations", "/v1/recommendations:batch", "/v1/events", "/v1/models", "/v1/models/ease/map:person")


@settings(
    max_examples=int(os.environ.get("FOLDIN_FUZZ", "150")), deadline=None, suppress_health_check=list(HealthCheck)
)
@given(
    path=st.sampled_from(PATHS), body=BODY, raw=st.booleans(), junk=st.binary(max_size=40), query=st.text(max_size=20)
)
def test_no_request_is_answered_by_a_500(client, path, body, raw, junk, query):
    content = junk if raw else json.dumps(body).encode()
    responses = [
        client.post(path, content=content, headers={"content-type": "application/json"}),
        client.get("/v1/items", params={"q": query, "limit": query}),
        client.get("/v1/items", params={"q": query}),
    ]
    for response in responses:
        assert response.status_code < 500, (path, content, response.text)
