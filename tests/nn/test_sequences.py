import numpy as np
import pytest
import torch

from foldin.data import Histories
from foldin.kernels import devices
from foldin.nn import cut_by_length, newest, transitions

CPU = torch.device("cpu")
USERS = Histories(
    items=np.array([4, 5, 6, 7, 1, 2, 3, 9], np.int32),
    offsets=np.array([0, 4, 5, 8]),
    n_items=10,
    times=np.array([10, 20, 30, 40, 5, 1, 2, 3]),
)


def test_the_newest_events_are_read_oldest_first():
    found = newest(USERS, 3, CPU)
    assert found.lengths.tolist() == [3, 1, 3]
    assert found.items.tolist() == [[5, 6, 7], [1, 1, 1], [2, 3, 9]]
    assert found.times.tolist() == [[20, 30, 40], [5, 5, 5], [1, 2, 3]]
    assert found.positions().tolist() == [0, 1, 2, 3, 6, 7, 8]
    assert found.last().tolist() == [2, 3, 8]


def test_every_event_but_the_first_is_the_target_of_the_one_before_it():
    given, targets = transitions(USERS.select(np.array([2, 0])), 2, CPU)
    assert given.items.tolist() == [[2, 3], [5, 6]]
    assert targets.tolist() == [3, 9, 6, 7]
    assert given.times.tolist() == [[1, 2], [20, 30]]


def test_places_that_are_found_where_the_lengths_are_known_are_the_same(monkeypatch):
    users = USERS.select(np.array([2, 0]))
    given, targets = transitions(users, 3, CPU, width=5)
    assert given.at is None
    monkeypatch.setattr(devices, "_PROCESSOR", "")
    known, found = transitions(users, 3, CPU, width=5)
    assert known.at is not None
    assert torch.equal(known.positions(), given.positions())
    assert torch.equal(found, targets)


def test_a_crop_is_a_window_of_the_history_and_every_window_comes():
    seen = set()
    generator = torch.Generator().manual_seed(0)
    for _ in range(100):
        given, targets = transitions(USERS.select(np.array([0, 2])), 2, CPU, generator)
        seen.add(tuple(given.items[0].tolist()))
        assert targets.tolist() == [*(given.items[0] + 1).tolist(), 3, 9]  # the first user's items rise by one
        assert given.items[1].tolist() == [2, 3]
        assert given.times[0].tolist() == [10 * (item - 3) for item in given.items[0].tolist()]
    assert seen == {(4, 5), (5, 6)}


def test_a_log_without_times_has_none():
    assert newest(Histories.from_lists([[1]], 3), 5, CPU).times is None


@pytest.mark.parametrize("tokens", [1, 10, 64, 10_000])
def test_batches_of_about_one_length_hold_everybody_once_and_little_filling(tokens):
    lengths = np.sort(np.random.default_rng(0).geometric(0.1, 500).astype(np.int64))
    cuts = list(cut_by_length(lengths, tokens))
    assert np.array_equal(np.concatenate([np.arange(500)[cut] for cut in cuts]), np.arange(500))
    sizes = [lengths[cut].max() * len(lengths[cut]) for cut in cuts]
    assert all(size <= tokens or len(lengths[cut]) == 1 for size, cut in zip(sizes, cuts, strict=True))
    if tokens <= 64:
        assert sum(sizes) < 1.05 * lengths.sum()
