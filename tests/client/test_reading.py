"""The steps of a call, one by one: what is sent, when it is sent again, and after which pause."""

import dataclasses
import json
import pickle
import random
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from foldin.client import (
    AnswerError,
    ConflictError,
    Event,
    InvalidRequestError,
    Item,
    NoResponseError,
    RateLimitedError,
    Retries,
    ServiceError,
    UnavailableError,
    model_routes,
    routes,
)
from foldin.client import errors as kinds
from foldin.client.reading import Failure, Pause, Request, Response, exchange
from foldin.client.retries import seconds_of
from foldin.errors import ConfigError, FoldinError

RECEIPT = Response(200, {}, b'{"accepted": 1, "duplicates": 0, "replayed": false}')
LOST, REFUSED = Failure("ReadError", sent=True), Failure("ConnectError", sent=False)


def status(code: int, **headers: str) -> Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(code, named, b'{"error": "because", "request_id": "r1"}')


def play(plan, *outcomes, retries: Retries | None = None):
    """(the requests, the pauses, the answer) of a call that meets these outcomes in turn."""
    steps, left = exchange(plan, retries or Retries(), random.Random(0)), list(outcomes)
    sent, pauses, outcome = [], [], None
    while True:
        try:
            step = steps.send(outcome)
        except StopIteration as stop:
            assert not left
            return sent, pauses, stop.value
        if isinstance(step, Pause):
            pauses.append(step.seconds)
            outcome = None
        else:
            sent.append(step)
            outcome = left.pop(0)


def test_a_request_is_what_http_needs():
    (sent,), _, receipt = play(routes.add_event("ü", "i", time=5, value=2, idempotency_key="k"), RECEIPT)
    assert (sent.method, sent.target) == ("POST", "/v1/events")
    assert json.loads(sent.content) == {"events": [{"user": "ü", "item": "i", "time": 5, "value": 2}]}
    assert sent.content.decode().count("ü") == 1
    assert sent.headers["idempotency-key"] == "k"
    assert sent.headers["content-type"] == "application/json"
    assert receipt.accepted == 1
    listed = Response(200, {}, b'{"items": []}')
    (sent,), _, found = play(routes.items("a&b ü", limit=3), listed)
    assert sent == Request("GET", "/v1/items?q=a%26b+%C3%BC&limit=3", sent.headers, None)
    assert found == ()
    assert "content-type" not in sent.headers


def test_what_changes_nothing_is_sent_again_with_the_same_id():
    answer = Response(200, {}, b'{"items": [{"item": "i", "title": "t", "count": 3, "later": 1}]}')
    outcomes = (LOST, status(502), status(503), answer)
    sent, pauses, found = play(routes.similar("i"), *outcomes)
    assert sent == [sent[0]] * 4
    assert len(pauses) == 3
    assert found == (Item(item="i", title="t", count=3),)


def test_events_are_sent_again_with_the_same_key_and_times():
    outcomes = (LOST, status(504), status(503), RECEIPT)
    sent, _, _ = play(routes.add_event("u", "i"), *outcomes)
    assert sent == [sent[0]] * 4
    assert isinstance(json.loads(sent[0].content)["events"][0]["time"], int)
    other, _, _ = play(routes.add_event("u", "i"), RECEIPT)
    assert other[0].headers["idempotency-key"] != sent[0].headers["idempotency-key"]


@pytest.mark.parametrize(
    "call", [routes.erase_user("u"), model_routes.deploy("r"), model_routes.roll_back("m"), model_routes.retire("m")]
)
def test_what_may_have_happened_is_not_done_twice(call):
    for outcome, error in ((LOST, NoResponseError), (status(503), UnavailableError), (status(502), UnavailableError)):
        with pytest.raises(error) as once:
            play(call, outcome)
        assert once.value.attempts == 1
    # Nothing was sent, or the service refused to begin: the call may be made.
    done = b'{"user": "u", "erased_events": 0, "models": [], "deployments": [], "revision": 0}'
    sent, pauses, _ = play(call, REFUSED, status(429, retry_after="2"), Response(200, {}, done))
    assert len(sent) == 3
    assert 2 <= pauses[1] <= 2.4


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        *((code, InvalidRequestError) for code in (302, 400, 405, 408, 413, 422)),
        (409, ConflictError),
        (500, ServiceError),
        (501, ServiceError),
    ],
)
def test_other_statuses_are_errors_at_once(code, kind):
    with pytest.raises(kind, match=f"POST /v1/events: {code}: because") as refused:
        play(routes.add_event("u", "i"), status(code, x_request_id="r1"))
    error = refused.value
    assert (error.status, error.attempts, error.request_id) == (code, 1, "r1")
    assert error.problem == {"error": "because", "request_id": "r1"}


def test_the_last_error_is_raised_with_the_number_of_attempts():
    with pytest.raises(RateLimitedError, match=r"because \(attempt 3\)") as refused:
        play(model_routes.models(), LOST, status(503), status(429, retry_after="7"), retries=Retries(attempts=3))
    assert (refused.value.attempts, refused.value.retry_after) == (3, 7.0)
    with pytest.raises(NoResponseError, match="ReadError"):
        play(model_routes.models(), LOST, retries=Retries(attempts=1))


