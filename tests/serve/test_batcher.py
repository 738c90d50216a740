"""Micro-batches and the registry: company, bounds, errors, swaps."""

import asyncio
import threading
import time
from concurrent.futures import wait

import numpy as np
import pytest

from foldin.data import Histories
from foldin.errors import ConfigError, OverloadedError, RunError
from foldin.ranking import WithSpread
from foldin.runs import load_run
from foldin.serve import Batcher, EventStore, Limits, Registry, Service, Telemetry, TokenBuckets, connect
from foldin.serve.engine.lists import ResolvedRequest, rank_requests
from foldin.serve.engine.loop_batcher import LoopBatcher
from foldin.serve.engine.routing import GivenHistory
from foldin.serve.schemas import RecommendRequest
from tests.lists import recommend
from tests.serve.conftest import ITEMS, make_run


def test_requests_that_wait_together_are_served_together_and_in_order():
    entered, leave = threading.Event(), threading.Event()

    def work(numbers):
        entered.set()
        leave.wait(10)
        return [n * n for n in numbers]

    batcher = Batcher(work, most=8)
    first = batcher.submit(0)
    entered.wait(10)
    rest = [batcher.submit(n) for n in range(1, 20)]
    leave.set()
    assert first.result(10) == 0
    assert [one.result(10) for one in rest] == [n * n for n in range(1, 20)]
    assert list(batcher.sizes) == [1, 8, 8, 3]
    batcher.close()


def test_a_full_queue_is_said_at_once():
    entered, leave = threading.Event(), threading.Event()

    def work(numbers):
        entered.set()
        leave.wait(10)
        return numbers

    batcher = Batcher(work, most=1, queued=2)
    batcher.submit(0)
    entered.wait(10)
    waiting = [batcher.submit(n) for n in (1, 2)]
    assert batcher.waiting() == 2
    with pytest.raises(OverloadedError, match="2 requests are waiting"):
        batcher.submit(3)
    leave.set()
    wait(waiting, timeout=10)
    batcher.close()
    with pytest.raises(OverloadedError, match="being replaced"):
        batcher.submit(4)


def test_one_bad_request_does_not_spoil_its_company():
    entered, leave = threading.Event(), threading.Event()

    def work(numbers):
        entered.set()
        leave.wait(10)
        if 13 in numbers:
            raise ConfigError("thirteen")
        return numbers

    batcher = Batcher(work)
    batcher.submit(0)
    entered.wait(10)
    futures = {n: batcher.submit(n) for n in (1, 13, 2)}
    leave.set()
    assert futures[1].result(10) == 1
    assert futures[2].result(10) == 2
    with pytest.raises(ConfigError, match="thirteen"):
        futures[13].result(10)
    batcher.close()


def test_closing_serves_what_waits():
    batcher = Batcher(lambda numbers: [time.sleep(0.01) or n for n in numbers], most=2)
    futures = [batcher.submit(n) for n in range(9)]
    batcher.close()
    assert [one.result(0) for one in futures] == list(range(9))
    batcher.close()


def test_a_bucket_gives_a_burst_and_then_its_rate():
    buckets = TokenBuckets(rate=10.0, burst=3)
    assert [buckets.take("a", now=0.0) for _ in range(3)] == [0.0] * 3
    assert buckets.take("a", now=0.0) == pytest.approx(0.1)
    assert buckets.take("b", now=0.0) == 0.0
    assert buckets.take("a", now=0.11) == 0.0
    assert buckets.take("a", now=0.12) > 0.0


