"""The rows of models that are to be in service: counted, compared before they are written, logged, on both databases."""

import shutil
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from foldin.errors import ConfigError, EventStoreError, OutdatedError, UnknownModelError
from foldin.serve import Change, Changes, DeploymentStore, EventStore, FleetState, RunRef, connect

A, B, C = (RunRef(f"/runs/{name}", name * 64) for name in "abc")


@pytest.fixture
def rows(store) -> DeploymentStore:
    return DeploymentStore(store.engine)


def test_a_generation_is_counted_for_each_run_that_a_name_was_given(rows):
    found = rows.deploy("shop", A, key="anna").rows["shop"]
    assert (found.generation, found.run, found.previous, found.default) == (1, A, None, True)
    assert rows.deploy("other", C, key="anna").default == "shop"  # the first one stays the default
    found = rows.deploy("shop", B, key="anna").rows["shop"]
    assert (found.generation, found.run, found.previous) == (2, B, A)
    found = rows.roll_back("shop", key="anna").rows["shop"]
    assert (found.generation, found.run, found.previous) == (3, A, B)
    with pytest.raises(ConfigError, match="'shop' is the default model"):
        rows.retire("shop", key="anna")
    assert rows.make_default("other", key="anna").default == "other"
    found = rows.retire("shop", key="anna").rows["shop"]
    assert (found.generation, found.retired) == (4, True)
    for change in (rows.retire, rows.make_default):
        with pytest.raises(UnknownModelError, match="no model 'shop'; there are other"):
            change("shop", key="anna")
    with pytest.raises(ConfigError, match=r"no previous model 'shop' .* restored by `foldin runs rollback FOLDER`"):
        rows.roll_back("shop", key="anna")
    found = rows.deploy("shop", C, key="anna").rows["shop"]
    assert (found.generation, found.run, found.previous, found.retired) == (5, C, A, False)
    assert rows.revision() == 7
    assert rows.state() == FleetState(7, {"other": rows.state().rows["other"], "shop": found})


def test_the_same_run_again_is_no_change(rows):
    rows.deploy("shop", A, key="anna")
    rows.deploy("shop", B, key="anna")
    before = rows.state()
    assert rows.deploy("shop", B, key="bert") == before
    assert rows.make_default("shop", key="bert") == before
    assert rows.split({}, key="bert") == before
    assert rows.state() == before
    moved = RunRef("/elsewhere", B.digest)  # the same run in another folder: what is rolled back to stays
    assert rows.deploy("shop", moved, key="bert").rows["shop"].previous == A


def test_a_change_of_what_was_read_before_another_change_is_refused_with_both(rows):
    with pytest.raises(OutdatedError, match="'shop' has generation 0, not 1"):
        rows.deploy("shop", A, key="anna", generation=1)
    assert rows.revision() == 0
    rows.deploy("shop", A, key="anna", generation=0)
    rows.deploy("shop", B, key="anna", generation=1)
    for change in (
        lambda: rows.deploy("shop", C, key="bert", generation=1),
        lambda: rows.roll_back("shop", key="bert", generation=1),
        lambda: rows.retire("shop", key="bert", generation=1),
        lambda: rows.make_default("shop", key="bert", generation=1),
    ):
        with pytest.raises(OutdatedError, match="'shop' has generation 2, not 1 as expected") as met:
            change()
        assert (met.value.expected, met.value.found) == (1, 2)
    with pytest.raises(OutdatedError, match="the revision is 2, not 1 as expected") as met:
        rows.split({"shop": 1.0}, key="bert", expected=1)
    assert (met.value.expected, met.value.found) == (1, 2)
    assert rows.state().rows["shop"].run == B
    assert rows.revision() == 2


def test_users_are_split_between_models_in_service(rows):
    for name, run in (("one", A), ("two", B), ("three", C)):
        rows.deploy(name, run, key="anna")
    rows.retire("three", key="anna")
    assert rows.split({"one": 0.25, "two": 0.75}, key="anna", expected=4).shares == {"one": 0.25, "two": 0.75}
    for wrong in ({"one": 0.5}, {"one": 1.5, "two": -0.5}):
        with pytest.raises(ConfigError, match="must be positive and add up to 1"):
            rows.split(wrong, key="anna")
    for gone in ({"none": 1.0}, {"three": 1.0}):
        with pytest.raises(UnknownModelError, match="there are one, two"):
            rows.split(gone, key="anna")
    with pytest.raises(ConfigError, match="'two' has a share in the split"):
        rows.retire("two", key="anna")
    assert rows.split({"two": 1.0}, key="anna").shares == {"two": 1.0}
    assert rows.split({}, key="anna").shares == {}
    assert rows.retire("two", key="anna").rows["two"].retired


