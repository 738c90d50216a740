"""Protocols: nothing leaks, nobody and nothing is lost."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foldin.data import (
    Columns,
    EventLog,
    HeldOut,
    Histories,
    ReadReport,
    Source,
    Split,
    last_out,
    log_from_table,
    read_log,
    strong,
    temporal,
)
from foldin.errors import ConfigError, FormatError, SplitError
from tests.conftest import make_log, write_csv

SHAPES = st.tuples(st.integers(6, 25), st.integers(4, 15), st.integers(0, 2**20))


def random_log(shape: tuple[int, int, int]) -> EventLog:
    users, items, seed = shape
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(users):
        for item in rng.choice(items, size=int(rng.integers(1, items + 1)), replace=False):
            rows.append((user, int(item), 10**9 + int(rng.integers(1000))))
    table = pl.DataFrame(rows, schema=["user", "item", "timestamp"], orient="row")
    columns = Columns(user="user", item="item", time="timestamp")
    return log_from_table(table, columns, ReadReport(source="made", format="table", columns={}, rows=len(rows)))


def pairs(histories: Histories, users: pl.Series, split: Split) -> set[tuple[str, str]]:
    ids = split.catalog.ids
    return {(users[int(u)], ids[int(i)]) for u, i in zip(histories.users(), histories.items, strict=True)}


def log_pairs(log: EventLog) -> dict[tuple[str, str], int]:
    users, items, times = log.histories.users(), log.histories.items, log.histories.times
    return {(log.users[int(u)], log.items["item"][int(i)]): int(t) for u, i, t in zip(users, items, times, strict=True)}


def check_catalog(split: Split) -> None:
    assert split.catalog.table["count"].to_list() == split.train.counts().tolist()


@given(SHAPES, st.integers(0, 5))
@settings(max_examples=40)
def test_strong_splits_users_and_accounts_for_every_event(shape, seed):
    log = random_log(shape)
    try:
        split = strong(log, held_out=0.2, min_events=3, seed=seed)
    except SplitError:
        return
    groups = [set(split.train_users), set(split.validation.users), set(split.test.users)]
    assert sum(map(len, groups)) == len(set.union(*groups))
    kept = {user for user, count in zip(log.users, log.histories.lengths, strict=True) if count >= 3}
    assert set.union(*groups) == kept
    trained = pairs(split.train, split.train_users, split)
    assert trained == {pair for pair in log_pairs(log) if pair[0] in groups[0]}
    known = {item for _, item in trained}
    assert set(split.catalog.ids) == known
    for held, users in ((split.validation, groups[1]), (split.test, groups[2])):
        seen, targets = pairs(held.fold_in, held.users, split), pairs(held.targets, held.users, split)
        assert not seen & targets
        assert seen | targets == {(p, i) for p, i in log_pairs(log) if p in users and i in known}
        totals = held.fold_in.lengths + held.targets.lengths
        assert (held.targets.lengths == np.where(totals >= 5, (totals * 0.2).astype(int), 0)).all()
    check_catalog(split)


def test_strong_is_a_function_of_the_seed(log):
    assert strong(log, seed=1).fingerprint() == strong(log, seed=1).fingerprint()
    assert strong(log, seed=1).fingerprint() != strong(log, seed=2).fingerprint()


def test_strong_keeps_a_held_out_persons_order(log):
    split = strong(log, held_out=20)
    times = log_pairs(log)
    place = {pair: at for at, pair in enumerate(sorted(times, key=lambda pair: (pair[0], times[pair])))}
    for at in range(len(split.test)):
        user = split.test.users[at]
        places = [place[user, split.catalog.ids[int(i)]] for i in split.test.fold_in.of(at)]
        assert places == sorted(places)


@given(SHAPES)
@settings(max_examples=40)
def test_last_out_holds_out_the_last_two(shape):
    log = random_log(shape)
    if (log.histories.lengths < 3).all():
        return
    split = last_out(log)
    times = log_pairs(log)
    check_catalog(split)
    for at in range(len(split.train)):
        user, ids = split.train_users[at], split.catalog.ids
        train = [ids[int(i)] for i in split.train.of(at)]
        (validation,) = (ids[int(i)] for i in split.validation.targets.of(at))
        (test,) = (ids[int(i)] for i in split.test.targets.of(at))
        assert [ids[int(i)] for i in split.validation.fold_in.of(at)] == train
        assert [ids[int(i)] for i in split.test.fold_in.of(at)] == [*train, validation]
        order = [times[user, item] for item in (*train, validation, test)]
        assert order == sorted(order)
        assert len(train) + 2 == sum(1 for p, _ in times if p == user)


@given(SHAPES, st.sampled_from([0.1, 0.2, 0.3]))
@settings(max_examples=40)
def test_temporal_never_shows_the_future(shape, share):
    log = random_log(shape)
    try:
        split = temporal(log, validation_share=share, test_share=share)
    except SplitError:
        return
    times = log_pairs(log)
    train = pairs(split.train, split.train_users, split)
    cut = min(t for pair, t in times.items() if pair not in train)
    assert all(times[pair] < cut for pair in train)
    windows = []
    for held in (split.validation, split.test):
        for at in range(len(held)):
            user, ids = held.users[at], split.catalog.ids
            shown = [times[user, ids[int(i)]] for i in held.fold_in.of(at)]
            wanted = [times[user, ids[int(i)]] for i in held.targets.of(at)]
            assert wanted
            assert not shown or max(shown) <= min(wanted)
            windows.append((held is split.test, min(wanted), max(wanted)))
    last_validation = max((high for test, _, high in windows if not test), default=0)
    first_test = min((low for test, low, _ in windows if test), default=2**62)
    assert last_validation < first_test
    assert all(low >= cut for _, low, _ in windows)
    check_catalog(split)


def test_temporal_folds_in_users_who_arrive_late():
    rows = [("old", f"i{k}", 10**9 + k) for k in range(8)] + [("new", f"i{k}", 10**9 + 90 + k) for k in range(5)]
    rows += [("mid", f"i{k}", 10**9 + 50 + k) for k in range(2)]
    table = pl.DataFrame(rows, schema=["user", "item", "timestamp"], orient="row")
    columns = Columns(user="user", item="item", time="timestamp")
    log = log_from_table(table, columns, ReadReport(source="made", format="table", columns={}, rows=len(rows)))
    split = temporal(log, validation_share=2 / 15, test_share=5 / 15)
    assert split.test.users.to_list() == ["new"]
    assert split.test.fold_in.lengths.tolist() == [4]
    assert split.test.targets.lengths.tolist() == [1]


def test_protocols_that_do_not_apply_say_why(log):
    with pytest.raises(SplitError, match="needs a column of absolute times"):
        temporal(make_log(times=False))
    with pytest.raises(SplitError, match="leave none of"):
        strong(log, held_out=0.6)
    with pytest.raises(SplitError, match="at least 3"):
        last_out(log, min_events=2)


def test_held_out_refuses_a_target_that_was_seen():
    fold_in, targets = Histories.from_lists([[1, 2]], 4), Histories.from_lists([[2]], 4)
    with pytest.raises(
        SplitError, match="1 targets are among the items the model has seen; the first is of user 'ann'"
    ):
        HeldOut(fold_in=fold_in, targets=targets, users=pl.Series(["ann"]))


def write_given(folder, parts, header):
    for name, rows in parts.items():
        write_csv(folder / f"{name}.csv", rows, header)


def test_a_folder_in_the_layout_of_liang(tmp_path):
    parts = {
        "train": [(0, 0), (0, 1), (1, 2)],
        "validation_tr": [(2, 0), (2, 9)],
        "validation_te": [(2, 1)],
        "test_tr": [(3, 1)],
        "test_te": [(3, 0), (3, 2)],
    }
    write_given(tmp_path, parts, ("uid", "sid"))
    split = Source(path=str(tmp_path)).split()
    assert split.protocol == "given"
    assert split.catalog.ids == ["0", "1", "2"]
    assert [note.count for note in split.report.notes if note.dropped] == [1]  # item 9 is not in training
    assert split.validation.fold_in.of(0).tolist() == [0]
    assert sorted(split.test.targets.of(0).tolist()) == [0, 2]
    parts["test_tr"].append((0, 2))
    write_given(tmp_path, parts, ("uid", "sid"))
    with pytest.raises(SplitError, match=r"1 of its users are also in train\.csv; the first: '0'"):
        Source(path=str(tmp_path)).split()


def test_a_folder_of_the_same_users(tmp_path):
    parts = {"train": [(0, 0), (1, 1), (1, 3)], "valid": [(0, 1)], "test": [(0, 2), (1, 0)]}
    write_given(tmp_path, parts, ("user", "item"))
    split = Source(path=str(tmp_path)).split()
    assert len(split.catalog) == 4
    assert split.test.fold_in.of(0).tolist() == [0]
    assert split.test.seen.of(0).tolist() == [0, 1]  # the validation item is not recommended again
    assert split.validation.targets.lengths.tolist() == [1, 0]


def test_a_given_split_can_fold_in_what_lies_before_the_test(tmp_path):
    parts = {"train": [(0, 0), (1, 1), (1, 3)], "valid": [(0, 1)], "test": [(0, 2), (1, 0)]}
    write_given(tmp_path, parts, ("user", "item"))
    published, everything = (Source(path=str(tmp_path), fold_in=which).split() for which in ("train", "all"))
    assert [published.test.fold_in.of(u).tolist() for u in (0, 1)] == [[0], [1, 3]]
    assert [everything.test.fold_in.of(u).tolist() for u in (0, 1)] == [[0, 1], [1, 3]]
    assert everything.test.seen.items.tolist() == published.test.seen.items.tolist()
    assert everything.test.targets.items.tolist() == published.test.targets.items.tolist()
    assert everything.validation.fold_in.items.tolist() == published.validation.fold_in.items.tolist()


def test_fold_in_is_refused_where_it_means_nothing(tmp_path):
    parts = {"train": [(0, 0), (1, 1)], **{f"{g}_{w}": [(2, 0)] for g, w in (("validation", "tr"), ("test", "tr"))}}
    parts |= {"validation_te": [(2, 1)], "test_te": [(2, 1)]}
    (tmp_path / "given").mkdir()
    write_given(tmp_path / "given", parts, ("uid", "sid"))
    with pytest.raises(ConfigError, match=r"fold_in = 'all'.*train, valid, test"):
        Source(path=str(tmp_path / "given"), fold_in="all").split()
    write_csv(tmp_path / "log.csv", [(u, i) for u in range(20) for i in range(6)], ("user", "item"))
    with pytest.raises(SplitError, match="fold_in = 'all'"):
        Source(path=str(tmp_path / "log.csv"), fold_in="all").split()
    with pytest.raises(ConfigError, match="one of train, all"):
        Source(path=str(tmp_path / "given"), fold_in="some").split()


def test_filters_on_a_given_split_are_refused(tmp_path):
    write_given(tmp_path, {"train": [(0, 0)], "valid": [(0, 1)], "test": [(0, 2)]}, ("user", "item"))
    with pytest.raises(SplitError, match="already split"):
        Source(path=str(tmp_path), min_rating=3).split()
    with pytest.raises(FormatError, match="neither"):
        Source(path=str(tmp_path / "train.csv"), protocol="given").split()


def test_given_parts_keep_the_order_of_time(tmp_path):
    parts = {
        "train": [(0, 10, 10**9 + 500), (0, 20, 10**9 + 100)],
        "valid": [(0, 30, 10**9 + 600)],
        "test": [(0, 40, 10**9 + 700)],
    }
    write_given(tmp_path, parts, ("user", "item", "timestamp"))
    split = Source(path=str(tmp_path)).split()
    assert [split.catalog.ids[int(i)] for i in split.train.of(0)] == ["20", "10"]
    assert split.train.times.tolist() == [10**9 + 100, 10**9 + 500]


def test_temporal_targets_are_later_whatever_orders_the_history():
    rows = [("a", f"i{k}", 10**9 + k, 9 - k) for k in range(9)] + [("b", f"i{k}", 10**9 + k, k) for k in range(9)]
    table = pl.DataFrame(rows, schema=["user", "item", "timestamp", "order"], orient="row")
    columns = Columns(user="user", item="item", time="timestamp", order="order")
    log = log_from_table(table, columns, ReadReport(source="made", format="table", columns={}, rows=len(rows)))
    split = temporal(log, validation_share=0.2, test_share=0.2)
    for user in range(len(split.test)):
        shown, wanted = split.test.fold_in.rows(user, user + 1), split.test.targets.rows(user, user + 1)
        assert not len(shown.times) or shown.times.max() < wanted.times.min()


def test_a_core_stays_a_core_under_its_protocol(tmp_path):
    log = make_log(users=60, items=30)
    rows = [
        (log.users[int(u)], log.items["item"][int(i)])
        for u, i in zip(log.histories.users(), log.histories.items, strict=True)
    ]
    write_csv(tmp_path / "log.csv", [*rows, *((f"x{k}", "i00") for k in range(4))], ("user", "item"))
    split = Source(path=str(tmp_path / "log.csv"), core=True, item_events=10, protocol="last-out").split()
    everything = split.test.fold_in.followed_by(split.test.targets)
    assert everything.lengths.min() >= 3
    assert everything.counts().min() >= 10


def test_what_a_split_drops_is_shown_with_it():
    rows = [(user, item) for user in range(20) for item in range(6)] + [(99, 0), (99, 1)]
    split = strong(read_log(pl.DataFrame(rows, schema=["user", "item"], orient="row")), held_out=4)
    shown = "- 2 events of users with fewer than 5 items or items with fewer than 1 users"
    assert shown in repr(split).splitlines()
    assert split.train.n_events + split.test.targets.n_events + split.validation.targets.n_events < len(rows)