def test_a_swap_under_load_drops_nothing(tmp_path, runs):
    registry = Registry()
    digests = {registry.deploy(runs["ease"], "shop").digest: "ease"}
    other = make_run(tmp_path / "other", "popularity")
    digests[load_run(other).info["digest"][:12]] = "popularity"
    store = EventStore(connect(f"sqlite:///{tmp_path}/events.db"))
    service = Service(registry, store, Limits(), Telemetry())
    answers, errors, stop = [], [], threading.Event()

    def ask():
        while not stop.is_set():
            try:
                found = service.recommend([RecommendRequest(history=["i0", "i2"], k=3, model="shop")])[0]
                answers.append((found["run"], [hit["item"] for hit in found["items"]]))
            except Exception as error:
                errors.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for folder in (other, runs["ease"], other, runs["ease"], other):
        registry.deploy(folder, "shop")
        time.sleep(0.02)
    stop.set()
    for thread in threads:
        thread.join()
    assert not errors
    assert {digests[run] for run, _ in answers} == {"ease", "popularity"}
    assert len({str(items) for run, items in answers if digests[run] == "ease"}) == 1
    assert registry.roll_back("shop").run.name == "ease"
    assert registry.get("shop").run.name == "ease"
    registry.close()


def test_what_draws_is_no_ranker_of_lists_that_do_not_explore(runs):
    for ranker in ("sample", "gumbel:2"):
        with pytest.raises(ConfigError, match=f"ranker '{ranker}': it draws"):
            Registry(rankers={"": ranker}).deploy(runs["multvae"])
    with pytest.raises(ConfigError, match="a beam searches items that have tokens"):
        Registry(rankers={"ease": "beam"}).deploy(runs["ease"])


def test_a_damaged_run_is_refused_and_the_old_one_serves_on(tmp_path, runs):
    registry = Registry()
    registry.deploy(runs["ease"], "shop")
    broken = make_run(tmp_path / "broken", "ease")
    (broken / "model.safetensors").write_bytes((broken / "model.safetensors").read_bytes()[:-7])
    with pytest.raises(RunError, match="damaged"):
        registry.deploy(broken, "shop")
    assert registry.choose(None, None).batcher.submit(ResolvedRequest((0,), 2)).result(10).items.size == 2
    with pytest.raises(ConfigError, match="there is no previous model 'shop'"):
        registry.roll_back("shop")
    registry.close()


def test_a_test_divides_users_and_keeps_each_where_they_are(runs):
    registry = Registry()
    for name in ("ease", "multvae"):
        registry.deploy(runs[name])
    users = [f"p{at}" for at in range(2000)]
    registry.split({"ease": 0.25, "multvae": 0.75})
    chosen = {user: registry.choose(None, user).name for user in users}
    share = sum(name == "ease" for name in chosen.values()) / len(users)
    assert abs(share - 0.25) < 0.03
    assert all(registry.choose(None, user).name == name for user, name in chosen.items())
    assert registry.choose(None, None).name == "ease"  # whom nobody knows gets the default
    assert registry.choose("multvae", users[0]).name == "multvae"
    for wrong in ({"ease": 0.5}, {"ease": 1.5, "multvae": -0.5}, {"none": 1.0}):
        with pytest.raises(ConfigError, match="models: "):
            registry.split(wrong)
    registry.split({})
    assert {registry.choose(None, user).name for user in users} == {"ease"}
    registry.close()