def test_the_log_says_who_changed_what_from_what_to_what_and_only_grows(rows):
    rows.deploy("shop", A, key="anna")
    rows.deploy("shop", RunRef("s3://user:secret@bucket/b?token=secret", B.digest), key="bert", default=True)
    rows.deploy("other", C, key="bert", default=True)
    rows.split({"shop": 0.5, "other": 0.5}, key="carl")
    log = Changes(rows.engine)
    newest, *_, oldest = log.newest(10)
    assert [one.revision for one in log.newest(10)] == [4, 3, 2, 1]
    assert [one.revision for one in log.newest(2, before=4)] == [3, 2]
    assert [one.revision for one in log.of_model("shop")] == [1, 2]
    first = {"generation": 1, "run": A.uri, "digest": A.digest, "default": True, "share": None, "retired": False}
    assert oldest == Change(1, oldest.time, "anna", "deploy", "shop", {"shop": None}, {"shop": first})
    second = {**first, "generation": 2, "run": "s3://bucket/b", "digest": B.digest}
    assert (log.newest(10)[2].before, log.newest(10)[2].after) == ({"shop": first}, {"shop": second})
    assert {name: row["default"] for name, row in log.newest(10)[1].after.items()} == {"shop": False, "other": True}
    assert (newest.key, newest.action, newest.model) == ("carl", "split", None)
    assert {name: (newest.before[name]["share"], row["share"]) for name, row in newest.after.items()} == {
        "shop": (None, 0.5),
        "other": (None, 0.5),
    }
    assert "secret" not in str(log.newest(10))
    for statement in ("DELETE FROM foldin_changes", "UPDATE foldin_changes SET key = 'nobody'"):
        with pytest.raises(SQLAlchemyError, match="only grows"), rows.engine.begin() as connection:
            connection.execute(sa.text(statement))
    assert len(log.newest(10)) == 4


def race(rows: DeploymentStore, *, threads: int, each: int) -> None:
    """Threads deploy at once, half of them only over what they have read: no change is lost, none is counted twice."""
    errors: list[BaseException] = []
    conflicts: list[OutdatedError] = []

    def deploy(thread: int) -> None:
        try:
            for at in range(each):
                run = RunRef(f"/runs/{thread}-{at}", f"{thread:032}{at:032}")
                if thread % 2:
                    rows.deploy("shop", run, key=str(thread))
                    continue
                while True:
                    read = rows.state().rows.get("shop")
                    try:
                        rows.deploy("shop", run, key=str(thread), generation=0 if read is None else read.generation)
                        break
                    except OutdatedError as met:
                        conflicts.append(met)
        except BaseException as error:
            errors.append(error)

    started = [threading.Thread(target=deploy, args=(thread,)) for thread in range(threads)]
    for one in started:
        one.start()
    for one in started:
        one.join()
    assert not errors
    assert all(met.found > met.expected for met in conflicts)
    log = Changes(rows.engine).of_model("shop")
    count = threads * each
    assert [one.revision for one in log] == list(range(1, count + 1))
    assert [one.after["shop"]["generation"] for one in log] == list(range(1, count + 1))
    assert [one.before["shop"] for one in log[1:]] == [one.after["shop"] for one in log[:-1]]
    assert len({one.after["shop"]["digest"] for one in log}) == count
    last = rows.state().rows["shop"]
    assert (last.generation, last.run.digest) == (count, log[-1].after["shop"]["digest"])
    assert last.previous is not None
    assert last.previous.digest == log[-2].after["shop"]["digest"]


def test_of_many_that_deploy_at_once_none_is_lost(rows):
    race(rows, threads=20, each=1)


@pytest.mark.long
def test_of_many_that_deploy_again_and_again_none_is_lost(rows):
    race(rows, threads=20, each=25)


def test_a_database_of_an_earlier_version_has_no_deployments_and_takes_them(tmp_path):
    # Written by the code of commit 724c5b6, which kept deployments in memory only.
    path = tmp_path / "events.db"
    shutil.copy(Path(__file__).parents[1] / "data" / "events_version_1.db", path)
    engine = connect(f"sqlite:///{path}")
    store = EventStore(engine)
    rows = DeploymentStore(engine)
    assert rows.state() == FleetState(0, {})
    assert rows.deploy("shop", A, key="anna").revision == 1
    assert len(store.history("anna")) == 3
    assert [one.key for one in Changes(engine).newest(5)] == ["anna"]
    engine.dispose()


def test_a_database_that_is_away_is_said(tmp_path):
    engine = connect(f"sqlite:///{tmp_path}/none/events.db")
    rows = DeploymentStore(engine)
    for call in (rows.revision, rows.state, lambda: rows.deploy("a", A, key="k"), lambda: Changes(engine).newest(1)):
        with pytest.raises(EventStoreError, match="cannot be used"):
            call()
