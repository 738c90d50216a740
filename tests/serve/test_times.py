"""Times over HTTP: seconds and ISO 8601 are taken, what is likely a mistake is refused with what to send."""

import json
import time

import pytest
from pydantic_core import PydanticCustomError

from foldin.serve.times import AHEAD, seconds

NOW = 1_750_000_000


@pytest.fixture
def clock(monkeypatch):
    monkeypatch.setattr(time, "time", lambda: float(NOW))


@pytest.mark.parametrize(
    ("sent", "taken"),
    [
        (0, 0),
        (1_600_000_000, 1_600_000_000),
        (NOW + AHEAD, NOW + AHEAD),
        ("2020-09-13T12:26:40Z", 1_600_000_000),
        ("2020-09-13T12:26:40.999Z", 1_600_000_000),  # as JavaScript's toISOString
        ("2020-09-13T14:26:40+02:00", 1_600_000_000),
        ("2020-09-13 21:26:40+09:00", 1_600_000_000),
        ("2020-09-13T06:56-05:30", 1_599_999_960),
        ("20200913T122640Z", 1_600_000_000),
        ("1970-01-01T01:00:00+01:00", 0),
    ],
)
def test_seconds_and_iso_with_an_offset(clock, sent, taken):
    assert seconds(sent) == taken


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (1_600_000_000_000, "looks like milliseconds: send seconds, 1600000000, or '2020-09-13T12:26:40Z'"),
        (1_600_000_000_000_000, "looks like microseconds: send seconds, 1600000000"),
        (1_600_000_000_000_000_000, "looks like nanoseconds: send seconds, 1600000000"),
        (NOW + AHEAD + 1, "lies more than a day ahead of this service's clock, 2025-06-15T15:06:40Z"),
        (99_999_999_999, "more than a day ahead"),
        (10**40, "more than a day ahead"),
        ("2025-06-17T00:00:00Z", "more than a day ahead"),
        ("2199-01-01T00:00:00+09:00", "more than a day ahead"),
        (-1, "before 1970"),
        ("1969-12-31T23:59:59Z", "before 1970"),
        ("0001-01-01T00:00:00+14:00", "before 1970"),
        (True, "a time was expected, not True"),
        (False, "a time was expected, not False"),
        (float("nan"), "a time was expected, not nan"),
        (float("inf"), "a time was expected, not inf"),
        (1_600_000_000.5, "whole seconds since 1970 were expected"),
        (1_600_000_000.0, "whole seconds since 1970 were expected"),
        ("1600000000", "is a text; send the number of seconds"),
        ("1600000000000", "is a text; send the number"),
        (" -1.5 ", "is a text; send the number"),
        ("20200913", "is a text; send the number"),
        ("2020-09-13T12:26:40", "has no offset from UTC"),
        ("2020-09-13", "has no offset from UTC"),
        ("yesterday", "is no time"),
        ("", "is no time"),
        ("2020-13-01T00:00:00Z", "is no time"),
        ([1], "a time was expected"),
        ({"seconds": 1}, "a time was expected"),
        (None, "a time was expected"),
    ],
)
def test_what_is_likely_a_mistake_is_refused_with_what_to_send(clock, sent, said):
    with pytest.raises(PydanticCustomError) as error:
        seconds(sent)
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 250


def test_events_and_histories_take_the_same_times(client):
    def status(time, path="/v1/events"):
        body = {"events": [{"user": "p", "item": "i1", "time": time}]}
        if path != "/v1/events":
            body = {"history": ["i1"], "times": [time]}
        answer = client.post(path, content=json.dumps(body), headers={"content-type": "application/json"})
        if answer.status_code != 200:
            assert "time" in answer.json()["error"]
            assert "\n" not in answer.json()["error"]
        return answer.status_code

    for path in ("/v1/events", "/v1/recommendations", "/v1/models/multvae/map:user"):
        assert status(1_600_000_000, path) == status("2020-09-13T12:26:40Z", path) == 200
        for wrong in (
            1_600_000_000_000,
            -1,
            True,
            float("nan"),
            "1600000000",
            "2020-09-13",
            1.5,
            int(time.time()) + 90_000,
        ):
            assert status(wrong, path) == 422, wrong
    assert status(None) == 200  # now
    kept = client.get("/v1/users/p").json()["events"]
    assert next(one["time"] for one in kept) == 1_600_000_000
    assert len(kept) == 2  # the same moment, sent in two ways, is one event
    assert abs(kept[1]["time"] - time.time()) < 60
    refused = client.post("/v1/events", json={"events": [{"user": "p", "item": "i1", "time": 1_600_000_000_000}]})
    assert refused.json()["error"].startswith("body.events.0.time: 1600000000000 looks like milliseconds")


def test_the_times_of_a_history_decide_its_order_and_each_item_needs_one(client):
    post = lambda **body: client.post("/v1/recommendations", json=body)
    turned = post(history=["i1", "i0", "i4"], times=[30, 10, 20], model="semantic").json()
    assert turned["items"] == post(history=["i0", "i4", "i1"], model="semantic").json()["items"]
    for wrong in ({"history": ["i1"], "times": []}, {"times": [1]}, {"user": "p", "times": [1]}):
        refused = post(**wrong)
        assert refused.status_code == 422
        assert "times: " in refused.json()["error"]


def test_the_description_of_a_time(client):
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    told = json.dumps(schemas["EventIn"]["properties"]["time"])
    assert "date-time" in told
    assert '"integer"' in told
