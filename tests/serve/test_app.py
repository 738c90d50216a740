"""The service over HTTP: lists, events, users, models, who may call, and what goes wrong."""

import json
import logging
import threading

import numpy as np
import pytest
from fastapi.testclient import TestClient

from foldin.data import Histories
from foldin.runs import load_run
from foldin.serve import ResolvedRequest, make_app, rank_requests
from foldin.serve.api.middleware import DATA_HEADERS, HEADERS
from tests.lists import recommend
from tests.serve.asking import ask, items
from tests.serve.conftest import ITEMS


@pytest.mark.parametrize("name", ["multvae", "ease", "popularity"])
def test_lists_over_http_are_the_library_s_to_the_bit(client, runs, name):
    run = load_run(runs[name])
    for history in ([], [0], [1, 3, 5], [2, 4, 0, 6, 8]):
        found = ask(client, history=[f"i{at}" for at in history], k=7, model=name)
        exact = recommend(run.model, Histories.from_lists([history], ITEMS), 7)
        kept = exact.items[0] >= 0
        assert items(found) == [f"i{at}" for at in exact.items[0][kept]]
        if run.model.has_likelihood:
            probabilities = [float(np.exp(float(score))) for score in exact.scores[0][kept]]
            assert [hit["probability"] for hit in found["items"]] == probabilities
        else:
            assert [hit["score"] for hit in found["items"]] == [float(score) for score in exact.scores[0][kept]]
        assert found["prior"] == (not history)
        assert found["known_events"] == len(history)
        assert found["items"][0]["title"].startswith("Film ")


def test_requests_of_one_batch_are_each_answered_by_their_own_rules(runs):
    model = load_run(runs["multvae"]).model
    banned = np.zeros(ITEMS, dtype=bool)
    banned[[6, 8]] = True
    wanted = [
        ResolvedRequest((0, 2), 5),
        ResolvedRequest((0, 2), 3, exclude_seen=False),
        ResolvedRequest((0, 2), 9, barred=banned),
        ResolvedRequest((), 4),
        ResolvedRequest(tuple(range(ITEMS)), 4),
    ]
    together = rank_requests(model, wanted)
    for one, found in zip(wanted, together, strict=True):
        (alone,) = rank_requests(model, [one])
        assert found.items.tolist() == alone.items.tolist()
        assert np.allclose(found.scores, alone.scores, atol=1e-5)
    assert not set(together[0].items[0]) & {0, 2}
    assert set(together[1].items[0]) & {0, 2}
    assert not set(together[2].items[0]) & {0, 2, 6, 8}
    assert together[4].items.size == 0


def test_an_event_is_seen_by_the_next_list(client):
    assert ask(client, user="anna")["prior"]
    events = [{"user": "anna", "item": f"i{at}", "time": at} for at in (0, 2, 4)]
    response = client.post("/v1/events", json={"events": events}).json()
    assert response == {"accepted": 3, "duplicates": 0, "replayed": False}
    found = ask(client, user="anna", k=5)
    assert found["known_events"] == 3
    assert not found["prior"]
    assert items(found) == items(ask(client, history=["i0", "i2", "i4"], k=5))
    client.post("/v1/events", json={"events": [{"user": "anna", "item": items(found)[0]}]})
    assert items(found)[0] not in items(ask(client, user="anna", k=5))


def test_unknown_items_are_reported_and_the_rest_is_served(client):
    found = ask(client, history=["i0", "nothing", "i2"], deny=["i4", "neither"])
    assert found["unknown_items"] == ["nothing", "neither"]
    assert found["known_events"] == 2
    assert "i4" not in items(found)
    client.post("/v1/events", json={"events": [{"user": "b", "item": "later", "time": 1}]})
    assert ask(client, user="b")["unknown_items"] == ["later"]


def test_allow_and_deny_and_attributes_decide_what_may_be_listed(client):
    assert set(items(ask(client, allow=["i1", "i2", "i3"], deny=["i2"]))) == {"i1", "i3"}
    odd = items(ask(client, history=["i0"], k=20, filter={"kind": {"any_of": ["odd"]}}))
    assert set(odd) == {f"i{at}" for at in range(1, ITEMS, 2)}
    late = items(ask(client, k=20, filter={"year": {"low": 1990, "high": 1992}}))
    assert set(late) == {"i10", "i11", "i12"}  # i0 has no year
    assert items(ask(client, filter={"kind": {"contains": "OD"}, "year": {"high": 1982}})) == ["i1"]
    assert "no feature 'color'; there are count, kind, year" in ask(client, 422, filter={"color": {}})["error"]
    assert "low and high need numbers" in ask(client, 422, filter={"kind": {"low": 1}})["error"]


