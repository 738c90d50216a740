"""Many events at once: CSV and NDJSON over HTTP, errors that name the line, and statements for many rows."""

import json
import time

import numpy as np
import pytest

from foldin.data import read_log
from foldin.data.log.export import export_events
from foldin.errors import ConfigError
from foldin.serve import Event, EventStore, connect, import_events
from foldin.serve.api.bulk import CsvEvents, NdjsonEvents
from foldin.serve.storage.bulk import insert_many

CSV, NDJSON = {"Content-Type": "text/csv"}, {"Content-Type": "application/x-ndjson; charset=utf-8"}
START = 1_600_000_000
EVENTS = [
    {"user": "ann", "item": "i1", "time": START, "kind": "view"},
    {"user": "b,ob", "item": 'i"2', "time": START + 1, "kind": "buy", "value": 19.5},
    {"user": "에밀", "item": "i\r\n3", "time": START + 2},
    {"user": "ann", "item": "i1", "time": START, "kind": "view"},
]
AS_CSV = (
    "item,user,time,value,kind\r\n"
    "i1,ann,1600000000,,view\r\n"
    "\r\n"
    '"i""2","b,ob",2020-09-13T12:26:41Z,19.5,buy\r\n'
    '"i\r\n3",에밀,1600000002,,\r\n'
    "i1,ann,1600000000,,view"
)
AS_NDJSON = "\n".join(map(json.dumps, EVENTS[:2])) + "\n\n" + "\n".join(map(json.dumps, EVENTS[2:]))


def users(client) -> dict[str, list[dict]]:
    return {user: client.get(f"/v1/users/{user}").json()["events"] for user in ("ann", "b,ob", "에밀")}


@pytest.mark.parametrize(("body", "headers"), [(AS_CSV, CSV), (AS_NDJSON, NDJSON)], ids=["csv", "ndjson"])
def test_lines_are_stored_as_json_is(client, body, headers):
    found = client.post("/v1/events", content=body.encode(), headers=headers)
    assert found.json() == {"accepted": 3, "duplicates": 1, "replayed": False}
    kept = users(client)
    assert client.post("/v1/events", json={"events": EVENTS}).json()["accepted"] == 0
    assert users(client) == kept
    assert [(one["item"], one["time"], one["kind"], one["value"]) for one in kept["b,ob"]] == [
        ('i"2', START + 1, "buy", 19.5)
    ]
    assert kept["에밀"][0]["item"] == "i\r\n3"


def test_ids_in_a_body_are_those_that_a_file_of_it_has(client, service, tmp_path):
    """White space at the ends of an id belongs to it, wherever it is read; a kind has none."""
    body = 'user,item,time,kind\nann, 2,1600000000, view \nann,"2 ",1600000001,\n bob,2,1600000002,buy\n'
    path, url = tmp_path / "log.csv", f"sqlite:///{tmp_path}/imported.db"
    path.write_text(body, encoding="utf-8")
    assert client.post("/v1/events", content=body, headers=CSV).json()["accepted"] == 3
    import_events(path, url)
    imported = EventStore(connect(url))
    kept = {user: [one.identity for one in service.events.history(user)] for user in ("ann", " bob")}
    assert kept == {user: [one.identity for one in imported.history(user)] for user in kept}
    assert [one[1:] for one in kept["ann"]] == [(" 2", START, "view"), ("2 ", START + 1, "")]
    imported.engine.dispose()
    log = read_log(path, user="user", item="item", time="time", kind="kind")
    assert set(log.users) == {"ann", " bob"}
    assert set(log.items["item"]) == {" 2", "2 ", "2"}
    assert any("white space at an end (kept)" in note.text for note in log.report.notes)


@pytest.mark.parametrize(("make", "body"), [(CsvEvents, AS_CSV), (NdjsonEvents, AS_NDJSON)], ids=["csv", "ndjson"])
def test_a_body_may_be_cut_anywhere(make, body):
    raw = body.encode()
    whole = make(100)
    whole.take(raw, last=True)
    assert [one.user for one in whole.events] == [one["user"] for one in EVENTS]
    for size in (1, 2, 3, 7, 50):
        found = make(100)
        for at in range(0, len(raw), size):
            found.take(raw[at : at + size])
        found.take(b"", last=True)
        assert found.events == whole.events
        assert found.lines == whole.lines
    assert whole.lines == ([2, 4, 5, 7] if make is CsvEvents else [1, 2, 4, 5])


