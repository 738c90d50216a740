"""Feedback from the log of lists: its propensities are those of the policy that drew, and its estimates are unbiased."""

import time
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

import foldin
from foldin.data import Catalog, Histories
from foldin.errors import ConfigError, DataError
from foldin.evaluation import PropensityOf, ips, policy_of
from foldin.ranking import Gumbel, rank
from foldin.serve import (
    Event,
    EventStore,
    Impression,
    ImpressionStore,
    ItemChange,
    ItemRow,
    ItemsState,
    connect,
    read_feedback,
)
from foldin.serve.engine.catalog_view import CatalogView
from foldin.serve.schemas import RecommendRequest
from tests.serve.conftest import ITEMS
from tests.serve.logged import Made

NOW = 1_600_000_000
DAY = 86_400


def drawn(list_id: str, at: int = NOW, user: str | None = "ann", **about) -> Impression:
    whole = {"model": "multvae", "run": "r", "ranker": "temperature:1", "items": ["i1", "i2"], **about}
    whole = {"propensities": [0.5, 0.25], "propensity_of": "given_above", **whole}
    return Impression(list_id=list_id, time=at, user=user, **{"history": {"items": [], "times": None}, **whole})


@pytest.fixture(scope="module")
def simulated(runs, tmp_path_factory):
    """(URL, model, catalog, chance that a listed item is taken) of a service that drew lists for histories at random."""
    url = f"sqlite:///{tmp_path_factory.mktemp('simulated')}/events.db"
    made = Made(runs, url)
    rng = np.random.default_rng(1)
    run = made.registry.get("multvae").run
    chances = rng.uniform(0.0, 1.0, ITEMS)
    for _ in range(3):
        requests = [
            RecommendRequest(
                history=[f"i{at}" for at in rng.choice(ITEMS, rng.integers(0, 4), replace=False)],
                k=2,
                explore="temperature",
                temperature=2.0,
                model="multvae",
                seed=int(rng.integers(2**31)),
            )
            for _ in range(500)
        ]
        answers = made.service.recommend(requests)
        now = int(time.time())
        taken = [
            Event(f"somebody-{answer['list_id']}", hit["item"], now, list_id=answer["list_id"])
            for answer in answers
            for hit in answer["items"]
            if rng.uniform() < chances[run.catalog.indices([hit["item"]])[0]]
        ]
        made.events.append(taken)
    made.log.flush()
    made.registry.close()
    made.events.engine.dispose()
    return url, run.model, run.catalog, chances


def value_of(policy, histories, chances) -> float:
    """The expected reward of a list of two items, over all lists that the policy may draw."""
    scores = policy.model.logits(histories).detach().double().cpu().numpy()
    total = 0.0
    for row in range(len(histories)):
        seen = histories.items[histories.offsets[row] : histories.offsets[row + 1]]
        logits = scores[row] / policy.ranker.temperature
        weights = np.exp(logits - logits.max())
        weights[seen] = 0.0
        p = weights / weights.sum()
        second = p[:, None] * p[None, :] / (1.0 - p[:, None])  # P(first, second)
        np.fill_diagonal(second, 0.0)
        total += p @ chances + second.sum(axis=0) @ chances
    return total / len(histories)


def test_the_logged_propensities_are_those_of_the_policy_that_drew_the_lists(simulated):
    url, model, catalog, _ = simulated
    found = read_feedback(url, catalog, now=int(time.time()) + 2 * DAY)
    own = policy_of(model, Gumbel(2.0)).probabilities(found.feedback, found.histories)
    assert len(found.feedback) == 1500
    assert found.left_out == {}
    assert np.allclose(own, found.feedback.propensities, rtol=1e-4)


@pytest.mark.parametrize("temperature", [2.0, 1.4])
def test_the_value_of_a_policy_is_estimated_without_bias(simulated, temperature):
    url, model, catalog, chances = simulated
    found = read_feedback(url, catalog, now=int(time.time()) + 2 * DAY)
    policy = policy_of(model, Gumbel(temperature))
    estimate = ips(found.feedback, policy.probabilities(found.feedback, found.histories))
    truth = value_of(policy, found.histories, chances)
    error = estimate.values.std(ddof=1) / np.sqrt(len(estimate.values))
    assert abs(estimate.value - truth) < 4 * error
    assert error < 0.2 * truth


