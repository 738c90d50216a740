"""Rate limits that several workers share: as exact as those of one."""

import subprocess
import sys
import threading

import numpy as np
import pytest

from foldin.serve import SharedBuckets, TokenBuckets, shared_limits

HOLDING = """
import fcntl, sys, time
with open(sys.argv[1], "r+b") as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def table(tmp_path):
    SharedBuckets.create(tmp_path / "limits")
    return tmp_path / "limits"


@pytest.fixture
def worker(table):
    """Makes the buckets of one more worker."""
    made = []

    def make(rate: float, burst: int) -> SharedBuckets:
        made.append(SharedBuckets(table, rate, burst))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_several_workers_give_together_what_one_gives_alone(worker):
    alone = TokenBuckets(rate=10.0, burst=5)
    shared = [worker(rate=10.0, burst=5) for _ in range(3)]
    rng, now = np.random.default_rng(0), 1000.0
    pauses = []
    for _ in range(2000):
        now += float(rng.exponential(0.1))
        key, tokens = f"key {rng.integers(4)}", int(rng.integers(1, 8))
        pauses.append(alone.take(key, tokens, now=now))
        assert shared[rng.integers(3)].take(key, tokens, now=now) == pauses[-1]
    assert 200 < sum(pause == 0 for pause in pauses) < 1800


def test_of_many_threads_and_workers_at_once_no_token_is_given_twice(worker):
    workers = [worker(rate=1e-9, burst=500) for _ in range(4)]
    given = []

    def take(one: SharedBuckets) -> None:
        given.append(sum(one.take("anna") == 0 for _ in range(100)))

    threads = [threading.Thread(target=take, args=(one,)) for one in workers for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(given) == 500


def test_a_worker_that_dies_while_it_holds_the_lock_holds_up_nobody(table, worker):
    dying = subprocess.Popen([sys.executable, "-c", HOLDING, str(table)], stdout=subprocess.PIPE, text=True)
    assert dying.stdout is not None
    assert dying.stdout.readline() == "held\n"
    found, other = [], worker(rate=1.0, burst=1)
    waiting = threading.Thread(target=lambda: found.append(other.take("anna")))
    waiting.start()
    waiting.join(0.1)
    assert not found
    dying.kill()
    dying.wait()
    dying.stdout.close()
    waiting.join(30)
    assert found == [0.0]


def test_a_crowded_table_forgets_who_came_longest_ago(worker, monkeypatch):
    monkeypatch.setattr(shared_limits, "_SLOTS", 4)
    monkeypatch.setattr(shared_limits, "_NEAR", 4)
    buckets = worker(rate=0.001, burst=1)
    for at, key in enumerate("abcd"):
        assert buckets.take(key, now=float(at)) == 0.0
    assert all(buckets.take(key, now=10.0 + at) > 0 for at, key in enumerate("bcda"))
    assert buckets.take("e", now=20.0) == 0.0  # in the place of b
    assert all(buckets.take(key, now=21.0) > 0 for key in "cdae")
    assert buckets.take("b", now=22.0) == 0.0