@pytest.mark.parametrize(
    ("headers", "body", "error"),
    [
        (CSV, "user,item,time\nann,i1,1\nann,,2\n", "line 3: item: a text of at least 1 character was expected"),
        (CSV, "user,item,time\nann,i1\n", "line 2: 3 fields were expected, as in the header, not 2"),
        (CSV, "user,item,value\nann,i1,much\n", "line 2: value: a number was expected, not 'much'"),
        (CSV, "user,item,value\nann,i1,1e39\n", "line 2: value: a number of at most 3.4e+38 was expected, not 1e+39"),
        (CSV, "user,item,value\nann,i1,inf\n", "line 2: value: a finite number was expected, not inf"),
        (CSV, "user,item,time\nann,i1,soon\n", "line 2: time: 'soon' is no time"),
        (CSV, "user,item,time\nann,i1,1.5\n", "line 2: time: whole seconds since 1970 were expected, not 1.5"),
        (CSV, 'user,item\nann,"i\n1"\nann,"i2\n', "line 4: a double quote is never closed"),
        (CSV, 'user,item\nann,"i1"x\n', "line 2: "),
        (
            CSV,
            "ann,i1,1\n",
            "line 1: a header of user, item and optionally time, kind, value, list_id was expected, not 'ann,i1,1'",
        ),
        (CSV, "user,item,color\nann,i1,red\n", "line 1: a header"),
        (CSV, "user,user,item\nann,ann,i1\n", "line 1: a header"),
        (CSV, "user,item\n", "no event; at least one line"),
        (CSV, "", "no event; at least one line"),
        (CSV, b"user,item\nann,i1\nann,\xff\n", "line 3: not in UTF-8"),
        (CSV, "user,item\n" + f"ann,{'y' * 2001}\n", "line 2: item: 'yyyy"),
        ({"Content-Type": "text/csv; charset=latin-1"}, "user,item\nann,i1\n", "UTF-8 was expected, not in latin-1"),
        (NDJSON, '{"user": "ann", "item": "i1"}\n{"user": "ann"}\n', "line 2: field 'item' is missing"),
        (NDJSON, '{"user": "ann", "item": "i1"}\n\n{"user": "ann",\n', "line 3: no JSON: "),
        (NDJSON, '["ann", "i1"]\n', "line 1: an object was expected, not a list"),
        (
            NDJSON,
            '{"user": "ann", "item": "i1", "hue": 1}\n',
            "line 1: there is no field 'hue'; the fields are user, item, time",
        ),
        (NDJSON, '{"user": "ann", "item": "i1", "value": "1"}\n', "line 1: value: a number was expected, not '1'"),
    ],
)
def test_an_error_names_the_line_and_nothing_is_stored(client, service, headers, body, error):
    raw = body.encode() if isinstance(body, str) else body
    answer = client.post("/v1/events", content=raw, headers=headers)
    assert answer.status_code == 422
    assert error in answer.json()["error"]
    assert service.events.history("ann") == []


def test_lines_that_are_nested_without_end_are_refused():
    with pytest.raises(ConfigError, match="line 1: no JSON: recursion limit"):
        NdjsonEvents(10).take(b"[" * 1_000_000, last=True)


def test_a_key_holds_for_lines_too(client):
    headers = {**CSV, "Idempotency-Key": "k"}
    body = "user,item,time\nann,i1,1\nann,i2,2\n"
    assert client.post("/v1/events", content=body, headers=headers).json()["accepted"] == 2
    again = client.post("/v1/events", content=body, headers=headers).json()
    assert again == {"accepted": 2, "duplicates": 0, "replayed": True}
    assert client.post("/v1/events", content=body.replace("2\n", "3\n"), headers=headers).status_code == 409
    timeless = client.post("/v1/events", content="user,item\nann,i1\n", headers=headers)
    assert "every event needs a time" in timeless.json()["error"]


