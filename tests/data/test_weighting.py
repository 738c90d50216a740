"""Weights of events by kind, value and age, against hand-computed cases; and which events may be targets of a split."""

import time

import numpy as np
import polars as pl
import pytest

from foldin.data import (
    EventWeights,
    Histories,
    KnownUsers,
    Source,
    last_out,
    prepare,
    read_log,
    repeats_of,
    resolve_history,
    split_log,
    strong,
    weighting_of,
)
from foldin.data.catalog import Catalog
from foldin.data.splits.temporal import temporal
from foldin.errors import ColumnError, DataError, ShapeError, SplitError

DAY, START = 86_400, 1_700_000_000
BOUGHT = (1, 3, 4)
NAMES = ("buy", "dislike", "view")


def one_user(items, kinds, times=None, values=None, n_items=10) -> Histories:
    """Events of one user, with kinds by name."""
    return Histories(
        items=np.array(items, np.int32),
        offsets=np.array([0, len(items)]),
        n_items=n_items,
        times=None if times is None else np.array(times, np.int64),
        kinds=np.array([NAMES.index(kind) for kind in kinds], np.uint8),
        values=None if values is None else np.array(values, np.float32),
    )


def test_events_ahead_of_the_clock_are_of_age_0_and_make_no_other_event_old():
    rule, ahead = EventWeights(half_life=10 * DAY), int(time.time()) + 1000 * DAY
    events = one_user([1, 2, 3], ["view"] * 3, [START, START + 10 * DAY, ahead])
    found = rule.since(events)
    assert found.until == START + 10 * DAY
    assert found.of(events, NAMES).tolist() == [0.5, 1.0, 1.0]
    none = one_user([1, 2], ["view"] * 2, [ahead - 10 * DAY, ahead])
    assert rule.since(none).of(none, NAMES).tolist() == [0.5, 1.0]


def test_weight_of_kind_times_two_to_the_minus_age_over_half_life():
    rule = EventWeights(kinds={"buy": 10.0, "dislike": -2.0}, half_life=10 * DAY, until=100 * DAY)
    events = one_user([1, 2, 3, 4], ["view", "buy", "dislike", "buy"], [80 * DAY, 90 * DAY, 95 * DAY, 300 * DAY])
    found = rule.of(events, NAMES)
    assert np.allclose(found, [0.25, 5.0, -2.0 * 2**-0.5, 10.0])  # an event after the latest one of training has age 0
    assert rule.since(events).until == 300 * DAY
    assert EventWeights.from_dict(rule.as_dict()) == rule
    with pytest.raises(DataError, match="not what a run stores"):
        EventWeights.from_dict({"kind": {}})


def test_values_make_dislikes_and_a_minimum_makes_neutral_events():
    rule = EventWeights(kinds={"buy": 3.0}, dislike_below=3.0, min_rating=4.0)
    events = one_user([1, 2, 3, 4, 5], ["view", "buy", "view", "view", "buy"], values=[1, 2, 3, 5, np.nan])
    assert rule.of(events, NAMES).tolist() == [-1, -3, 0, 1, 3]
    found = rule.applied(events, NAMES)
    assert (found.items.tolist(), found.weights.tolist()) == ([4, 5], [1, 3])
    assert (found.dislikes.items.tolist(), found.dislikes.weights.tolist()) == ([1, 2], [1, 3])
    assert rule.applied(found, NAMES) is found


def test_the_latest_event_decides_between_like_and_dislike():
    rule = EventWeights(kinds={"dislike": -1.0, "view": 0.0})
    events = one_user([1, 1, 2, 2, 3, 3], ["buy", "dislike", "dislike", "buy", "dislike", "view"])
    found = rule.applied(events, NAMES)
    assert found.items.tolist() == [2]
    assert found.weights is None  # they are all 1
    assert found.dislikes.items.tolist() == [1, 3]  # an event of weight 0 decides nothing


def weighted() -> Histories:
    likes = Histories.from_lists([[0, 1], [], [2, 3, 4]], 6)
    dislikes = Histories.from_lists([[5], [4], []], 6)
    with_weights = lambda h, of: Histories(items=h.items, offsets=h.offsets, n_items=6, weights=np.float32(of))
    likes, dislikes = with_weights(likes, [1, 2, 3, 4, 5]), with_weights(dislikes, [7, 8])
    return Histories(items=likes.items, offsets=likes.offsets, n_items=6, weights=likes.weights, dislikes=dislikes)