def test_a_pause_that_is_too_long_is_left_to_the_caller():
    with pytest.raises(RateLimitedError) as refused:
        play(model_routes.models(), status(429, retry_after="60"))
    assert (refused.value.attempts, refused.value.retry_after) == (1, 60.0)
    _, (pause,), _ = play(
        model_routes.models(),
        status(503, retry_after="60"),
        Response(200, {}, b'{"models": [], "deployments": [], "revision": 0}'),
        retries=Retries(longest_pause=90),
    )
    assert 60 <= pause <= 60.2


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"items": {}}',
        b'{"items": [{"item": "i", "title": "t"}]}',
        b'{"items": [3]}',
        b"\xff",
    ],
)
def test_what_is_no_answer_is_an_error_that_says_so(body):
    with pytest.raises(AnswerError, match=r"GET /v1/items: not an answer of foldin: ") as wrong:
        play(routes.items(), Response(200, {}, body))
    assert isinstance(wrong.value, FoldinError)
    with pytest.raises(UnavailableError, match="503: the response says no more") as unknown:
        play(routes.items(), Response(503, {}, body), retries=Retries(attempts=1))
    assert isinstance(unknown.value.problem, dict)


def test_events_are_divided_by_number_and_by_size():
    plan = routes.add_events((Event("u", f"i{at}", at) for at in range(7)), chunk=3)
    sent, _, receipt = play(plan, RECEIPT, RECEIPT, RECEIPT)
    assert [len(json.loads(one.content)["events"]) for one in sent] == [3, 3, 1]
    assert receipt.accepted == 3
    assert len({one.headers["idempotency-key"] for one in sent}) == 3
    large = [Event("u", "x" * 400_000, at) for at in range(5)] + [Event("u", "y" * 2_000_000, 9), Event("u", "z", 10)]
    sent, _, _ = play(routes.add_events(large), *[RECEIPT] * 5)
    sizes = [[len(one["item"]) for one in json.loads(part.content)["events"]] for part in sent]
    assert sizes == [[400_000] * 2, [400_000] * 2, [400_000], [2_000_000], [1]]
    timeless = [Event("u", "i"), Event("u", "j", datetime(2020, 1, 1, tzinfo=UTC))]
    (part,), _, _ = play(routes.add_events(timeless, idempotency_key="k"), RECEIPT)
    assert json.loads(part.content)["events"][1]["time"] == "2020-01-01T00:00:00+00:00"
    assert part.headers["idempotency-key"] == "k-0"


def test_pauses_grow_are_spread_and_end():
    retries, rng = Retries(attempts=9, first_pause=0.5, longest_pause=4.0), random.Random(0)
    for attempt, ceiling in enumerate((0.5, 1.0, 2.0, 4.0, 4.0), start=1):
        drawn = [retries.pause(attempt, None, rng) for _ in range(2000)]
        assert 0 <= min(drawn) < 0.02 * ceiling
        assert 0.98 * ceiling < max(drawn) <= ceiling
        assert abs(sum(drawn) / len(drawn) - ceiling / 2) < 0.03 * ceiling  # full jitter: uniform from 0 on
        asked = [retries.pause(attempt, 3.0, rng) for _ in range(50)]
        assert 3.0 <= min(asked) <= max(asked) <= 3.0 + ceiling
    assert retries.pause(9, None, rng) is None
    assert retries.pause(1, 4.1, rng) is None
    assert Retries(attempts=10_000).pause(9_000, None, rng) <= 10.0
    assert Retries(first_pause=0.0).pause(1, None, rng) == 0.0
    for wrong in (
        {"attempts": 0},
        {"first_pause": -1.0},
        {"longest_pause": float("nan")},
        {"longest_pause": float("inf")},
    ):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            Retries(**wrong)


def test_the_pause_of_a_response_is_seconds_or_a_date():
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert [seconds_of(text) for text in (None, "3", " 0 ", "soon", "-1", "", "1.5", "٣")] == [
        None,
        3.0,
        0.0,
        *[None] * 5,
    ]
    assert seconds_of(format_datetime(now + timedelta(seconds=90), usegmt=True), now) == 90.0
    assert seconds_of(format_datetime(now - timedelta(seconds=90), usegmt=True), now) == 0.0


def test_errors_survive_a_process_and_are_of_the_library():
    error = RateLimitedError("m", status=429, problem={"a": 1}, retry_after=2.0, request_id="r", attempts=3)
    copy = pickle.loads(pickle.dumps(error))
    assert vars(copy) == vars(error)
    assert str(copy) == "m"
    for name in kinds.__all__:
        if name != "error_class":
            assert issubclass(getattr(kinds, name), FoldinError)


def test_answers_cannot_be_changed():
    item = Item(item="i", title="t", count=3)
    with pytest.raises(dataclasses.FrozenInstanceError):
        item.count = 4
