"""Both clients against the real service: every route, what is stored, and what is refused."""

import dataclasses
import inspect
import json
import socket
from datetime import UTC, datetime
from uuid import uuid4

import numpy as np
import pytest

from foldin.client import (
    AsyncClient,
    Boost,
    Cap,
    Client,
    ConflictError,
    Event,
    ForbiddenError,
    InvalidRequestError,
    ItemChange,
    ItemFilter,
    NoResponseError,
    NotFoundError,
    Pin,
    RecommendRequest,
    Rules,
    UnauthenticatedError,
    experiment_routes,
    item_routes,
    model_routes,
    routes,
    studio_routes,
)
from foldin.client.connecting import API_KEY, Connection
from foldin.errors import ConfigError
from foldin.serve import KeyRing, make_app
from tests.client.conftest import QUICK, serving

METHODS = {
    name: getattr(part, name)
    for part in (routes, experiment_routes, item_routes, model_routes, studio_routes)
    for name in part.__all__
}


def as_json(answer):
    """An answer as the JSON that it was read from."""
    if dataclasses.is_dataclass(answer):
        return json.loads(json.dumps(dataclasses.asdict(answer)))
    if isinstance(answer, tuple):
        return [as_json(one) for one in answer]
    return answer


def without_list_ids(answer):
    """An answer in JSON without the ids of lists, which no two lists share."""
    if isinstance(answer, dict):
        return {name: without_list_ids(one) for name, one in answer.items() if name != "list_id"}
    return [without_list_ids(one) for one in answer] if isinstance(answer, list) else answer


FILTER = {"kind": ItemFilter(any_of=["odd"]), "year": ItemFilter(low=1985)}
RICH = {"history": ["i0", "i3", "none"], "times": [1, "1970-01-02T00:00:00Z", 3], "k": 3, "deny": ["i5"], "seed": 1}
RICH |= {"explore": "temperature", "temperature": 1.5, "attributions": True, "uncertainty": True, "exclude_seen": False}
RULES = Rules(
    boosts=[Boost(where={"kind": ItemFilter(any_of=["odd"])}, log_weight=0.5)],
    caps=[Cap(feature="kind", most=2)],
    pins=[Pin(item="i0", position=1, forced=True)],
)
CALLS = {  # name → arguments, the same in plain HTTP, and where in the body the answer is
    "recommend": (((), RICH), ("POST", "/v1/recommendations", RICH), None),
    "recommend, ease": (
        ((), {"history": ["i0"], "filter": FILTER, "model": "ease"}),
        (
            *("POST", "/v1/recommendations"),
            {"history": ["i0"], "filter": {"kind": {"any_of": ["odd"]}, "year": {"low": 1985}}, "model": "ease"},
        ),
        None,
    ),
    "recommend, under rules": (
        ((), {"history": ["i0"], "model": "ease", "k": 4, "rules": RULES}),
        (
            *("POST", "/v1/recommendations"),
            {
                **{"history": ["i0"], "model": "ease", "k": 4},
                "rules": {
                    "boosts": [{"where": {"kind": {"any_of": ["odd"]}}, "log_weight": 0.5}],
                    "caps": [{"feature": "kind", "most": 2}],
                    "pins": [{"item": "i0", "position": 1, "forced": True}],
                },
            },
        ),
        None,
    ),
    "recommend_many": (
        (([RecommendRequest(history=["i1"], k=2), RecommendRequest(k=1)],), {}),
        ("POST", "/v1/recommendations:batch", {"requests": [{"history": ["i1"], "k": 2}, {"k": 1}]}),
        "answers",
    ),
    "items": (
        (("odd film",), {"limit": 3, "model": "ease"}),
        ("GET", "/v1/items?q=odd+film&limit=3&model=ease", None),
        "items",
    ),
    "item": ((("i0",), {}), ("GET", "/v1/items/i0", None), None),
    "similar": ((("i0",), {"limit": 4}), ("GET", "/v1/items/i0/similar?limit=4", None), "items"),
    "models": (((), {}), ("GET", "/v1/models", None), None),
    "changes": (((), {"limit": 5}), ("GET", "/v1/changes?limit=5", None), "changes"),
    "drift": (((), {"model": "multvae", "limit": 2}), ("GET", "/v1/drift?model=multvae&limit=2", None), "drift"),
    "health": (((), {}), ("GET", "/healthz", None), None),
    "ready": (((), {}), ("GET", "/readyz", None), None),
    "report": ((("multvae",), {}), ("GET", "/v1/models/multvae/report", None), None),
    "item_map": ((("multvae",), {}), ("GET", "/v1/models/multvae/map", None), None),
    "user_on_map": (
        (("multvae", ["i0", "i2"]), {"seed": 3}),
        ("POST", "/v1/models/multvae/map:user", {"history": ["i0", "i2"], "seed": 3}),
        None,
    ),
    "book": (((), {}), ("GET", "/v1/book", None), None),
    "lab_em": (((), {"components": 2, "steps": 3}), ("GET", "/v1/lab/em?components=2&steps=3", None), None),
    "lab_vi": (((), {"events": 2, "steps": 4}), ("GET", "/v1/lab/vi?events=2&steps=4", None), None),
    "lab_diffusion": (((), {"steps": 2, "eta": 1.0}), ("GET", "/v1/lab/diffusion?steps=2&eta=1", None), None),
}