def test_histories_keep_weights_and_dislikes_in_all_that_is_made_of_them():
    h = weighted()
    assert "weights, dislikes" in repr(h)
    assert h.rows(1, 3).dislikes.lengths.tolist() == [1, 0]
    chosen = h.select(np.array([2, 0]))
    assert (chosen.weights.tolist(), chosen.dislikes.of(1).tolist()) == ([3, 4, 5, 1, 2], [5])
    new = np.array([3, 2, 1, 0, -1, 4])
    moved = h.reindex(new, 5)
    assert (moved.of(2).tolist(), moved.dislikes.of(0).tolist(), moved.dislikes.n_events) == ([1, 0], [4], 1)
    joined = Histories.joined([h.rows(0, 2), h.rows(2, 3)])
    assert joined.fingerprint() == h.fingerprint()
    later = Histories.from_lists([[3], [0], []], 6)
    both = h.followed_by(later)
    assert (both.of(0).tolist(), both.weights.tolist()) == ([0, 1, 3], [1, 2, 1, 1, 3, 4, 5])
    assert both.dislikes.items.tolist() == [5, 4] == later.followed_by(h).dislikes.items.tolist()
    plain = Histories(items=h.items, offsets=h.offsets, n_items=6)
    halves = {h.fingerprint(), plain.fingerprint(), h.where(np.ones(5, bool)).fingerprint()}
    assert len(halves) == 2
    with pytest.raises(ShapeError, match="dislikes of 1 users"):
        Histories(items=h.items, offsets=h.offsets, n_items=6, dislikes=Histories.empty(1, 6))


def test_known_users_are_stored_with_weights_and_dislikes():
    known = KnownUsers(pl.Series(["a", "b", "c"]), weighted())
    again = KnownUsers.of_table(known.table(), 6)
    assert again.histories.fingerprint() == known.histories.fingerprint()
    assert again.of(["b"]).histories.dislikes.items.tolist() == [4]


def shop(users=30) -> pl.DataFrame:
    """Each user views six items ten days apart, buys three of them a day later, and dislikes the first."""
    rows = []
    for user in range(users):
        items, begin = [(user + 3 * at) % 17 for at in range(6)], START + user * DAY
        rows += [(user, item, "view", begin + (10 * at + 1) * DAY) for at, item in enumerate(items)]
        rows += [(user, items[at], "buy", begin + (10 * at + 2) * DAY) for at in BOUGHT]
        rows.append((user, items[0], "dislike", begin + 2 * DAY))
    return pl.DataFrame(rows, schema=["user", "item", "event", "time"], orient="row")


OPTIONS = {"kind": "event", "weights": {"view": 1, "buy": 10, "dislike": -1}, "half_life": "10d"}


def test_a_log_says_what_it_weighs_and_refuses_what_it_cannot():
    log = read_log(shop(), **OPTIONS)
    assert log.histories.n_events == 30 * 10  # one event of each kind is kept without being asked for
    assert [note.count for note in log.report.notes if note.text == "events are dislikes of their items"] == [30]
    again = read_log(shop(), kind="event", weights=["view=1", "buy=10", "dislike=-1"])
    assert again.reading.weights == log.reading.weights
    warned = read_log(shop(), kind="event", weights={"buy": 2, "share": 3}).report.warnings
    assert any("none of the kind 'share'" in note.text for note in warned)
    for wrong, text in (
        ({"weights": {"share": 3}}, "no event of the kind 'share'; there are buy, dislike, view"),
        ({"dislike_below": 3}, "dislike_below needs a column of ratings"),
        ({"half_life": "soon"}, "half_life = 'soon'"),
        ({"half_life": "0d"}, "half_life = '0d'"),
        ({"weights": ["buy"]}, "KIND=WEIGHT"),
        ({"weights": {"buy": "much"}}, "a number between"),
    ):
        with pytest.raises((ColumnError, DataError), match=text):
            read_log(shop(), kind="event", **wrong)
    with pytest.raises(ColumnError, match="weights needs a column of kinds"):
        read_log(shop().drop("event"), weights={"buy": 2})


def test_a_minimum_rating_keeps_the_dislikes():
    table = pl.DataFrame({"user": [1] * 4, "item": [1, 2, 3, 4], "rating": [5, 4, 3, 1]})
    log = read_log(table, min_rating=4, dislike_below=3)
    assert log.histories.values.tolist() == [5, 4, 1]


