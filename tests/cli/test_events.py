"""`foldin events`, and the URL of a store in place of a path: nothing is stored twice, lost or shown that is secret."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sqlalchemy.exc import SQLAlchemyError

from foldin.data import read_log
from foldin.serve import Event, EventStore, Impression, ImpressionStore, connect
from foldin.serve.storage.importing import import_events

START = 1_600_000_000


def events_of(url: str) -> list[tuple[object, ...]]:
    """The events of a store in the order of arrival."""
    engine = connect(url)
    with engine.connect() as connection:
        rows = connection.exec_driver_sql(
            "SELECT user_id, item, time, kind, value FROM foldin_events ORDER BY id"
        ).all()
    engine.dispose()
    return [tuple(row) for row in rows]


def table(count: int, seed: int = 0) -> pl.DataFrame:
    """Distinct events in no order of time."""
    rng = np.random.default_rng(seed)
    frame = pl.DataFrame(
        {
            "user": [f"u{at}" for at in rng.integers(40, size=count)],
            "item": [f"i{at}" for at in rng.integers(90, size=count)],
            "time": START + rng.permutation(count),
            "kind": [("view", "buy")[at] for at in rng.integers(2, size=count)],
            "value": rng.integers(9, size=count) / 2,
        }
    )
    return frame.with_columns(kind=pl.when(pl.col("time") % 3 == 0).then(None).otherwise("kind"))


def rows_of(frame: pl.DataFrame) -> list[tuple[object, ...]]:
    return frame.with_columns(pl.col("kind").fill_null("")).rows()


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/events.db"


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_a_file_that_went_in_comes_out(foldin, tmp_path, url, suffix):
    given = table(500)
    write = {".parquet": given.write_parquet, ".csv": given.write_csv, ".jsonl": given.write_ndjson}[suffix]
    path = tmp_path / f"log{suffix}"
    write(path)
    code, shown, _ = foldin("events", "import", path, url, "--chunk-rows", 120, "--json")
    assert code == 0
    found = json.loads(shown)
    assert (found["rows"], found["new"], found["already_there"], found["refused"]) == (500, 500, 0, 0)
    assert events_of(url) == rows_of(given)
    again = json.loads(foldin("events", "import", path, url, "--json")[1])
    assert (again["new"], again["already_there"], again["resumed"]) == (0, 500, 0)
    assert events_of(url) == rows_of(given)
    target = tmp_path / f"out{suffix}"
    assert foldin("events", "export", url, target)[0] == 0
    other = f"sqlite:///{tmp_path}/other.db"
    assert foldin("events", "import", target, other)[0] == 0
    assert events_of(other) == events_of(url)
    assert foldin("events", "export", url, target)[0] == 0  # a file that it wrote
    counted = json.loads(foldin("events", "list", url, "--json")[1])
    assert counted["kinds"] == dict(given["kind"].fill_null("").value_counts(sort=True).iter_rows())
    shown = foldin("events", "list", url)[1]
    assert f"500 of {given['user'].n_unique()} users with {given['item'].n_unique()} items" in shown
    assert "2020-09-13T12:26:40Z to 2020-09-13T12:34:59Z" in shown


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_the_lists_that_events_name_go_out_and_in(foldin, tmp_path, url, suffix):
    store = EventStore(connect(url))
    lists = ["9f-1", None, "해-2", "9f-1", "a,b"]
    given = [Event(f"u{at}", "tea", START + at, ("view", "")[at % 2], list_id=one) for at, one in enumerate(lists)]
    store.append(given)
    target, other = tmp_path / f"out{suffix}", f"sqlite:///{tmp_path}/other.db"
    assert foldin("events", "export", url, target)[0] == 0
    found = json.loads(foldin("events", "import", target, other, "--chunk-rows", 2, "--json")[1])
    assert (found["new"], found["refused"]) == (5, 0)
    came = EventStore(connect(other))
    assert [came.history(one.user) for one in given] == [[one] for one in given]
    options = {} if suffix == ".parquet" else {"rating": None, "kind": "kind"}
    assert read_log(target, **options).histories.n_events == 5
    for one in (store, came):
        one.engine.dispose()


def test_ids_of_lists_are_those_that_the_service_takes(foldin, tmp_path, url):
    rows = [f"u{at},tea,160000000{at},,,{one}" for at, one in enumerate(("x" * 64, "x" * 65, "", "é" * 64))]
    path = tmp_path / "log.csv"
    path.write_text("user,item,time,kind,value,list_id\n" + "".join(f"{row}\n" for row in rows), encoding="utf-8")
    found = json.loads(foldin("events", "import", path, url, "--json")[1])
    assert found["reasons"] == [{"reason": "a list id of more than 64 characters", "count": 1, "row": 2}]
    store = EventStore(connect(url))
    assert [store.history(f"u{at}")[0].list_id for at in (0, 2, 3)] == ["x" * 64, None, "é" * 64]
    store.engine.dispose()
    plain = tmp_path / "plain.csv"  # not of an export: its lists are others
    plain.write_text("user,item,time,list_id\nnew,tea,1600000000,top100\n", encoding="utf-8")
    import_events(plain, url)
    store = EventStore(connect(url))
    assert store.history("new")[0].list_id is None
    store.engine.dispose()


def test_what_the_service_would_refuse_is_counted_by_its_reason(foldin, tmp_path, url):
    later = int(time.time()) + 2 * 86_400
    rows = [
        "ann,tea,1600000000,view",
        ",tea,1600000000,view",
        "ann,,1600000000,view",
        "ann,tea,,view",
        f"{'é' * 251},tea,1600000000,view",
        f"ann,tea,{later},view",
        f"ann,tea,1600000001,{'k' * 65}",
        "ann,tea,1600000000,view",
        ",cup,1600000000,view",
        "ann,cup,1600000002, null ",
    ]
    path = tmp_path / "log.csv"
    path.write_text("user,item,time,kind\n" + "".join(f"{row}\n" for row in rows), encoding="utf-8")
    found = json.loads(foldin("events", "import", path, url, "--chunk-rows", 4, "--json")[1])
    assert (found["rows"], found["new"], found["already_there"], found["refused"]) == (10, 2, 1, 7)
    assert [(one["reason"], one["count"], one["row"]) for one in found["reasons"]] == [
        ("no user (column 'user')", 2, 2),
        ("no item (column 'item')", 1, 3),
        ("no time (column 'time')", 1, 4),
        ("a user id of more than 500 bytes", 1, 5),
        ("a time more than a day ahead", 1, 6),
        ("a kind of more than 64 bytes", 1, 7),
    ]
    assert events_of(url) == [("ann", "tea", START, "view", None), ("ann", "cup", START + 2, "", None)]
    shown = foldin("events", "import", path, url)[1]
    assert "refused        2 no user (column 'user'); the first in row 2" in shown


def test_ids_are_stored_as_a_log_reads_them(tmp_path, url):
    """pandas writes whole numbers with ".0" in a column with gaps."""
    path = tmp_path / "log.csv"
    path.write_text("user,item,timestamp\n1.0,70,1600000000\n2.0,71,1600000001\n,70,1600000002\n")
    import_events(path, url)
    assert [row[:2] for row in events_of(url)] == [("1", "70"), ("2", "71")]
    assert read_log(path).users.to_list() == read_log(url).users.to_list() == ["1", "2"]
    assert read_log(path).histories.fingerprint() == read_log(url).histories.fingerprint()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("user,item\n1,2\n2,3\n", "events need times, and no column looks like them"),
        ("user,item,time\na,b,1\nb,c,2\n", "numbers too small for times"),
        ("user,item,time\na,b,1600000000\nb,c,soon\n", "1 of 2 values are not numbers; first at row 2"),
    ],
)
def test_a_file_without_times_is_refused_before_anything_is_stored(foldin, tmp_path, url, content, why):
    path = tmp_path / "log.csv"
    path.write_text(content)
    code, _, error = foldin("events", "import", path, url)
    assert code == 2
    assert why in error
    assert not (tmp_path / "events.db").exists() or not events_of(url)


def test_an_interrupted_import_goes_on_where_it_was(tmp_path, url, monkeypatch):
    given = table(400)
    given.with_columns(user=pl.when(pl.col("time") % 40 == 0).then(None).otherwise("user")).write_parquet(
        tmp_path / "log.parquet"
    )
    whole = import_events(tmp_path / "log.parquet", f"sqlite:///{tmp_path}/whole.db", chunk_rows=60)
    done: list[int] = []

    def stop(at: int, _total: int) -> None:
        done.append(at)
        if at == 180:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_events(tmp_path / "log.parquet", url, chunk_rows=60, progress=stop)
    assert done == [0, 60, 120, 180]
    kept = len(events_of(url))
    store = EventStore(connect(url))
    store.erase("u1")
    found = import_events(tmp_path / "log.parquet", url, chunk_rows=60)
    assert (found.resumed, found.rows) == (180, 400)
    assert (found.accepted, found.duplicates, found.refused) == (whole.accepted, whole.duplicates, whole.refused)
    assert found.accepted > kept
    wanted = events_of(f"sqlite:///{tmp_path}/whole.db")
    assert [row for row in events_of(url) if row[0] != "u1"] == [row for row in wanted if row[0] != "u1"]
    assert set(events_of(url)) < set(wanted)  # what was erased meanwhile is not stored again
    last = import_events(tmp_path / "log.parquet", url)
    assert last.resumed == 0
    assert set(events_of(url)) == set(wanted)
    with store.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM foldin_batches").scalar() == 0


def test_two_imports_and_the_service_leave_one_of_each(tmp_path, url):
    given = table(200)
    given.write_parquet(tmp_path / "log.parquet")
    store = EventStore(connect(url))
    rows = rows_of(given)
    store.append([Event(*row) for row in rows[50:90]])
    found = import_events(tmp_path / "log.parquet", url)
    assert (found.accepted, found.duplicates) == (160, 40)
    assert sorted(map(repr, events_of(url))) == sorted(map(repr, rows))


def test_an_increment_begins_before_the_last_one_ended(foldin, tmp_path, url):
    store = EventStore(connect(url))
    store.append([Event("ann", "tea", START)])
    first = json.loads(foldin("events", "export", url, tmp_path / "a.csv", "--json")[1])
    store.append([Event("bob", "cup", START)])
    second = json.loads(
        foldin("events", "export", url, tmp_path / "b.csv", "--since", first["next_since"], "--json")[1]
    )
    assert (first["events"], second["events"]) == (1, 2)
    none = json.loads(foldin("events", "export", url, tmp_path / "c.csv", "--since", 4_000_000_000, "--json")[1])
    assert (none["events"], none["next_since"]) == (0, "2096-10-02T07:06:40Z")
    for wrong in ("yesterday", "2024-05-01T08:00:00"):
        code, _, error = foldin("events", "export", url, tmp_path / "d.csv", "--since", wrong)
        assert code == 2
        assert "ISO 8601 with an offset was expected" in error


def test_a_run_finds_its_events_though_the_store_has_grown(foldin, path, tmp_path, url):
    assert foldin("events", "import", path, url)[0] == 0
    run, lists = tmp_path / "run", tmp_path / "lists.csv"
    code, shown, notes = foldin("fit", url, "--model", "ease", "--out", run, "--json")
    assert code == 0
    fitted = json.loads(shown)
    assert f"{fitted['data']} names the events that were read, also when the store has grown" in notes
    assert json.loads((run / "run.json").read_text())["source"]["path"] == fitted["data"]
    EventStore(connect(url)).append([Event("new", "i01", START + at) for at in range(3)])
    metrics = fitted["models"]["ease"]["metrics"]
    for more in ((), ("--data", url)):  # a store that has moved is named by --data
        found = json.loads(foldin("evaluate", run, *more, "--json")[1])
        assert found["models"]["ease"]["metrics"] == metrics
        assert found["data"] == fitted["data"]
    assert foldin("recommend", run, "--users", url, "--out", lists, "-k", 3)[0] == 0
    assert set(pl.read_csv(lists)["user"]) == {*read_log(path).users, "new"}
    EventStore(connect(url)).erase("u001")
    assert "is not the one it was trained on" in foldin("evaluate", run)[2]


@pytest.mark.long
def test_every_command_takes_the_url(foldin, path, tmp_path, url):
    assert foldin("events", "import", path, url)[0] == 0
    about = json.loads(foldin("data", "describe", url, "--protocol", "strong", "--json")[1])
    assert about["log"]["format"] == "sqlite"
    assert about["log"]["columns"] == {"user": "user", "item": "item", "time": "time"}
    pinned = about["log"]["source"]
    for call in (
        ("compare", url, "--models", "popularity,multvae", "--set", "multvae.epochs=2", "--json"),
        ("tune", url, "--model", "ease", "--trials", 1, "--out", tmp_path / "study", "--json"),
    ):
        code, shown, _ = foldin(*call)
        assert code == 0
        assert json.loads(shown)["data"] == pinned
    assert foldin("data", "prepare", url, "--out", tmp_path / "shards")[0] == 0
    shards = json.loads(foldin("data", "describe", tmp_path / "shards", "--json")[1])
    assert shards["log"]["source"] == pinned


def test_no_command_shows_a_password_or_overwrites_a_file(foldin, path, tmp_path, url):
    secret = "postgresql://ann:s3cret@127.0.0.1:1/foldin"
    target = tmp_path / "out.csv"
    calls = [
        ("events", "list", secret),
        ("events", "export", secret, target),
        ("events", "export", target, secret),
        ("events", "import", path, secret),
        ("events", "import", secret, url),
        ("fit", secret, "--model", "ease", "--out", tmp_path / "run"),
        ("data", "describe", secret),
        ("data", "describe", secret, "--protocol", "given"),
        ("data", "prepare", secret, "--out", tmp_path / "shards"),
        ("keys", "list", "--events", secret.replace("127.0.0.1:1", "127.0.0.1:one")),
    ]
    for call in calls:
        code, shown, error = foldin(*call)
        assert code == 2, call
        assert "s3cret" not in shown + error
        assert error.count("\n") == 1, error
    assert not target.exists()
    EventStore(connect(url)).append([Event("ann", "tea", START)])
    target.write_text("my,own\nfile,here\n")
    assert "was not written by this command" in foldin("events", "export", url, target)[2]
    assert target.read_text().startswith("my,own")
    assert "ending in .parquet or .csv" in foldin("events", "export", url, tmp_path / "out.txt")[2]


def killed_again_and_again(path: Path, url: str, rounds: int) -> None:
    """An import that is killed at random moments, and then left alone."""
    command = [
        sys.executable,
        "-m",
        "foldin",
        "events",
        "import",
        str(path),
        url,
        "--rating",
        "value",
        "--chunk-rows",
        "150",
    ]
    rng, least = np.random.default_rng(0), 0
    for _ in range(rounds):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 60
        while time.monotonic() < until and process.poll() is None and stored_in(url) <= least:
            time.sleep(0.01)
        time.sleep(float(rng.uniform(0, 0.2)))
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
        process.wait()
        least = stored_in(url)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def stored_in(url: str) -> int:
    engine = connect(url)
    try:
        with engine.connect() as connection:
            return int(connection.exec_driver_sql("SELECT count(*) FROM foldin_events").scalar_one())
    except SQLAlchemyError:  # there is no table yet
        return 0
    finally:
        engine.dispose()


@pytest.mark.long
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_killed_at_any_moment_an_import_stores_exactly_the_file(database, tmp_path, url, request):
    if database == "postgresql":
        url = request.getfixturevalue("postgres")
    given = table(6000)
    given.write_parquet(tmp_path / "log.parquet")
    try:
        killed_again_and_again(tmp_path / "log.parquet", url, rounds=3)
        assert events_of(url) == rows_of(given)
    finally:
        if database == "postgresql":
            engine = connect(url)
            with engine.begin() as connection:
                connection.exec_driver_sql("DELETE FROM foldin_events")
            engine.dispose()


def test_logged_lists_are_exported_oldest_first(foldin, tmp_path, url):
    lists = ImpressionStore(EventStore(connect(url)).engine)
    about = {"model": "shop", "run": "r", "ranker": "exact", "context": {"page": "home"}}
    lists.write([Impression(list_id=f"l{at}", time=START - at, user="ann", items=["해"], **about) for at in range(3)])
    out = tmp_path / "lists.jsonl"
    assert "3 lists" in foldin("events", "export-lists", url, out)[1]
    written = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [one["list_id"] for one in written] == ["l2", "l1", "l0"]
    assert written[2] == {
        **{
            "list_id": "l0",
            "user": "ann",
            "time": "2020-09-13T12:26:40Z",
            "items": ["해"],
            "restricted": False,
            **about,
        },
        **dict.fromkeys(("arm", "share", "split", "propensities", "propensity_of", "history", "item_revision")),
    }
    assert json.loads(foldin("events", "export-lists", url, out, "--since", START, "--json")[1])["lists"] == 1