def test_an_event_rewards_the_list_that_it_names_or_the_newest_of_its_user_that_held_the_item(store, runs):
    lists = ImpressionStore(store.engine)
    lists.write([drawn("a"), drawn("b", NOW + 10), drawn("c", NOW + 20, items=["i2", "i3"]), drawn("d", user=None)])
    events = [
        Event("ann", "i1", NOW + 15, "buy"),  # b, the newest that held it
        Event("ann", "i2", NOW + 15, "buy", list_id="a"),
        Event("ann", "i2", NOW + 25, "view"),  # c
        Event("ann", "i2", NOW + 5, "view", list_id="gone"),
        Event("eve", "i1", NOW + 5, "view", list_id="d"),
        Event("ann", "i1", NOW + 10 + DAY + 1, "buy"),  # after the window of all that held it
        Event("ann", "i9", NOW + 5, "buy"),
    ]
    store.append(events)
    url, catalog = store.engine.url.render_as_string(hide_password=False), _catalog(runs)
    found = read_feedback(url, catalog, now=NOW + 10 * DAY)
    assert found.list_ids == ("a", "d", "b", "c")
    assert found.users == ("ann", None, "ann", "ann")
    assert found.feedback.rewards.tolist() == [[0.0, 1.0], [1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]
    assert found.feedback.clusters.tolist() == [0, 1, 0, 0]  # d, of nobody known, is one of its own
    weighed = read_feedback(url, catalog, weights={"buy": 5.0}, now=NOW + 10 * DAY)
    assert weighed.feedback.rewards.tolist() == [[0.0, 5.0], [0.0, 0.0], [5.0, 0.0], [0.0, 0.0]]


def test_the_interval_of_few_users_who_reload_a_page_counts_the_users(store, runs):
    users, reloads = 12, 8
    shown = [(f"u{user}", NOW + 10 * at) for user in range(users) for at in range(reloads)]
    ImpressionStore(store.engine).write([drawn(f"{user}-{at}", at, user) for user, at in shown])
    store.append(
        [Event(user, "i1", at + 1, list_id=f"{user}-{at}") for user, at in shown if int(user[1:]) % 3 == 0 or at == NOW]
    )
    found = read_feedback(_url(store), _catalog(runs), now=NOW + 10 * DAY)
    estimate = ips(found.feedback, found.feedback.propensities)  # of the policy that drew: the mean reward
    of_users = np.array([1.0 if user % 3 == 0 else 1 / reloads for user in range(users)])
    assert estimate.value == pytest.approx(of_users.mean())
    assert sorted(estimate.per_cluster()) == pytest.approx(sorted(of_users))
    (low, high), (least, most) = estimate.interval(), estimate.interval(fixed_contexts=True)
    assert high - low > 2.0 * (most - least)
    assert "96 contexts in 12 clusters" in repr(estimate)


def test_lists_that_cannot_be_evaluated_are_left_out_and_counted(store, runs):
    lists = ImpressionStore(store.engine)
    lists.write(
        [
            drawn("a", history={"items": ["i5", "gone", "i6"], "times": [3, 4, 5]}),
            drawn("b", items=["i3"], propensities=[0.5]),
            drawn("c", restricted=True),
            drawn("d", items=["gone", "i1"], run="of another catalog"),
            drawn("k", items=["i1", "i2"], run="of another catalog"),
            drawn("l", ranker="temperature:1+new:0.1"),
            drawn("e", items=[], propensities=[]),
            drawn("f", NOW + 9 * DAY + 1),
            drawn("g", propensity_of="in_list"),
            drawn("h", propensities=None, propensity_of=None, history=None),
            drawn("i", model="other"),
            drawn("j", NOW - 1),
        ]
    )
    url, catalog = store.engine.url.render_as_string(hide_password=False), _catalog(runs)
    found = read_feedback(url, catalog, model="multvae", since=NOW, now=NOW + 10 * DAY)
    assert found.list_ids == ("a", "b")
    assert found.left_out == {
        "whose window is not over": 1,
        "restricted by the request": 1,
        "without an item": 1,
        "of a run that lists items that are not in the catalog": 2,
        "that new items could have places in": 1,
    }
    assert found.histories.offsets.tolist() == [0, 2, 2]
    assert catalog.indices(["i5", "i6"]) == found.histories.items.tolist()
    assert found.histories.times.tolist() == [3, 5]
    assert found.feedback.items[1].tolist() == [*catalog.indices(["i3"]), -1]
    marginal = read_feedback(url, catalog, propensity_of=PropensityOf.IN_LIST, now=NOW + 10 * DAY)
    assert (marginal.list_ids, marginal.feedback.propensity_of) == (("g",), PropensityOf.IN_LIST)
    with pytest.raises(DataError, match="no list with propensities of 'given_above' to evaluate: none is logged"):
        read_feedback(url, catalog, model="none")
    with pytest.raises(ConfigError, match="AT_PLACE"):
        read_feedback(url, catalog, propensity_of=PropensityOf.AT_PLACE)
    with pytest.raises(ConfigError, match="window"):
        read_feedback(url, catalog, window=0)


def test_a_database_without_a_log_is_refused(tmp_path, runs):
    url = f"sqlite:///{tmp_path}/events.db"
    engine = EventStore(connect(url)).engine
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE foldin_retirements")
    engine.dispose()
    with pytest.raises(DataError, match="no log of lists"):
        read_feedback(url, _catalog(runs))


def _url(store) -> str:
    return store.engine.url.render_as_string(hide_password=False)


def _catalog(runs):
    from foldin.runs import load_run

    return load_run(runs["multvae"]).catalog


@pytest.fixture(scope="module")
def retiring(runs, tmp_path_factory):
    """(URL, model, catalog, lists by the items that were retired) of a service that retires items and lists them again."""
    url = f"sqlite:///{tmp_path_factory.mktemp('retiring')}/events.db"
    made = Made(runs, url)
    made.service.items.look()
    run, known = made.registry.get("multvae").run, {}
    best = rank(run.model, Histories.from_lists([[]], ITEMS), 3).items[0].tolist()
    names = [run.catalog.ids[at] for at in best]
    steps: list[dict[str, bool]] = [{}, {names[0]: False}, {names[1]: False}, {names[0]: True, names[2]: True}]
    retired: set[str] = set()
    for number, step in enumerate(steps):
        if step:
            made.service.items.put([ItemChange(item=item, is_active=active) for item, active in step.items()])
        retired = (retired | {item for item, active in step.items() if not active}) - {
            item for item, active in step.items() if active
        }
        draws = {"k": 3, "explore": "temperature", "temperature": 2.0, "model": "multvae"}
        requests = [RecommendRequest(history=["i1"], seed=100 * number + seed, **draws) for seed in range(20)]
        requests.append(RecommendRequest(history=["i1"], deny=["i3"], **draws))
        answers = made.service.recommend(requests)
        known |= {answer["list_id"]: frozenset(retired) for answer in answers[:-1]}
    made.log.flush()
    made.registry.close()
    made.events.engine.dispose()
    return url, run.model, run.catalog, known


def test_lists_after_an_item_was_retired_have_the_propensities_of_what_could_be_listed(retiring):
    url, model, catalog, known = retiring
    found = read_feedback(url, catalog, now=int(time.time()) + 2 * DAY)
    assert found.left_out == {"restricted by the request": 4}
    assert set(found.list_ids) == set(known)
    for at, list_id in enumerate(found.list_ids):
        mask = found.eligible.own.get(at, np.zeros(ITEMS, dtype=bool))
        assert {catalog.ids[one] for one in np.flatnonzero(mask)} == known[list_id]
        assert not mask[found.feedback.items[at]].any()
    own = policy_of(model, Gumbel(2.0))
    exact = own.probabilities(found.feedback, found.histories, eligible=found.eligible)
    assert np.allclose(exact, found.feedback.propensities, rtol=1e-4)
    everything = own.probabilities(found.feedback, found.histories)
    assert not np.allclose(
        everything, found.feedback.propensities, rtol=1e-2
    )  # what leaving retired items in would say


def test_lists_that_may_repeat_the_history_have_the_propensities_of_all_items(runs, tmp_path):
    url = f"sqlite:///{tmp_path}/events.db"
    made = Made(runs, url)
    made.registry.get("multvae").excludes_seen = False  # as of a run with repeats="keep"
    asked = {"k": 3, "explore": "temperature", "temperature": 2.0, "model": "multvae"}
    requests = [RecommendRequest(history=["i1", "i2", "i5"], seed=seed, **asked) for seed in range(40)]
    requests.append(RecommendRequest(history=["i1"], exclude_seen=True, **asked))
    made.service.recommend(requests)
    made.log.flush()
    made.registry.get("multvae").excludes_seen = True
    made.service.recommend(requests[:3])
    made.log.flush()
    run = made.registry.get("multvae").run
    made.registry.close()
    made.events.engine.dispose()
    found = read_feedback(url, run.catalog, now=int(time.time()) + 2 * DAY)
    assert found.left_out == {"restricted by the request": 1}
    own = policy_of(run.model, Gumbel(2.0)).probabilities(found.feedback, found.histories, eligible=found.eligible)
    assert np.allclose(own, found.feedback.propensities, rtol=1e-4)
    lengths = np.diff(found.eligible.seen.offsets)
    assert sorted(lengths) == [0] * 40 + [3] * 3
    repeating = [np.isin(row, run.catalog.indices(["i1", "i2", "i5"])).any() for row in found.feedback.items]
    assert any(repeating)
    assert not any(np.array(repeating)[lengths == 3])


def test_weights_and_dislikes_are_logged_and_lists_have_the_propensities_of_what_the_model_read(runs, tmp_path):
    rows = [
        (f"u{at % 40}", f"i{(7 * at + at // 40) % ITEMS}", ("view", "buy", "hide")[at % 3], NOW + at * 3600)
        for at in range(600)
    ]
    table = pl.DataFrame(rows, schema=["user", "item", "kind", "time"], orient="row")
    log = foldin.read_log(table, weights={"view": 1, "buy": 5, "hide": -2}, half_life="1d")
    model = foldin.MultVAE(hidden_dims=(), latent_dim=8, batch_size=20, learning_rate=0.02)
    foldin.fit_all(log, model, epochs=5).save(tmp_path / "shop")
    url = f"sqlite:///{tmp_path}/events.db"
    made = Made(runs, url)
    run = made.registry.deploy(tmp_path / "shop").run
    until = run.weighting.until
    made.events.append([Event("ann", "i1", until - DAY, "view"), Event("ann", "i2", until - 2 * DAY, "buy")])
    made.events.append(
        [Event("ann", "i3", until, "hide"), Event("bob", "i3", until, "view"), Event("eve", "i4", until, "hide")]
    )
    asked = {"k": 3, "explore": "temperature", "temperature": 2.0, "model": "shop"}
    made.service.recommend(
        [RecommendRequest(user=user, seed=seed, **asked) for user in ("ann", "bob", "eve") for seed in range(20)]
    )
    made.log.flush()
    entry = made.store.of_user("ann")[0]
    made.registry.close()
    made.events.engine.dispose()
    assert (entry.history["items"], entry.history["weights"]) == (["i2", "i1"], [1.25, 0.5])
    assert (entry.history["dislikes"], entry.history["strengths"]) == (["i3"], [2.0])
    assert not entry.restricted
    found = read_feedback(url, run.catalog, now=int(time.time()) + 2 * DAY)
    assert (found.left_out, len(found.feedback)) == ({}, 60)
    policy = policy_of(run.model, Gumbel(2.0))
    own = policy.probabilities(found.feedback, found.histories, eligible=found.eligible)
    assert np.allclose(own, found.feedback.propensities, rtol=1e-4)
    for unknown in ({"weights": None}, {"dislikes": None}):  # both matter to what the model reads
        other = policy.probabilities(found.feedback, replace(found.histories, **unknown), eligible=found.eligible)
        assert not np.allclose(other, found.feedback.propensities, rtol=1e-3)
    hidden = [{run.catalog.ids[at] for at in found.eligible.seen.of(list_)} for list_ in range(60)]
    wanted = {"ann": {"i1", "i2", "i3"}, "bob": {"i3"}, "eve": {"i4"}}
    assert hidden == [wanted[user] for user in found.users]


def test_histories_that_were_logged_before_weights_were_have_weights_of_one(store, runs):
    weighed = {"items": ["i5", "gone", "i6"], "times": None, "exclude_seen": False, "weights": [2.0, 3.0, 0.5]}
    old = {"items": ["i3"], "times": None}
    lists = [
        drawn("a", history={**weighed, "dislikes": ["gone", "i7"], "strengths": [1.0, 4.0]}),
        drawn("b", history=old),
    ]
    ImpressionStore(store.engine).write(lists)
    url, catalog = store.engine.url.render_as_string(hide_password=False), _catalog(runs)
    found = read_feedback(url, catalog, now=NOW + 10 * DAY)
    assert found.histories.weights.tolist() == [2.0, 0.5, 1.0]
    dislikes = found.histories.dislikes
    assert (dislikes.items.tolist(), dislikes.weights.tolist(), dislikes.lengths.tolist()) == (
        catalog.indices(["i7"]),
        [4.0],
        [1, 0],
    )
    seen = found.eligible.seen  # a repeats what it has, but for what is disliked
    assert [seen.of(at).tolist() for at in range(2)] == [catalog.indices(["i7"]), catalog.indices(["i3"])]


def test_an_item_that_the_run_alone_retires_is_a_restriction(retiring):
    _, _, catalog, _ = retiring
    base = Catalog(catalog.table.with_columns(is_active=pl.col("item") != "i2"))
    assert CatalogView(base).retired_by_run
    told = ItemsState(3, {"i2": ItemRow(item="i2", is_active=False)})
    assert not CatalogView(base, told).retired_by_run
    assert not CatalogView(catalog, told).retired_by_run