def test_many_are_answered_together(client):
    requests = [{"history": [f"i{at}"], "k": 3} for at in range(10)]
    found = ask(client, path="/v1/recommendations:batch", requests=requests)["answers"]
    for at, one in enumerate(found):
        alone = ask(client, history=[f"i{at}"], k=3)
        assert items(one) == items(alone)
    assert "at most 20" in ask(client, 422, path="/v1/recommendations:batch", requests=requests * 3)["error"]


def test_events_keep_their_kind_and_value(client):
    one = {"user": "kinds", "item": "i0", "time": 5}
    batch = {"events": [{**one, "kind": "view"}, {**one, "kind": "buy", "value": 12.5}, one]}
    assert client.post("/v1/events", json=batch).json()["accepted"] == 3
    kept = client.get("/v1/users/kinds").json()["events"]
    assert [(event["kind"], event["value"]) for event in kept] == [("view", None), ("buy", 12.5), ("", None)]
    spelled = [{**one, "kind": kind} for kind in (" view", "view\t", "null", "-")]  # as a file would be read
    assert client.post("/v1/events", json={"events": spelled}).json()["duplicates"] == 4
    found = client.post("/v1/recommendations", json={"user": "kinds"}).json()
    assert found["known_events"] == 1  # the model's log kept one event of a user with an item
    for wrong in (
        {"kind": "장바구니" * 6},
        {"kind": "a\0b"},
        {"kind": 3},
        {"value": "much"},
        {"value": True},
        {"value": 1e39},
    ):
        assert client.post("/v1/events", json={"events": [{**one, **wrong}]}).status_code == 422


def test_events_sent_again_count_once(client):
    batch = {"events": [{"user": "c", "item": "i0", "time": 5}]}
    headers = {"Idempotency-Key": "order-1"}
    assert client.post("/v1/events", json=batch, headers=headers).json()["accepted"] == 1
    again = client.post("/v1/events", json=batch, headers=headers).json()
    assert again == {"accepted": 1, "duplicates": 0, "replayed": True}
    other = {"events": [{"user": "c", "item": "i1", "time": 5}]}
    assert client.post("/v1/events", json=other, headers=headers).status_code == 409
    timeless = {"events": [{"user": "c", "item": "i1"}]}
    assert client.post("/v1/events", json=timeless, headers={"Idempotency-Key": "n"}).status_code == 422


def test_users_can_be_exported_and_erased(client):
    events = [{"user": "d/e", "item": "i1", "time": 2}, {"user": "d/e", "item": "i0", "time": 1}]
    client.post("/v1/events", json={"events": [dict(one, user="d e") for one in events]})
    kept = client.get("/v1/users/d%20e").json()
    assert kept["user"] == "d e"
    assert [(one["item"], one["time"], one["title"]) for one in kept["events"]] == [
        ("i0", 1, "Film 0, the even one"),
        ("i1", 2, "Film 1, the odd one"),
    ]
    assert client.delete("/v1/users/d%20e").json() == {"user": "d e", "erased_events": 2}
    assert client.get("/v1/users/d%20e").json()["events"] == []
    assert ask(client, user="d e")["prior"]
    client.post("/v1/events", json={"events": [dict(one, user="d/e") for one in events]})
    assert client.delete("/v1/users/d%2Fe").json() == {"user": "d/e", "erased_events": 2}


def test_items_are_found_by_title_and_by_likeness(client):
    found = client.get("/v1/items", params={"q": "film 1,"}).json()["items"]
    assert [one["item"] for one in found] == ["i1"]
    assert len(client.get("/v1/items", params={"q": "the odd", "limit": 3}).json()["items"]) == 3
    alike = client.get("/v1/items/i0/similar", params={"limit": 5}).json()["items"]
    assert len(alike) == 5
    assert all(int(one["item"][1:]) % 2 == 0 for one in alike[:3])
    likeness = [one["similarity"] for one in alike]
    assert likeness == sorted(likeness, reverse=True)
    other = client.get("/v1/items/i0/similar", params={"limit": 3, "model": "popularity"}).json()["items"]
    assert len(other) == 3
    assert client.get("/v1/items/none/similar").status_code == 404