def test_limits_are_those_of_the_body_and_of_bulk(client, service):
    many = "user,item,time\n" + "".join(f"u,i{at % 9},{at}\n" for at in range(500))
    assert client.post("/v1/events", content=many, headers=CSV).json()["accepted"] == 500  # JSON takes 20 here
    assert client.post("/v1/events", content=many + "x" * 20_000, headers=CSV).status_code == 413
    with pytest.raises(ConfigError, match="line 4: at most 2 events in one request"):
        CsvEvents(2).take(b"user,item\na,b\na,c\na,d\n")
    now = client.post("/v1/events", content="user,item,time\nnow,i1,\n", headers=CSV)
    assert now.json()["accepted"] == 1
    assert abs(service.events.history("now")[0].time - time.time()) < 60


def test_lines_need_the_key_that_json_needs(keyed):
    client, secrets = keyed
    for scope, status in (("read", 403), ("write", 200), (None, 401)):
        headers = {**CSV, **({} if scope is None else {"Authorization": f"Bearer {secrets[scope]}"})}
        answer = client.post("/v1/events", content="user,item,time\nann,i1,1\n", headers=headers)
        assert answer.status_code == status


def test_the_description_names_the_types_of_bodies(client):
    about = client.get("/openapi.json").json()["paths"]["/v1/events"]["post"]
    content = about["requestBody"]["content"]
    assert list(content) == ["application/json", "text/csv", "application/x-ndjson"]
    assert "EventBatch" in content["application/json"]["schema"]["$ref"]
    for media in ("text/csv", "application/x-ndjson"):
        answer = client.post("/v1/events", content=content[media]["example"], headers={"Content-Type": media})
        assert answer.json()["accepted"] + answer.json()["duplicates"] == 2
    assert client.get("/v1/events").status_code == 405
    assert client.post("/v1/events", content="user", headers={"Content-Type": "text/plain"}).status_code == 422


@pytest.mark.parametrize(("suffix", "headers"), [(".csv", CSV), (".jsonl", NDJSON)])
def test_an_exported_file_can_be_sent(client, service, tmp_path, suffix, headers):
    client.post("/v1/events", json={"events": EVENTS})
    export_events(str(service.events.engine.url), tmp_path / f"events{suffix}")
    answer = client.post("/v1/events", content=(tmp_path / f"events{suffix}").read_bytes(), headers=headers)
    assert answer.json() == {"accepted": 0, "duplicates": 3, "replayed": False}


def test_many_rows_are_stored_as_few_are(store):
    """The statements for many rows leave the events and the order of arrival that those for few do."""
    rng = np.random.default_rng(0)
    draw = lambda most: int(rng.integers(most))
    batch = [Event(f"u{draw(5)}", f"i{draw(40)}", draw(20), ("", "buy")[draw(2)], float(draw(9))) for _ in range(1200)]
    few = [store.append(batch[at : at + 100]) for at in range(0, 1200, 100)]
    kept = {user: store.history(user) for user in (f"u{at}" for at in range(5))}
    for user in kept:
        store.erase(user)
    store.append(batch[:10])
    receipt = store.append(batch)
    assert receipt.accepted + len({one.identity for one in batch[:10]}) == sum(one.accepted for one in few)
    assert receipt.accepted + receipt.duplicates == 1200
    assert {user: store.history(user) for user in kept} == kept
    with store.engine.begin() as connection:
        assert insert_many(connection, [], START) == 0
    more = [*batch, Event("x", "".join(chr(1000 + draw(3000)) for _ in range(9000)), 1)]
    if store.engine.dialect.name == "sqlite":  # which takes ids of any length
        assert store.append(more).accepted == 1
        return
    with pytest.raises(ConfigError, match="too long for an index"):
        store.append(more)
    assert {user: store.history(user) for user in kept} == kept


def test_a_header_of_movielens_is_read_as_an_import_of_the_file_reads_it(client, service):
    body = "userId,movieId,rating,timestamp\nann,i1,4.5,1000000000\n"
    assert client.post("/v1/events", content=body, headers=CSV).json()["accepted"] == 1
    (event,) = service.events.history("ann")
    assert (event.item, event.value, event.time) == ("i1", 4.5, 1_000_000_000)


def test_a_body_of_another_type_is_refused_by_its_type(client):
    answer = client.post("/v1/events", content="user,item\nann,i1\n", headers={"Content-Type": "text/plain"})
    assert answer.status_code == 422
    said = "Content-Type: application/json or text/csv or application/x-ndjson was expected, not text/plain"
    assert answer.json()["error"] == said