@pytest.mark.parametrize("name", CALLS)
def test_an_answer_is_the_json_of_the_service(ask, plain, name):
    (args, kwargs), (method, path, body), where = CALLS[name]
    answer = ask(name.split(",")[0], *args, **kwargs)
    response = plain.request(method, path, json=body)
    assert response.status_code == 200, response.text
    expected = response.json() if where is None else response.json()[where]
    assert expected
    assert without_list_ids(as_json(answer)) == without_list_ids(expected)


def test_lists_have_their_ids_and_unknown_items(ask):
    found = ask("recommend", history=["i0", "none"], k=3)
    assert found.ids == tuple(hit.item for hit in found.items)
    assert len(found.ids) == 3
    assert found.unknown_items == ("none",)
    assert found.items[0].raised_by is None


def test_events_are_stored_listed_and_erased(ask):
    user = "a/ü ?&#.% 사람"
    ask("erase_user", user)
    first = ask("add_event", user, "i0", time=datetime(2020, 1, 1, tzinfo=UTC), kind="view", value=2.5)
    assert (first.accepted, first.duplicates, first.replayed) == (1, 0, False)
    again = ask("add_event", user, "i0", time="2020-01-01T01:00:00+01:00", kind="view", value=2.5)
    assert (again.accepted, again.duplicates) == (0, 1)
    before = int(datetime.now(UTC).timestamp())
    ask("add_event", user, "i2")
    stored = ask("user", user)
    assert stored.user == user
    assert [(one.item, one.kind, one.value) for one in stored.events] == [("i0", "view", 2.5), ("i2", "", None)]
    assert stored.events[0].time == 1_577_836_800
    assert stored.events[0].title == "Film 0, the even one"
    assert before <= stored.events[1].time <= datetime.now(UTC).timestamp()
    assert ask("recommend", user).known_events == 2
    assert ask("erase_user", user).erased_events == 2
    assert ask("recommend", user).prior


@pytest.mark.parametrize("user", [".", "..", "...", "a/../b", "%2e%2e", "/", "a//b", "similar"])
def test_ids_that_look_like_paths_are_ids(ask, user):
    ask("add_event", user, "i1", time=1)
    assert ask("user", user).user == user
    assert ask("erase_user", user).erased_events == 1


def test_items_are_inserted_changed_and_retired(ask):
    item = "a/ü ?&#.% 물건"
    made = ask("put_item", item, title="New", features={"kind": "odd", "year": None})
    assert (made.title, dict(made.features), made.models) == ("New", {"kind": "odd", "year": None}, ())
    receipt = ask("put_items", [ItemChange(item, is_active=False), ItemChange("i9", title="Ninth")])
    assert receipt.accepted == 2
    assert (ask("item", item).title, ask("item", item).is_active) == ("New", False)
    assert ask("items", item=["i9"])[0].title == "Ninth"
    with pytest.raises(InvalidRequestError, match="whole numbers were expected"):
        ask("put_item", "i9", features={"year": "old"})


def test_many_events_are_sent_in_chunks(ask):
    ask("erase_user", "many")
    events = [Event("many", f"i{at}", at) for at in range(19)] + [Event("many", "i0", 0)]
    receipt = ask("add_events", iter(events), chunk=6)
    assert (receipt.accepted, receipt.duplicates, receipt.replayed) == (19, 1, False)
    key = uuid4().hex
    keyed = ask("add_events", events, chunk=7, idempotency_key=key)
    assert (keyed.accepted, keyed.duplicates, keyed.replayed) == (0, 20, False)
    assert ask("add_events", events, chunk=7, idempotency_key=key).replayed
    assert ask("add_events", []) == dataclasses.replace(receipt, accepted=0, duplicates=0)
    # Of long ids fewer fit into a request: the service takes 20,000 bytes here, and by default a mebibyte.
    with pytest.raises(InvalidRequestError, match="at most 20,000 bytes") as refused:
        ask("add_events", [Event("many", "x" * 1900, at) for at in range(20)], chunk=19)
    assert refused.value.status == 413
    assert ask("erase_user", "many").erased_events == 19