def test_what_arrives_turn_by_turn_is_answered_together():
    def work(numbers):
        if 13 in numbers:
            raise ConfigError("thirteen")
        return [n * n for n in numbers]

    busy, sent = threading.Lock(), []
    free = lambda: busy.acquire(blocking=False)
    elsewhere = lambda n, future: (sent.append(n), future.set_result(-n))
    batcher = LoopBatcher(work, free=free, release=busy.release, elsewhere=elsewhere, most=4, queued=9)

    async def ask(numbers):
        return await asyncio.gather(*(batcher.ask(n) for n in numbers), return_exceptions=True)

    assert asyncio.run(ask(range(9))) == [n * n for n in range(9)]
    assert list(batcher.sizes) == [4, 4, 1]
    first, bad, last = asyncio.run(ask([1, 13, 2]))
    assert (first, last) == (1, 4)
    assert isinstance(bad, ConfigError)

    async def too_many():
        futures = [batcher.ask(n) for n in range(9)]
        assert batcher.waiting() == 9
        with pytest.raises(OverloadedError, match="9 requests are waiting"):
            batcher.ask(9)
        futures[0].cancel()
        await asyncio.gather(*futures[1:])

    asyncio.run(too_many())

    async def after(turns, number):
        for _ in range(turns):
            await asyncio.sleep(0)
        return await batcher.ask(number)

    async def one_after_the_other(*turns):
        return await asyncio.gather(*(after(turn, turn) for turn in turns))

    batcher.sizes.clear()
    asyncio.run(one_after_the_other(0, 1, 2))  # every turn brings one more
    assert list(batcher.sizes) == [3]
    asyncio.run(one_after_the_other(0, 1, 2, 3, 4, 5))  # nobody waits for more than a batch
    asyncio.run(one_after_the_other(0, 6))  # nor for a turn that brings none
    assert list(batcher.sizes) == [3, 4, 2, 1, 1]
    with busy:
        assert asyncio.run(ask([5, 6])) == [-5, -6]
    assert sent == [5, 6]
    assert not busy.locked()


def test_a_quick_model_answers_in_the_loop_and_draws_in_its_thread(runs):
    registry = Registry()
    one = registry.deploy(runs["multvae"])

    async def ask(**settings):
        return await one.ask(ResolvedRequest((0, 2), 3, **settings))

    one.batch_seconds = 0.001
    quick = asyncio.run(ask())
    assert (len(one.in_loop.sizes), len(one.batcher.sizes)) == (1, 0)
    drawn = asyncio.run(ask(ranker=WithSpread()))
    assert (len(one.in_loop.sizes), len(one.batcher.sizes)) == (1, 1)
    assert quick.items.tolist() == drawn.items.tolist()
    one.batch_seconds = 1.0
    assert asyncio.run(ask()).items.tolist() == quick.items.tolist()
    assert len(one.batcher.sizes) == 2
    registry.close()


@pytest.mark.parametrize("name", ["multvae", "ease", "popularity", "semantic"])
def test_a_batch_of_requests_is_the_library_s_batch_to_the_bit(runs, name):
    model = load_run(runs[name]).model
    rng = np.random.default_rng(0)
    users = [rng.choice(ITEMS, rng.integers(1, 9), replace=False).tolist() for _ in range(40)]
    found = rank_requests(model, [ResolvedRequest(tuple(history), 5) for history in users])
    expected = recommend(model, Histories.from_lists(users, ITEMS), 5)
    for one, items, scores in zip(found, expected.items, expected.scores, strict=True):
        assert one.items[0].tolist() == items[items >= 0].tolist()
        assert one.scores[0].tolist() == scores[items >= 0].tolist()


def test_what_is_asked_together_is_the_library_s_batch_to_the_bit(service, runs):
    model, catalog = load_run(runs["multvae"]).model, load_run(runs["multvae"]).catalog
    users = [[0, 2], [1], [3, 5, 7], [4, 6, 8, 10]]
    one = service.registry.get("multvae")
    one.in_loop.sizes.clear()
    one.batch_seconds = 0.001

    async def together():
        asked = [one.ask(ResolvedRequest(tuple(history), 5)) for history in users]
        return await asyncio.gather(*asked)

    found = asyncio.run(together())
    assert list(one.in_loop.sizes) == [4]
    expected = recommend(model, Histories.from_lists(users, ITEMS), 5)
    for place, history in enumerate(users):
        placed = service.place(
            RecommendRequest(history=[catalog.ids[i] for i in history], k=5),
            GivenHistory([catalog.ids[i] for i in history]),
        )
        listed = service.finish(placed, found[place])["items"]
        assert [hit["item"] for hit in listed] == [catalog.ids[i] for i in expected.items[place]]
        assert [hit["probability"] for hit in listed] == np.exp(expected.scores[place].astype(float)).tolist()