@pytest.mark.parametrize("protocol", ["strong", "last-out", "temporal"])
def test_only_events_of_some_kinds_are_targets_and_dislikes_never(protocol):
    log = read_log(shop(), **OPTIONS)
    split = split_log(log, protocol, held_out=0.2, targets=["buy"])
    bought = {(user, (user + 3 * at) % 17) for user in range(30) for at in BOUGHT}
    disliked = {(user, user % 17) for user in range(30)}
    ids = split.catalog.ids
    for held in (split.validation, split.test):
        pairs = {(int(held.users[u]), int(ids[i])) for u in range(len(held)) for i in held.targets.of(u)}
        assert pairs
        assert pairs <= bought - disliked
        seen = {(int(held.users[u]), int(ids[i])) for u in range(len(held)) for i in held.fold_in.of(u)}
        assert not seen & disliked
        assert (held.targets.lengths > 0).sum() >= 5
    assert split.weighting.until == int(split.train.times.max())
    assert split.train.dislikes is not None
    assert split.train.weights.max() > 5.0
    newest = split.train.times == split.weighting.until
    assert set(split.train.weights[newest].tolist()) <= {1.0, 10.0}


def test_targets_by_hand():
    log = read_log(shop(), **OPTIONS)
    split = last_out(log, targets=["buy"])
    for user in range(30):
        before_last, last = ((user + 3 * at) % 17 for at in (3, 4))
        for held, item in ((split.validation, before_last), (split.test, last)):
            assert held.targets.of(user).tolist() == split.catalog.indices([str(item)])
    at_least_one = strong(log, held_out=5, targets=["buy"]).test.targets.lengths
    assert set(at_least_one.tolist()) <= {0, 1}
    with pytest.raises(SplitError, match="targets: no event of the kind 'share'"):
        temporal(log, targets=["share"])


def test_a_source_tells_its_weights_and_targets(tmp_path):
    path = tmp_path / "shop.csv"
    shop().write_csv(path)
    source = Source(path=str(path), protocol="temporal", targets=["buy"], **OPTIONS)
    stored = source.as_dict()
    assert (stored["weights"]["buy"], stored["half_life"], list(stored["targets"])) == (10.0, "10d", ["buy"])
    assert Source(**stored).split().fingerprint() == source.split().fingerprint()
    plain = Source(path=str(path), protocol="temporal", kind="event", repeats="first-of-kind")
    assert plain.split().fingerprint() != source.split().fingerprint()


def test_a_single_history_is_weighted_as_a_log_is():
    log = read_log(shop(), **OPTIONS)
    rule = log.reading.weighting.since(log.histories)
    catalog = Catalog.from_ids(log.items["item"].to_list())
    whole = KnownUsers.of_log(log, catalog, rule).histories
    one = shop().filter(pl.col("user") == 4).sample(fraction=1.0, shuffle=True, seed=1)
    found = resolve_history(
        catalog,
        [str(item) for item in one["item"]],
        times=one["time"].to_list(),
        kinds=one["event"].to_list(),
        values=[None] * 10,
        repeats="first-of-kind",
        weighting=rule,
    )
    wanted = whole.rows(4, 5)
    assert list(found.items) == wanted.items.tolist()
    assert np.allclose(found.weights, wanted.weights)
    assert list(found.times) == wanted.times.tolist()
    assert list(found.dislikes) == wanted.dislikes.items.tolist()
    assert np.allclose(found.strengths, wanted.dislikes.weights)
    assert found.histories(len(catalog)).dislikes.n_events == 1
    with pytest.raises(ShapeError, match="10 events came with 1 values"):
        resolve_history(catalog, [str(item) for item in one["item"]], values=[1.0])


STARS = {
    "alone": {},
    "with dislikes": {"dislike_below": 3},
    "with a half-life": {"half_life": "10d"},
    "with weights": {"kind": "event", "weights": {"view": 1, "buy": 10}, "dislike_below": 3, "half_life": "10d"},
}


@pytest.mark.parametrize("repeats", ["first", "last", "keep"])
@pytest.mark.parametrize("options", STARS.values(), ids=STARS)
def test_a_single_history_leaves_out_the_ratings_that_the_log_did(options, repeats):
    rng = np.random.default_rng(3)
    rows = [
        (user, int(rng.integers(6)), NAMES[2 * int(rng.integers(2))], float(rng.integers(1, 6)), START + at * DAY)
        for user in range(20)
        for at in rng.permutation(12)
    ]
    table = pl.DataFrame(rows, schema=["user", "item", "event", "rating", "time"], orient="row")
    log = read_log(table, min_rating=4, repeats=repeats, **options)
    rule, reading = log.reading.weighting, log.reading.differing()
    info = {"reading": reading, "weights": None if rule is None else rule.since(log.histories).as_dict()}
    rule = weighting_of(info)
    catalog = Catalog.from_ids(log.items["item"].to_list())
    whole = KnownUsers.of_log(log, catalog, rule)
    for at, user in enumerate(whole.ids):
        one = table.filter(pl.col("user") == int(user))
        found = resolve_history(
            catalog,
            one["item"].cast(pl.String).to_list(),
            times=one["time"].to_list(),
            kinds=one["event"].to_list(),
            values=one["rating"].to_list(),
            repeats=repeats_of(info),
            weighting=rule,
        ).histories(len(catalog))
        wanted = whole.histories.rows(at, at + 1)
        assert (found.items.tolist(), found.times.tolist()) == (wanted.items.tolist(), wanted.times.tolist())
        for mine, other in ((found, wanted), (found.dislikes, wanted.dislikes)):
            if other is not None and other.n_events:
                assert mine.items.tolist() == other.items.tolist()
                assert np.allclose(
                    *(np.ones(one.n_events) if one.weights is None else one.weights for one in (mine, other))
                )