def test_models_are_deployed_rolled_back_and_divided(client, runs):
    names = {one["name"]: one for one in client.get("/v1/models").json()["models"]}
    assert set(names) == {"multvae", "ease", "popularity", "semantic"}
    assert names["multvae"]["default"]
    assert names["multvae"]["has_posterior"]
    response = client.post("/v1/models", json={"run": str(runs["popularity"]), "name": "multvae"})
    assert response.status_code == 200
    now = {one["name"]: one for one in response.json()["models"]}
    assert now["multvae"]["kind"] == "popularity"
    assert now["multvae"]["can_roll_back"]
    assert client.post("/v1/models/multvae:rollback").json()["models"][1]["kind"] == "multvae"
    assert client.post("/v1/models/ease:rollback").status_code == 422
    assert client.put("/v1/split", json={"shares": {"ease": 0.5, "multvae": 0.5}}).status_code == 200
    assert {ask(client, user=f"p{at}")["model"] for at in range(30)} == {"ease", "multvae"}
    for run in ("/etc", str(runs["ease"].parent / ".." / "elsewhere")):
        refused = client.post("/v1/models", json={"run": run})
        assert refused.status_code == 422
        assert "not inside a folder" in refused.json()["error"]
    assert "no model 'other'" in ask(client, 422, model="other")["error"]


def test_a_missing_key_a_wrong_one_and_a_missing_scope_are_three_errors(keyed):
    client, secrets = keyed
    missing = client.get("/v1/models")
    wrong = client.get("/v1/models", headers={"Authorization": "Bearer foldin_none"})
    lacking = client.put("/v1/split", json={"shares": {}}, headers={"Authorization": f"Bearer {secrets['read']}"})
    either = client.get("/v1/users/a", headers={"Authorization": f"Bearer {secrets['admin']}"})
    assert [one.status_code for one in (missing, wrong, lacking, either)] == [401, 401, 403, 403]
    assert missing.json()["error"] == "a key is needed: Authorization: Bearer …"
    assert missing.headers["www-authenticate"] == "Bearer"
    assert wrong.json()["error"] == "the key that was sent is wrong: it was mistyped, or revoked"
    assert wrong.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert lacking.json()["error"] == "the key 'read' lacks the scope 'admin'; it has 'read'"
    assert lacking.headers["www-authenticate"] == 'Bearer error="insufficient_scope", scope="admin"'
    assert "lacks the scope 'read' or 'write'" in either.json()["error"]


def test_keys_open_what_their_scopes_say(keyed):
    client, secrets = keyed

    def status(scope, method, path, **more):
        headers = {"Authorization": f"Bearer {secrets[scope]}"} if scope else {}
        return client.request(method, path, headers=headers, **more).status_code

    calls = {
        "read": [("POST", "/v1/recommendations", {"json": {}}), ("GET", "/v1/items", {}), ("GET", "/metrics", {})],
        "write": [
            ("POST", "/v1/events", {"json": {"events": [{"user": "a", "item": "b"}]}}),
            ("DELETE", "/v1/users/a", {}),
        ],
        "admin": [("PUT", "/v1/split", {"json": {"shares": {}}})],
    }
    for needed, some in calls.items():
        for method, path, more in some:
            for scope in secrets:
                assert status(scope, method, path, **more) == (200 if scope == needed else 403)
            assert status(None, method, path, **more) == 401
    assert [status(scope, "GET", "/v1/users/a") for scope in ("read", "write", "admin")] == [200, 200, 403]
    assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Origin": "http://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Host": "127.0.0.1.evil.example:8000"},
    ],
)
def test_without_keys_other_pages_cannot_call_through_the_browser(client, headers):
    assert client.post("/v1/models/multvae:rollback", headers=headers).status_code == 403
    assert client.post("/v1/recommendations", json={}, headers=headers).status_code == 403
    for own in ({"Host": "127.0.0.1:8000"}, {"Host": "localhost"}, {"Host": "[::1]:9", "Origin": "http://[::1]:9"}):
        assert client.post("/v1/recommendations", json={}, headers=own).status_code == 200


