"""What goes wrong outside: the database away and back, the disk full, requests that make no sense."""

import json
import os
import subprocess
from pathlib import Path
from urllib.parse import quote

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
    event = {"events": [{"user": "away", "item": "i0", "time": 1}]}
    with TestClient(make_app(service, None), base_url="http://localhost") as client:
        assert client.post("/v1/events", json=event).status_code == 200
        server.stop()
        try:
            refused = client.post("/v1/events", json=event)
            assert refused.status_code == 503
            assert refused.headers["retry-after"] == "1"
            assert "event store cannot be used" in refused.json()["error"]
            assert client.post("/v1/recommendations", json={"user": "away"}).status_code == 503
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
        client.delete("/v1/users/away")
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
    "user",
    "history",
    "k",
    "allow",
    "deny",
    "filter",
    "explore",
    "temperature",
    "seed",
    "model",
    "attributions",
    "uncertainty",
)
QUESTION = st.dictionaries(
    st.sampled_from(FIELDS), JSON | st.sampled_from(["i0", ["i0", "i1"], 3, "thompson", {"year": {"low": 1}}])
)
EVENTS = st.fixed_dictionaries(
    {"events": st.lists(st.dictionaries(st.sampled_from(["user", "item", "time"]), JSON), max_size=3)}
)
BODY = st.one_of(QUESTION, EVENTS, JSON, st.fixed_dictionaries({"requests": st.lists(QUESTION, max_size=3)}))
PATHS = ("/v1/recommendations", "/v1/recommendations:batch", "/v1/events", "/v1/models", "/v1/models/ease/map:user")


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.sampled_from(
    ["i0", "ease", "..", "[", "\x00"]
)
ELSEWHERE = st.sampled_from(
    [
        ("GET", "/v1/users/{}"),
        ("DELETE", "/v1/users/{}"),
        ("GET", "/v1/items/{}/similar"),
        ("GET", "/v1/models/{}/report"),
        ("GET", "/v1/models/{}/map"),
        ("GET", "/v1/models/ease/codes?path={}"),
        ("GET", "/v1/models/semantic/codes?path={}&path=0"),
        ("POST", "/v1/models/{}:rollback"),
        ("GET", "/studio/{}"),
        ("GET", "/v1/lab/em?components={}"),
        ("GET", "/v1/lab/vi?events={}&steps=1"),
        ("GET", "/v1/lab/diffusion?eta={}&steps=1"),
        ("PUT", "/v1/split"),
        ("{}", "/v1/models"),
        ("GET", "/{}"),
    ]
)
HEADER = st.sampled_from(
    ["host", "origin", "sec-fetch-site", "authorization", "idempotency-key", "x-request-id", "content-type", "accept"]
)
VALUE = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)


def counted(response):
    """Where `FOLDIN_FUZZ_LOG` says so, a line for each request."""
    if "FOLDIN_FUZZ_LOG" in os.environ:
        with Path(os.environ["FOLDIN_FUZZ_LOG"]).open("a", encoding="utf-8") as log:
            log.write(f"{response.status_code}\n")
    return response


@settings(
    max_examples=int(os.environ.get("FOLDIN_FUZZ", "150")), deadline=None, suppress_health_check=list(HealthCheck)
)
@given(
    path=st.sampled_from(PATHS),
    body=BODY,
    raw=st.booleans(),
    junk=st.binary(max_size=40),
    text=TEXT,
    elsewhere=ELSEWHERE,
    header=HEADER,
    value=VALUE,
)
def test_no_request_is_answered_by_a_500(client, path, body, raw, junk, text, elsewhere, header, value):
    content = junk if raw else json.dumps(body).encode()
    method, where = elsewhere
    method = "".join(one for one in text if one.isascii() and one.isalpha()) or "X" if method == "{}" else method
    requests = [
        ("POST", path, {"content-type": "application/json"}),
        ("POST", path, {"content-type": "application/json", header: value}),
        (method, where.format(quote(text, safe="")), {}),
    ]
    for one, address, headers in requests:
        sent = client.build_request(one, address, content=content, headers=headers)
        response = counted(client.send(sent))
        assert response.status_code < 500, (one, address, headers, content, response.text)
