import numpy as np
import pytest

from foldin.data import Histories
from foldin.models.topics import _allocation as allocation
from foldin.models.topics._allocation import allocate, local_ascent

ITEMS, FACTORS = 9, 3
USERS = Histories.from_lists([[0, 3, 8], [], [5], [1, 2, 3, 4, 5, 6], [7, 0], []], ITEMS)


def factors(dtype=np.float64):
    rng = np.random.default_rng(0)
    return rng.gamma(1.0, size=(len(USERS), FACTORS)).astype(dtype), rng.gamma(1.0, size=(ITEMS, FACTORS)).astype(dtype)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_events_are_divided_in_proportion(threads, set_threads, monkeypatch):
    monkeypatch.setattr(allocation, "_PART_EVENTS", 1)
    set_threads(threads)
    a, b = factors()
    of_event = USERS.users()
    phi = a[of_event] * b[USERS.items]
    rates = phi.sum(axis=1)
    phi /= rates[:, None]
    users, items = np.zeros_like(a), np.zeros_like(b)
    np.add.at(users, of_event, phi)
    np.add.at(items, USERS.items, phi)
    found = allocate(a, b, USERS)
    assert np.allclose(found.rates, rates)
    assert np.allclose(found.users, users)
    assert np.allclose(found.items, items)
    assert found.users.sum() == pytest.approx(USERS.n_events)


@pytest.mark.parametrize("times", [2, 50])
def test_a_repeated_event_counts_again(times):
    a, b = factors()
    once = allocate(a, b, USERS)
    repeated = Histories.from_lists([USERS.of(user).tolist() * times for user in range(len(USERS))], ITEMS)
    found = allocate(a, b, repeated)
    assert np.allclose(found.users, times * once.users)
    assert np.allclose(found.items, times * once.items)


def test_parts_of_a_log_merge_to_the_whole():
    a, b = factors()
    whole = allocate(a, b, USERS)
    parts = [allocate(a[cut], b, USERS.rows(cut.start, cut.stop)) for cut in (slice(0, 2), slice(2, 6))]
    assert np.allclose(sum(part.items for part in parts), whole.items, rtol=1e-12)
    assert np.allclose(np.concatenate([part.users for part in parts]), whole.users, rtol=1e-12)


def test_nobody_and_nothing_are_allocated():
    a, b = factors()
    empty = allocate(a[:2], b, Histories.empty(2, ITEMS))
    assert empty.rates.shape == (0,)
    assert (empty.users == 0).all()
    assert (empty.items == 0).all()
    assert allocate(a[:0], b, Histories.empty(0, ITEMS)).items.shape == b.shape


@pytest.mark.parametrize(("chunk", "threads"), [(1, 1), (4, 2), (1000, 3)])
def test_each_user_converges_by_themselves(chunk, threads, set_threads, monkeypatch):
    monkeypatch.setattr(allocation, "_CHUNK_EVENTS", chunk)
    monkeypatch.setattr(allocation, "_PART_EVENTS", 1)
    set_threads(threads)
    a, b = factors()
    found, visits = np.zeros_like(a), np.zeros(len(a), int)

    def update(shares, users):
        visits[users] += 1
        found[users] = 0.1 + shares
        return np.log(found[users])

    local_ascent(b, USERS, np.log(a), update, iterations=2000, tolerance=1e-12)
    again = 0.1 + allocate(found, b, USERS).users  # a fixed point
    assert np.allclose(found, again, atol=1e-8)
    assert visits.max() < 2000
    assert visits[1] == 4  # somebody with no events is done at the first review
    local_ascent(b, Histories.empty(0, ITEMS), a[:0], update, iterations=5, tolerance=0.1)
