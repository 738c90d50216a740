"""What is made of mapped histories a part at a time is what is made of histories in memory at once."""

import numpy as np
import pytest

from foldin.data import HeldOut, Histories, Split, prepare, read_log, split_log
from foldin.data.parts import quantiles
from foldin.errors import ShapeError, SplitError
from foldin.nn import batches_of_transitions
from foldin.training import shuffled
from tests.data.shards.test_prepare import LOGS, table


@pytest.fixture
def both(tmp_path, monkeypatch):
    """(a log in memory, the same mapped and worked on in parts of 60 events)."""

    def made(name="text ids", **options):
        LOGS[name]().write_parquet(tmp_path / "log.parquet")
        whole = read_log(tmp_path / "log.parquet", **options)
        mapped = prepare(tmp_path / "log.parquet", tmp_path / "shards", **options)
        monkeypatch.setattr("foldin.data.parts.PART_EVENTS", 60)
        assert mapped.histories.on_disk
        assert not whole.histories.on_disk
        assert len(list(mapped.histories.parts())) > 10
        return whole, mapped

    return made


def same(found: Histories, wanted: Histories) -> None:
    for name in ("items", "offsets", "times", "kinds", "values"):
        a, b = getattr(found, name), getattr(wanted, name)
        assert (a is None) == (b is None)
        assert a is None or (np.array_equal(a, b, equal_nan=name == "values") and a.dtype == b.dtype), name
    assert found.n_items == wanted.n_items


def same_split(found: Split, wanted: Split) -> None:
    same(found.train, wanted.train)
    for name in ("validation", "test"):
        for part in ("fold_in", "targets", "seen"):
            same(getattr(getattr(found, name), part), getattr(getattr(wanted, name), part))
        assert getattr(found, name).users.to_list() == getattr(wanted, name).users.to_list()
    assert found.train_users.to_list() == wanted.train_users.to_list()
    assert found.catalog.table.equals(wanted.catalog.table)
    notes = [[(one.text, one.count) for one in split.report.notes if one.dropped] for split in (found, wanted)]
    assert sorted(notes[0]) == sorted(notes[1])
    assert found.fingerprint() == wanted.fingerprint()


@pytest.mark.parametrize("protocol", ["strong", "last-out", "temporal"])
@pytest.mark.parametrize(("name", "options"), [("text ids", {}), ("kinds", {"repeats": "first-of-kind"})], ids=str)
def test_splits_are_the_same(both, protocol, name, options):
    whole, mapped = both(name, **options)
    found = split_log(mapped, protocol, seed=3)
    same_split(found, split_log(whole, protocol, seed=3))
    assert isinstance(found.train.items, np.memmap)


@pytest.mark.parametrize("repeat", [False, True])
@pytest.mark.parametrize(("name", "options"), [("text ids", {}), ("kinds", {"repeats": "first-of-kind"})], ids=str)
def test_cores_are_the_same(both, repeat, name, options):
    whole, mapped = both(name, **options)
    cores = [log.core(user_events=5, item_events=12, repeat=repeat) for log in (mapped, whole)]
    same(cores[0].histories, cores[1].histories)
    assert cores[0].users.to_list() == cores[1].users.to_list()
    assert cores[0].report.kept == cores[1].report.kept == cores[1].histories.n_events


def test_operations_are_the_same(both):
    whole, mapped = (log.histories for log in both("ratings"))
    rng = np.random.default_rng(0)
    users, keep = rng.permutation(len(whole))[:-3], rng.random(whole.n_events) < 0.4
    new = np.where(rng.random(whole.n_items) < 0.5, -1, np.arange(whole.n_items))
    assert np.array_equal(mapped.counts(), whole.counts())
    assert mapped.fingerprint() == whole.fingerprint()
    same(mapped.select(users), whole.select(users))
    same(mapped.where(keep), whole.where(keep))
    same(mapped.reindex(new, whole.n_items), whole.reindex(new, whole.n_items))
    same(mapped.without(mapped.where(keep)), whole.without(whole.where(keep)))
    twice = mapped.select(np.repeat(np.arange(len(whole)), 2))
    same(twice, whole.select(np.repeat(np.arange(len(whole)), 2)))
    assert mapped.distinct() is mapped
    again = Histories(
        items=mapped.items, offsets=mapped.offsets[[0, 3, *range(4, len(mapped) + 1)]], n_items=mapped.n_items
    )
    plain = Histories(items=np.array(again.items), offsets=np.array(again.offsets), n_items=again.n_items)
    same(again.distinct(), plain.distinct())


