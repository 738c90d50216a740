import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from foldin.data import Histories

LISTS = st.lists(st.lists(st.integers(0, 9), max_size=6), max_size=8)


def as_lists(histories: Histories) -> list[list[int]]:
    return [histories.of(user).tolist() for user in range(len(histories))]


@given(LISTS)
def test_from_lists_gives_back_the_lists(lists):
    assert as_lists(Histories.from_lists(lists, 10)) == lists


@given(LISTS, st.data())
def test_select_takes_users_in_the_order_asked(lists, data):
    histories = Histories.from_lists(lists, 10)
    chosen = data.draw(st.lists(st.integers(0, len(lists) - 1), max_size=10)) if lists else []
    assert as_lists(histories.select(np.array(chosen, dtype=np.int64))) == [lists[i] for i in chosen]


@given(LISTS, st.integers(0, 8), st.integers(0, 8))
def test_rows_is_a_slice(lists, start, stop):
    start, stop = sorted((min(start, len(lists)), min(stop, len(lists))))
    assert as_lists(Histories.from_lists(lists, 10).rows(start, stop)) == lists[start:stop]


@given(LISTS, st.sets(st.integers(0, 9)))
def test_where_and_reindex_keep_users_and_order(lists, kept):
    histories = Histories.from_lists(lists, 10)
    mask = np.isin(histories.items, list(kept))
    assert as_lists(histories.where(mask)) == [[i for i in one if i in kept] for one in lists]
    new = np.full(10, -1, dtype=np.int64)
    for place, item in enumerate(sorted(kept)):
        new[item] = place
    expected = [[int(new[i]) for i in one if i in kept] for one in lists]
    assert as_lists(histories.reindex(new, max(1, len(kept)))) == expected


@given(LISTS)
def test_followed_by_joins_user_by_user(lists):
    histories = Histories.from_lists(lists, 10)
    reversed_ = Histories.from_lists([one[::-1] for one in lists], 10)
    assert as_lists(histories.followed_by(reversed_)) == [one + one[::-1] for one in lists]


def test_counts_and_users_agree_with_a_loop():
    histories = Histories.from_lists([[1, 2], [], [2]], 4)
    assert histories.counts().tolist() == [0, 1, 2, 0]
    assert histories.users().tolist() == [0, 0, 2]
    assert histories.lengths.tolist() == [2, 0, 1]


def test_times_travel_with_their_events():
    histories = Histories(
        items=np.array([3, 1, 2], np.int32), offsets=np.array([0, 2, 3]), n_items=4, times=np.array([10, 20, 30])
    )
    assert histories.select(np.array([1, 0])).times.tolist() == [30, 10, 20]
    assert histories.where(histories.items != 1).times.tolist() == [10, 30]