def test_events_before_a_refused_request_are_stored_and_the_error_says_so(ask):
    events = [*(Event("half", f"i{at}", at) for at in range(4)), Event("half", "i9", "yesterday")]
    with pytest.raises(InvalidRequestError, match="is no time") as refused:
        ask("add_events", events, chunk=2)
    assert refused.value.__notes__ == ["2 requests of this call succeeded before"]
    assert ask("erase_user", "half").erased_events == 4


def test_models_are_deployed_rolled_back_divided_and_retired(ask, served_runs):
    before = ask("models").revision
    deployed = ask("deploy", served_runs["ease"], name="third")
    assert [one.name for one in deployed.models] == ["ease", "multvae", "third"]
    ask("deploy", served_runs["multvae"], name="third")
    back = ask("roll_back", "third")
    assert {one.name: one.kind for one in back.models}["third"] == "ease"
    row = {one.name: one for one in back.deployments}["third"]
    assert (row.wanted, row.problem, row.retired) == (row.serving, None, False)
    with pytest.raises(ConflictError, match="has generation") as changed:
        ask("make_default", "third", generation=row.generation - 1)
    assert changed.value.problem["found"] == row.generation
    default = ask("make_default", "third", generation=row.generation)
    assert {one.name for one in default.models if one.default} == {"third"}
    ask("make_default", "ease")
    shares = {one.name: one.share for one in ask("split", {"ease": 0.25, "third": 0.75}).models}
    assert shares == {"ease": 0.25, "multvae": None, "third": 0.75}
    with pytest.raises(ConflictError, match="revision"):
        ask("split", {}, revision=before)
    assert all(one.share is None for one in ask("split", {}).models)
    assert [one.name for one in ask("retire", "third").models] == ["ease", "multvae"]
    done = ask("changes", limit=3)
    assert [one.action for one in done] == ["retire", "split", "split"]
    assert ask("changes", limit=1, before=done[-1].revision)[0].action == "default"
    with pytest.raises(InvalidRequestError, match="is not inside a folder"):
        ask("deploy", "/nowhere")
    with pytest.raises(InvalidRequestError, match="no previous"):
        ask("roll_back", "ease")


def test_a_split_is_an_experiment_whose_outcome_is_read(ask):
    number = ask("split", {"ease": 0.25, "multvae": 0.75}).revision
    try:
        newest = ask("experiments", limit=1)[0]
        assert (newest.id, newest.end, newest.shares) == (number, None, {"ease": 0.25, "multvae": 0.75})
        outcome = ask("experiment", number, window=60, weights={"buy": 2.0, "view": 0.5}, control="multvae", margin=0.1)
        assert (outcome.experiment, outcome.control, outcome.window, outcome.margin) == (newest, "multvae", 60, 0.1)
        assert [(arm.model, arm.users, arm.mean) for arm in outcome.arms] == [("ease", 0, None), ("multvae", 0, None)]
        assert (outcome.differences[0].arm, outcome.differences[0].verdict) == ("ease", "undecided")
        with pytest.raises(NotFoundError, match="no experiment 99999"):
            ask("experiment", 99_999)
    finally:
        ask("split", {})


def test_metrics_are_text_and_a_service_that_is_not_ready_is_no_error(ask, service, monkeypatch):
    assert "foldin_requests_total" in ask("metrics")
    assert ask("ready")
    monkeypatch.setattr(service.events, "ready", lambda: False)
    assert not ask("ready")
    assert ask("ready").models


def test_what_is_refused_has_its_status_problem_and_request(ask):
    with pytest.raises(NotFoundError, match=r"GET /v1/items/\{item\}/similar: 404: .*not in the catalog") as missing:
        ask("similar", "none")
    assert missing.value.status == 404
    assert missing.value.problem["request_id"] == missing.value.request_id
    assert len(missing.value.request_id) == 32
    assert missing.value.attempts == 1
    with pytest.raises(InvalidRequestError, match=r"body\.k") as invalid:
        ask("recommend", k=0)
    assert invalid.value.status == 422
    with pytest.raises(InvalidRequestError, match="tokens"):
        ask("codes", "ease", [1, 2])
    with pytest.raises(NotFoundError, match="no film 'none'"):
        ask("film", "none", speed="1")


