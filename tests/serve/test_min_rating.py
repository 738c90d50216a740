"""A service leaves out the ratings that the training of its model did, whenever they were stored."""

import polars as pl
import pytest

import foldin
from foldin.data import EventWeights, read_log
from foldin.runs import load_run, save_run
from foldin.serve import Event, EventStore, Limits, Registry, Service, Telemetry, connect
from foldin.serve.schemas import RecommendRequest
from foldin.testing import two_tastes

START = 1_700_000_000


def films() -> pl.DataFrame:
    """Two tastes, rated five stars; each user rates an item of the other taste with one star."""
    train = two_tastes(60, 20)
    rows = []
    for user in range(60):
        rows += [(f"u{user}", f"i{item}", 5.0, START + at) for at, item in enumerate(train.of(user))]
        other = (train.of(user)[0] + 1 + 2 * user) % 20
        rows.append((f"u{user}", f"i{other}", 1.0, START + 50))
    return pl.DataFrame(rows, schema=["user", "item", "rating", "time"], orient="row")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("rated") / "ease"
    foldin.fit_all(read_log(films(), min_rating=4), foldin.EASE(regularization=2.0)).save(made)
    return made


# (item, time, value) of the events of users; those of a pair say the same to a model of ratings of four stars and more.
PAIRS = {
    "a low rating": ([("i0", 1, 5.0), ("i1", 2, 1.0)], [("i0", 1, 5.0)]),
    "a low rating, then a high one": (
        [("i1", 1, 3.5), ("i0", 2, 4.0), ("i1", 3, 4.5)],
        [("i0", 2, 5.0), ("i1", 3, 5.0)],
    ),
    "a high rating, then a low one": ([("i0", 1, 5.0), ("i0", 2, 1.0)], [("i0", 1, 5.0)]),
    "no value": ([("i0", 1, None)], [("i0", 1, 5.0)]),
    "nothing but low ratings": ([("i0", 1, 2.0)], []),
}


@pytest.mark.parametrize(("sent", "meant"), PAIRS.values(), ids=PAIRS)
def test_events_below_the_minimum_rating_are_as_if_they_had_not_been(folder, tmp_path, sent, meant):
    store, registry = EventStore(connect(f"sqlite:///{tmp_path}/events.db")), Registry()
    for user, events in (("sent", sent), ("meant", meant)):  # before there is a model
        store.append([Event(user, item, START + at, "", value) for item, at, value in events])
    registry.deploy(folder)
    service = Service(registry, store, Limits(), Telemetry())
    asked = [RecommendRequest(user=user, k=20) for user in ("sent", "meant")]
    asked.append(RecommendRequest(history=[item for item, *_ in meant], k=20))  # ids alone, which have no values
    lists = [
        ([(hit["item"], hit["score"]) for hit in one["items"]], one["known_events"], one["prior"])
        for one in service.recommend(asked)
    ]
    assert lists[0] == lists[1] == lists[2]
    rows = [("x", item, value, START + at) for item, at, value in sent if value is not None]
    if rows:
        table = pl.DataFrame(rows, schema=["user", "item", "rating", "time"], orient="row")
        assert [item for item, _ in lists[0][0]] == load_run(folder).recommend(table, 20)["item"].to_list()
    registry.close()
    store.engine.dispose()


def test_of_a_long_history_the_ratings_between_the_first_and_the_last_count_too(folder, tmp_path):
    store, registry = EventStore(connect(f"sqlite:///{tmp_path}/events.db")), Registry()
    registry.deploy(folder)
    old = [("i2", 1, 1.0), ("i2", 2, 5.0), ("i2", 3, 1.0), ("i4", 1, 1.0), ("i4", 9, 1.0)]
    newer = [(f"i{item}", 10 + item, 5.0) for item in (6, 8, 10, 12)]
    store.append([Event("long", item, START + at, "", value) for item, at, value in [*old, *newer]])
    service = Service(registry, store, Limits(history=3), Telemetry())
    (found,) = service.recommend([RecommendRequest(user="long", k=20)])
    listed = {hit["item"] for hit in found["items"]}
    assert {f"i{at}" for at in range(20)} - listed == {"i2", "i6", "i8", "i10", "i12"}
    registry.close()
    store.engine.dispose()


def test_runs_of_earlier_versions_leave_low_ratings_out_too(folder, tmp_path):
    run = load_run(folder)
    assert "weights" not in run.info
    assert run.weighting == EventWeights(min_rating=4.0)
    source = {"path": "ratings.csv", "min_rating": 4.0}  # before runs had a reading
    save_run(tmp_path / "old", model=run.model, catalog=run.catalog, info={"source": source})
    assert load_run(tmp_path / "old").weighting == run.weighting
    save_run(tmp_path / "plain", model=run.model, catalog=run.catalog, info={"seed": 0})
    assert load_run(tmp_path / "plain").weighting is None
