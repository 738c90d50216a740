"""Logs in which users take items again: what is kept, what are targets, and that nothing changes for other logs."""

import numpy as np
import polars as pl
import pytest

import foldin
from foldin.data import Catalog, KnownUsers, cold_items, last_out, prepare, read_log, resolve_history, strong, temporal
from foldin.data.resolve import repeats_of
from foldin.errors import SplitError

# Items of each user in the order of time: a and b again and again, the others once.
TAKEN = {"u1": "abacab", "u2": "aabbaadae", "u3": "bcbcbdbebf", "u4": "abcdeab", "u5": "cacacab", "u6": "dbdbadb"}


def table() -> pl.DataFrame:
    rows = [
        (user, item, 10**9 + 100 * at + int(user[1])) for user, items in TAKEN.items() for at, item in enumerate(items)
    ]
    return pl.DataFrame(rows, schema=["user", "item", "timestamp"], orient="row").sample(
        fraction=1.0, shuffle=True, seed=1
    )


@pytest.fixture(scope="module")
def log() -> foldin.EventLog:
    return read_log(table(), repeats="keep")


def names(histories: foldin.Histories, user: int, catalog: Catalog) -> str:
    return "".join(catalog.ids[item] for item in histories.of(user))


def test_all_events_are_kept_in_the_order_of_time(log, tmp_path):
    ids = log.items["item"].to_list()
    assert ["".join(ids[item] for item in log.histories.of(user)) for user in range(6)] == list(TAKEN.values())
    assert not any(note.dropped for note in log.report.notes)
    assert log.reading.keeps_repeats
    assert not read_log(table()).reading.keeps_repeats
    path = tmp_path / "log.csv"
    table().write_csv(path)
    shards = prepare(path, tmp_path / "shards", repeats="keep")
    assert shards.histories.items.tolist() == log.histories.items.tolist()
    assert shards.reading.keeps_repeats


def test_a_user_needs_so_many_events_and_an_item_so_many_users(log):
    assert log.core(user_events=7).users.to_list() == ["u2", "u3", "u4", "u5", "u6"]
    assert log.core(item_events=6).items["item"].to_list() == ["b"]
    assert read_log(table()).core(user_events=4).users.to_list() == ["u2", "u3", "u4"]


def test_the_last_two_events_are_the_targets_of_last_out(log):
    split = last_out(log)
    for user, items in enumerate(TAKEN.values()):
        assert names(split.test.fold_in, user, split.catalog) == items[:-1]
        assert names(split.test.targets, user, split.catalog) == items[-1]
        assert names(split.validation.fold_in, user, split.catalog) == items[:-2]
        assert names(split.validation.targets, user, split.catalog) == items[-2]
    assert split.test.seen.n_events == 0
    again, new = (split.test.of_targets(repeated=repeated) for repeated in (True, False))
    assert [len(again.targets.of(user)) for user in range(6)] == [1, 0, 0, 1, 0, 1]
    assert [len(new.targets.of(user)) for user in range(6)] == [0, 1, 1, 0, 1, 0]
    first = last_out(read_log(table()))
    assert first.test.seen is first.test.fold_in
    assert first.test.of_targets(repeated=True).targets.n_events == 0


def test_the_last_events_of_held_out_users_are_the_targets_of_strong(log):
    split = strong(log, held_out=2, target_share=0.3, min_events=3, seed=1)
    for held in (split.validation, split.test):
        for at, user in enumerate(held.users):
            items = [one for one in TAKEN[user] if one in split.catalog.ids]
            late = int(0.3 * len(items))
            assert names(held.fold_in, at, split.catalog) == "".join(items[:-late])
            assert sorted(names(held.targets, at, split.catalog)) == sorted(set(items[-late:]))
        assert held.seen.n_events == 0


def test_what_is_taken_in_a_window_is_its_target_whatever_came_before(log):
    split = temporal(log, validation_share=0.2, test_share=0.2)
    cut = int(split.test.fold_in.times.max())
    for at, user in enumerate(split.test.users):
        late = {item for place, item in enumerate(TAKEN[user]) if 10**9 + 100 * place + int(user[1]) > cut}
        assert set(names(split.test.targets, at, split.catalog)) == late & set(split.catalog.ids)
    assert split.test.of_targets(repeated=True).targets.n_events > 0
    assert temporal(read_log(table())).test.of_targets(repeated=True).targets.n_events == 0


def test_cold_items_are_ranked_among_all(log):
    split = cold_items(log, hidden=1, held_out=1, min_events=3)
    assert split.test.seen.n_events == split.validation.seen.n_events == 0


def test_a_published_split_cannot_be_changed(tmp_path):
    for name in ("train", "valid", "test"):
        (tmp_path / f"{name}.csv").write_text("user,item\nu,a\n")
    with pytest.raises(SplitError, match="repeats would change the published split"):
        foldin.read_given(tmp_path, repeats="keep")


def test_known_users_have_all_their_events(log):
    known = KnownUsers.of_split(last_out(log))
    catalog = last_out(log).catalog
    assert [names(known.of([user]).histories, 0, catalog) for user in TAKEN] == list(TAKEN.values())


def test_a_history_is_resolved_event_by_event():
    catalog = Catalog.from_ids(["a", "b", "c"])
    found = resolve_history(catalog, ["b", "x", "a", "b"], times=[3, 1, 2, 9], repeats="keep")
    assert found.items == (0, 1, 1)
    assert found.times == (2, 3, 9)
    assert found.unknown == ("x",)
    assert resolve_history(catalog, ["b", "a", "b"], repeats="last").items == (0, 1)
    assert repeats_of({"source": {"repeats": "keep", "weights": {"buy": 2.0}}}) == "keep"


def test_weights_and_dislikes_go_with_kept_events():
    rows = [
        ("u", "a", 1, "buy"),
        ("u", "b", 2, "hide"),
        ("u", "a", 3, "view"),
        ("u", "c", 4, "buy"),
        ("u", "a", 5, "buy"),
    ]
    frame = pl.DataFrame(
        [*rows, *(("v", *row[1:]) for row in rows)], schema=["user", "item", "time", "kind"], orient="row"
    )
    log = read_log(frame, repeats="keep", weights={"buy": 3.0, "hide": -1.0})
    split = last_out(log, targets=["buy"])
    assert names(split.test.fold_in, 0, split.catalog) == "aac"
    assert split.test.fold_in.weights.tolist() == [3.0, 1.0, 3.0] * 2
    assert names(split.test.fold_in.dislikes, 0, split.catalog) == "b"
    assert names(split.test.targets, 0, split.catalog) == "a"
    assert np.isin(split.test.targets.items, split.test.fold_in.items).all()