def test_requests_that_cannot_be_sent_are_refused_before(ask):
    wrong = [
        ("recommend", {"history": "i0"}, "history: a list was expected, not 'i0'"),
        ("recommend", {"temperature": float("nan")}, "Out of range float"),
        ("recommend", {"history": [object()]}, "is a object"),
        ("recommend", {"user": "\ud800"}, "surrogates not allowed"),
        ("recommend", {"history": ["i0"], "times": [datetime(2020, 1, 1)]}, "no time zone"),
        ("user", {"user": ""}, "user: a text that is not empty"),
        ("user", {"user": 7}, "user: a text that is not empty"),
        ("user", {"user": "\ud800"}, "user: it is not valid Unicode"),
        ("items", {"q": "\ud800"}, "not valid Unicode"),
        ("add_events", {"events": [], "chunk": 0}, "chunk: at least 1, not 0"),
        ("add_event", {"user": "u", "item": "i", "idempotency_key": "a\nb"}, "idempotency_key: printable ASCII"),
        ("user_on_map", {"name": "ease", "history": "i0"}, "history: a list was expected"),
    ]
    for name, arguments, message in wrong:
        with pytest.raises(ConfigError, match=message):
            ask(name, **arguments)
    with pytest.raises(ConfigError, match="any_of: a list was expected"):
        ItemFilter(any_of="odd")


def test_numbers_of_numpy_are_sent(ask):
    found = ask("recommend", history=np.array(["i0"]), times=np.array([5]), k=np.int64(2), temperature=np.float32(2))
    assert len(found.items) == 2


def test_keys_come_as_argument_or_from_the_environment(service, monkeypatch):
    ring = KeyRing(service.events.engine)
    secret = ring.create("client", ["read"])
    monkeypatch.delenv(API_KEY, raising=False)
    with serving(make_app(service, ring)) as address:
        with Client(address) as client:
            assert client.health() == {"status": "ok"}
            with pytest.raises(UnauthenticatedError, match="a key is needed"):
                client.models()
        with Client(address, api_key=secret) as client:
            assert client.models()
            with pytest.raises(ForbiddenError, match="lacks the scope 'write'"):
                client.erase_user("u")
            assert secret not in repr(client) + repr(client.connection)
        monkeypatch.setenv(API_KEY, secret)
        with Client(address) as client:
            assert client.models()
        with Client(address, api_key="foldin_wrong") as client, pytest.raises(UnauthenticatedError):
            client.models()


def test_a_service_that_is_not_there_is_named_after_the_last_attempt():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with Client(f"http://127.0.0.1:{port}", retries=QUICK) as client:
        with pytest.raises(NoResponseError, match=r"GET /v1/models: no response: ConnectError .*\(attempt 4\)") as gone:
            client.models()
        assert gone.value.attempts == 4
        with pytest.raises(NoResponseError) as unsent:  # nothing was sent, and may be sent again
            client.erase_user("u")
        assert unsent.value.attempts == 4


@pytest.mark.parametrize(
    ("address", "settings", "message"),
    [
        ("127.0.0.1:8000", {}, "address: http://HOST"),
        ("ftp://host", {}, "address: http://HOST"),
        ("http://", {}, "address: http://HOST"),
        ("http://host:99999", {}, "address: http://HOST"),
        ("http://host/?a=b", {}, "address: http://HOST"),
        ("http://user:secret@host", {}, "must not have a user"),
        ("http://[", {}, "address: http://HOST"),
        ("http://host", {"api_key": "a b"}, "api_key"),
        ("http://host", {"api_key": "a\r\nb"}, "api_key"),
        ("http://host", {"api_key": "ключ"}, "api_key"),
        ("http://host", {"timeout": 0}, "timeout: a positive number"),
        ("http://host", {"connections": -1}, "connections: a positive number"),
    ],
)
def test_wrong_settings_are_refused_without_showing_a_secret(address, settings, message):
    for kind in (Client, AsyncClient):
        with pytest.raises(ConfigError, match=message) as refused:
            kind(address, **settings)
        assert "secret" not in str(refused.value)


def test_an_address_may_have_a_path():
    assert Connection("https://host/api/").url("/v1/items?q=a") == "https://host/api/v1/items?q=a"


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize("name", METHODS)
def test_every_route_is_a_method_with_the_arguments_of_its_call(kind, name):
    method, build = getattr(kind, name), METHODS[name]
    parameters = list(inspect.signature(method).parameters.values())
    assert parameters[0].name == "self"
    assert parameters[1:] == list(inspect.signature(build).parameters.values())
    assert method.__name__ == name
    assert method.__doc__
    assert inspect.iscoroutinefunction(method) == (kind is AsyncClient)


def test_the_arguments_of_a_list_are_those_of_its_request():
    fields = [one.name for one in dataclasses.fields(RecommendRequest)]
    assert list(inspect.signature(Client.recommend).parameters)[1:] == fields
