"""A service folds events in by the weights that its model was trained with, and lists nothing that a user dislikes."""

import polars as pl
import pytest

import foldin
from foldin.data import read_log
from foldin.runs import load_run
from foldin.serve import Event, EventStore, Limits, Registry, Service, Telemetry, connect
from foldin.serve.schemas import RecommendRequest
from foldin.serve.server import build
from foldin.serve.storage.item_lists import ListedItem
from foldin.testing import two_tastes

DAY = 86_400
START = 1_700_000_000
WEIGHTS = {"view": 1, "buy": 5, "dislike": -2}


def shop() -> pl.DataFrame:
    """Two tastes; every third event is a purchase, and each user dislikes an item of the other taste."""
    train = two_tastes(60, 20)
    rows = []
    for user in range(60):
        for at, item in enumerate(train.of(user)):
            rows.append((f"u{user}", f"i{item}", "buy" if at % 3 == 0 else "view", START + at * DAY))
        other = next(item for item in range(20) if item % 2 != train.of(user)[0] % 2)
        rows.append((f"u{user}", f"i{(other + 2 * user) % 20}", "dislike", START + user * DAY))
    return pl.DataFrame(rows, schema=["user", "item", "kind", "time"], orient="row")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    log = read_log(shop(), weights=WEIGHTS, half_life="30d")
    run = foldin.train(foldin.split(log, "strong", held_out=8), foldin.EASE(regularization=2.0))
    folder = tmp_path_factory.mktemp("weights") / "ease"
    run.save(folder, histories=True)
    return run, folder


@pytest.fixture
def service(saved, tmp_path):
    engine, registry = connect(f"sqlite:///{tmp_path}/events.db"), Registry()
    registry.deploy(saved[1])
    yield Service(registry, EventStore(engine), Limits(), Telemetry())
    registry.close()
    engine.dispose()


def test_a_run_keeps_its_rule_and_its_users_with_their_weights(saved):
    run, folder = saved
    again = load_run(folder)
    assert again.weighting == run.split.weighting
    train = run.split.train
    assert again.weighting.until == max(int(train.times.max()), int(train.dislikes.times.max()))
    assert again.recommend(["u3"], 5).equals(run.recommend(["u3"], 5))
    assert "dislikes" in repr(again.known.histories)


def test_events_that_are_posted_weigh_as_in_training(saved, service):
    run, _ = saved
    events = shop().filter(pl.col("user") == "u5").with_columns(pl.lit("new").alias("user"))
    service.events.append([Event(*row[:2], row[3], row[2]) for row in events.iter_rows()])
    (found,) = service.recommend([RecommendRequest(user="new", k=20)])
    disliked = set(events.filter(pl.col("kind") == "dislike")["item"])
    listed = [hit["item"] for hit in found["items"]]
    assert not set(listed) & (disliked | set(events["item"]))
    wanted = run.recommend(events, 20)  # the same events as a table
    assert listed == wanted["item"].to_list()
    assert [hit["score"] for hit in found["items"]] == pytest.approx(wanted["score"].to_list(), abs=1e-5)
    (again,) = service.recommend([RecommendRequest(user="new", k=20, exclude_seen=False, attributions=True)])
    assert {hit["item"] for hit in again["items"]} == {f"i{at}" for at in range(20)} - disliked


def test_a_dislike_pushes_down_what_is_like_it(service):
    service.events.append([Event(user, "i0", START, "view") for user in "ab"])
    service.events.append([Event("b", "i1", START + 1, "dislike")])
    lists = service.recommend([RecommendRequest(user=name, k=20) for name in "ab"])
    scores = [{hit["item"]: hit["score"] for hit in one["items"]} for one in lists]
    assert ["i1" in one for one in scores] == [True, False]
    assert sum(scores[1][f"i{at}"] for at in range(3, 20, 2)) < sum(scores[0][f"i{at}"] for at in range(3, 20, 2))
    service.events.append([Event("b", "i1", START + 2, "buy")])  # the latest event decides
    (found,) = service.recommend([RecommendRequest(user="b", k=20, exclude_seen=False)])
    assert "i1" in [hit["item"] for hit in found["items"]]


def test_lists_for_all_users_weigh_events_as_the_default_model_does(saved, tmp_path):
    url = f"sqlite:///{tmp_path}/events.db"
    _, service, _ = build([saved[1]], url, open_to_all=True, host="127.0.0.1", limits=Limits(), device="cpu")
    assert service.registry.weighting == saved[0].split.weighting
    assert Registry().weighting is None
    now = START + 90 * DAY
    events = [Event("a", "i1", now - 60, "buy"), *(Event(user, "i2", now - 60, "view") for user in "abc")]
    service.events.append([*events, *(Event(f"u{at}", "i3", now - 60, "dislike") for at in range(9))])
    service.lists.look(now)
    assert service.lists.get("popular") == (ListedItem("i1", 5.0), ListedItem("i2", 3.0))
    assert [one.item for one in service.lists.get("trending")] == ["i1", "i2"]
    service.registry.close()
    service.events.engine.dispose()


def test_a_user_of_whom_only_dislikes_are_known_gets_the_model_s_list_and_no_prior(service):
    service.events.append([Event("d", "i1", START + 1, "dislike")])
    service.lists._lists = {"popular": (ListedItem("i4", 3.0),)}
    known, nobody = service.recommend([RecommendRequest(user=name, k=3, fallback="popular") for name in ("d", "none")])
    assert (known["source"], known["prior"]) == ("model", False)
    assert nobody["source"] == "popular"
    (prior,) = service.recommend([RecommendRequest(user="none", k=3)])
    assert prior["prior"]