def test_one_user_with_more_events_than_a_part_is_a_part(both):
    _, mapped = both()
    giant = Histories(
        items=mapped.histories.items,
        offsets=np.array([0, 900, mapped.histories.n_events]),
        n_items=mapped.histories.n_items,
    )
    assert [part.n_events for part in giant.parts()] == [900, giant.n_events - 900]
    assert giant.distinct().n_events < giant.n_events
    same(giant.select(np.array([1, 0])).select(np.array([1, 0])), giant)


def test_a_target_that_was_seen_is_found_in_any_part(both):
    whole, mapped = both()
    users = whole.users
    with pytest.raises(SplitError) as of_whole:
        HeldOut(fold_in=whole.histories, targets=whole.histories, users=users)
    with pytest.raises(SplitError) as of_parts:
        HeldOut(fold_in=mapped.histories, targets=mapped.histories, users=users)
    assert str(of_parts.value) == str(of_whole.value)


def test_parts_of_other_catalogs_are_not_joined():
    with pytest.raises(ShapeError, match="cannot join parts over 3 and over 4 items"):
        Histories.joined([Histories.empty(1, 3), Histories.empty(1, 4)])
    with pytest.raises(ShapeError, match="no parts"):
        Histories.joined([])


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.899, 1.0])
def test_quantiles_by_counting_are_those_by_sorting(share, tmp_path, monkeypatch):
    values = np.random.default_rng(0).integers(-50, 10**12, 997)
    np.save(tmp_path / "values.npy", values)
    monkeypatch.setattr("foldin.data.parts.PART_EVENTS", 60)
    mapped = np.load(tmp_path / "values.npy", mmap_mode="r")
    assert quantiles(mapped, [share]) == quantiles(values, [share]) == [np.quantile(values, share, method="higher")]


def test_the_table_has_repeats():
    assert table().select("user", "item").is_duplicated().any()


def test_windows_are_all_users_and_few_parts_each(both, monkeypatch):
    whole, mapped = (log.histories for log in both())
    monkeypatch.setattr("foldin.data.parts.WINDOW_PARTS", 3)
    rng = np.random.default_rng(0)
    assert [one.tolist() for one in whole.windows(rng)] == [list(range(len(whole)))]
    windows = mapped.windows(rng)
    assert sorted(np.concatenate(windows)) == list(range(len(mapped)))
    events = [int(mapped.lengths[window].sum()) for window in windows]
    assert max(events) <= 3 * 60 + mapped.lengths.max()
    assert [one.tolist() for one in mapped.windows(rng)] != [one.tolist() for one in windows]
    batches = shuffled(7)(mapped, np.random.default_rng(1))
    assert sorted(np.concatenate(batches)) == list(range(len(mapped)))
    order = np.concatenate(batches)
    assert set(order[: len(windows[0])]) != set(range(len(windows[0])))
    where = {int(user): at for at, window in enumerate(mapped.windows(np.random.default_rng(1))) for user in window}
    visited = [where[int(user)] for user in order]
    assert visited == sorted(visited)  # one window after the other


def test_batches_of_sequences_stay_in_their_window(both, monkeypatch):
    _, mapped = (log.histories for log in both())
    monkeypatch.setattr("foldin.data.parts.WINDOW_PARTS", 3)
    batches = batches_of_transitions(mapped, 50, 64, np.random.default_rng(1))
    where = {int(user): at for at, window in enumerate(mapped.windows(np.random.default_rng(1))) for user in window}
    assert sorted(np.concatenate(batches)) == np.flatnonzero(mapped.lengths > 1).tolist()
    visited = [{where[int(user)] for user in batch} for batch in batches]
    assert all(len(one) == 1 for one in visited)
    assert [min(one) for one in visited] == sorted(min(one) for one in visited)