def test_a_key_has_a_rate(service, runs):
    object.__setattr__(service.limits, "rate", 0.001)
    object.__setattr__(service.limits, "burst", 3)
    with TestClient(make_app(service, None), base_url="http://localhost") as client:
        codes = [client.get("/v1/models").status_code for _ in range(5)]
        assert codes == [200, 200, 200, 429, 429]
        assert int(client.get("/v1/models").headers["retry-after"]) > 100


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"k": 0}, "body.k"),
        ({"k": 101}, "k: at most 100, not 101"),
        ({"history": ["i0"] * 51}, "history: at most 50 items, not 51"),
        ({"user": "a", "history": ["i0"]}, "exclude each other"),
        ({"temperature": 0}, "body.temperature"),
        ({"color": 1}, "body: there is no field 'color'; the fields are user, history, times"),
        ({"explore": "always"}, "body.explore"),
        ({"seed": -1}, "body.seed"),
        ({"history": "i0"}, "body.history"),
        ({"allow": ["i0"] * 101}, "allow: at most 100"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(client, body, message):
    found = ask(client, 422, **body)
    assert message in found["error"]
    assert "\n" not in found["error"]
    assert found["request_id"]


def test_bodies_have_a_bound_announced_or_not(client):
    large = json.dumps({"history": ["x" * 190] * 200}).encode()
    assert client.post("/v1/recommendations", content=large).status_code == 413

    def parts():
        for at in range(0, len(large), 1000):
            yield large[at : at + 1000]

    response = client.post("/v1/recommendations", content=parts())
    assert response.status_code == 413
    assert "body: at most 20,000 bytes" in response.json()["error"]
    assert client.post("/v1/recommendations", content=b"{").status_code == 422
    assert client.get("/nothing").status_code == 404
    assert client.get("/v1/recommendations").status_code == 405


def test_every_answer_is_dressed_for_a_browser_and_named_in_the_log(client, caplog):
    with caplog.at_level(logging.INFO, logger="foldin.serve"):
        response = client.get("/v1/models", headers={"X-Request-Id": "abc-1"})
    assert response.headers["x-request-id"] == "abc-1"
    for name, value in DATA_HEADERS.items():
        assert response.headers[name] == value
    page = client.get("/")
    for name, value in HEADERS.items():
        assert page.headers[name] == value
    assert "access-control-allow-origin" not in response.headers
    lines = [json.loads(one.message) for one in caplog.records if one.name == "foldin.serve"]
    line = next(one for one in lines if one.get("request_id") == "abc-1")
    assert (line["method"], line["path"], line["status"]) == ("GET", "/v1/models", 200)
    odd = client.get("/healthz", headers={"X-Request-Id": "a b\tc"})
    assert odd.headers["x-request-id"] != "a b\tc"


def test_state_and_figures_are_told(client, service):
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"models": True, "events": True, "deployments": True}
    ask(client)
    text = client.get("/metrics").text
    assert 'foldin_lists_total{explore="none",model="multvae"}' in text
    assert 'foldin_requests_total{method="POST",path="/v1/recommendations",status="200"}' in text
    service.events.engine.dispose()
    service.events.ready = lambda: False
    assert client.get("/readyz").status_code == 503


def test_a_full_queue_is_503_with_a_time_to_come_back(client, service):
    entered, leave = threading.Event(), threading.Event()
    deployment = service.registry.get("multvae")
    deployment.batch_seconds = 1.0  # too slow for the event loop: its thread answers
    batcher = deployment.batcher
    work = batcher._work

    def slow(wanted):
        entered.set()
        leave.wait(10)
        return work(wanted)

    batcher._work = slow
    batcher._queue.maxsize = 1
    threads = [threading.Thread(target=ask, args=(client,)) for _ in range(2)]
    threads[0].start()
    entered.wait(10)
    threads[1].start()
    while batcher.waiting() == 0:
        pass
    response = client.post("/v1/recommendations", json={})
    assert response.status_code == 503
    assert response.headers["retry-after"] == "1"
    assert "1 requests are waiting" in response.json()["error"]
    leave.set()
    for thread in threads:
        thread.join()


def test_the_interface_is_described_to_the_field(client):
    described = client.get("/openapi.json").json()
    paths = described["paths"]
    assert {"/v1/recommendations", "/v1/events", "/v1/users/{user}", "/v1/models", "/healthz"} <= set(paths)
    for name, schema in described["components"]["schemas"].items():
        if name in {"HTTPValidationError", "ValidationError"}:
            continue
        assert schema.get("description"), name
    question = described["components"]["schemas"]["RecommendRequest"]["properties"]
    assert all(one.get("description") or "$ref" in json.dumps(one) for one in question.values())