def test_a_minimum_rating_alone_leaves_events_out_and_weighs_none():
    rule = weighting_of({"reading": {"min_rating": 4.0}})
    assert rule == EventWeights(min_rating=4.0) == weighting_of({"source": {"path": "log.csv", "min_rating": 4.0}})
    assert weighting_of({"source": {}}) is weighting_of({"reading": {"repeats": "last"}}) is None
    stored = EventWeights(kinds={"buy": 2.0}, min_rating=3.0, until=5)
    assert weighting_of({"weights": stored.as_dict(), "reading": {"min_rating": 3.0}}) == stored
    rated = one_user([1, 2, 3, 4], ["view"] * 4, values=[3.9, 4, np.nan, 5])
    left = rule.applied(rated, NAMES)
    assert (left.items.tolist(), left.weights, left.dislikes) == ([2, 3, 4], None, None)
    assert rule.applied(left, NAMES) is left
    assert not rule.weighs
    catalog = Catalog.from_ids(["a", "b", "c"])
    ids, values = ["a", "b", "a", "c", "x"], [2.0, 3.9, 5.0, None, 1.0]
    found = resolve_history(catalog, ids, values=values, weighting=rule)
    assert (found.items, found.unknown, found.weights) == ((0, 2), ("x",), None)
    timed = resolve_history(catalog, ids, times=[5, 4, 3, 2, 1], values=values, weighting=rule)
    assert (timed.items, timed.times) == ((2, 0), (2, 3))  # of the two events with a, the one that is rated 5
    assert resolve_history(catalog, ids, weighting=rule).items == (0, 1, 2)  # without values


def test_shards_are_weighted_when_they_are_read_a_part_at_a_time(tmp_path, monkeypatch):
    path, out = tmp_path / "shop.csv", tmp_path / "shards"
    shop().write_csv(path)
    with pytest.raises(DataError, match="when the shards are read"):
        prepare(path, out, **OPTIONS)
    prepare(path, out, kind="event", repeats="first-of-kind")
    monkeypatch.setattr("foldin.data.parts.PART_EVENTS", 40)
    weighting = {name: OPTIONS[name] for name in ("weights", "half_life")}
    with pytest.raises(DataError, match="give repeats to `prepare`"):
        read_log(out, repeats="last", **weighting)
    mapped = read_log(out, **weighting)
    assert mapped.histories.on_disk
    plain = read_log(path, **OPTIONS)
    first, second = (
        log.reading.weighting.since(log.histories).applied(log.histories, log.kinds) for log in (mapped, plain)
    )
    assert first.fingerprint() == second.fingerprint()
    assert first.dislikes.n_events == 30


def test_however_old_an_event_still_counts():
    rule = EventWeights(half_life=3600, until=START)
    old = np.array([START - 3600 * 10_000, START], np.int64)
    weights = rule.signed(np.array([2.0, -1.0]), None, old, 2)
    assert 0.0 < weights[0] < 1e-30
    assert weights[1] == -1.0
    assert rule.signed(np.array([-2.0, 0.0]), None, old, 2).tolist() == [-weights[0], 0.0]


def test_shards_without_the_events_that_weights_need_are_refused(tmp_path):
    frame = pl.DataFrame(
        {"user": ["a", "a", "b"], "item": ["x", "x", "y"], "time": [1, 2, 3], "kind": ["view", "buy", "view"]}
    )
    frame.write_parquet(tmp_path / "log.parquet")
    prepare(tmp_path / "log.parquet", tmp_path / "first")
    with pytest.raises(DataError, match=r"first: the shards keep only the first event .* = first-of-kind"):
        read_log(tmp_path / "first", weights={"buy": 3.0})
    assert read_log(tmp_path / "first").histories.n_events == 2
    prepare(tmp_path / "log.parquet", tmp_path / "kinds", repeats="first-of-kind")
    assert read_log(tmp_path / "kinds", weights={"buy": 3.0}).histories.n_events == 3
