"""Items that were sent after the training, scored at once: in lists, filters, histories and the log of lists."""

import json
import logging
import threading
import time

import polars as pl
import pytest
from fastapi.testclient import TestClient

from foldin.models import (
    ContentKNNConfig,
    EASEConfig,
    FeatureRows,
    MultDAEConfig,
    PopularityConfig,
    ProductOfExpertsConfig,
    TwoTowerConfig,
)
from foldin.models.feature_vectors import FeatureVectors
from foldin.ranking import Approximate
from foldin.runs import load_run, save_run
from foldin.serve import (
    Event,
    EventStore,
    ImpressionLog,
    ImpressionStore,
    ItemChange,
    Limits,
    ListLogging,
    Registry,
    Service,
    Telemetry,
    connect,
    make_app,
    read_feedback,
)
from foldin.serve.engine import deployment
from foldin.serve.engine.lists import rank_requests
from foldin.serve.engine.new_scores import NewScores, scored_rows
from foldin.serve.schemas import RecommendRequest
from foldin.serve.storage.items import ItemRow, ItemsState
from tests.models.cold import CATALOG, trained

CONFIGS = {
    "content": ContentKNNConfig(columns=("title", "genres")),
    "ease": EASEConfig(regularization=1.0, features=FeatureRows(regularization=0.1, cold_factor=4.0)),
    "popularity": PopularityConfig(),
    "towers": TwoTowerConfig(embedding_dim=4, epochs=2, features=FeatureVectors(columns=("genres",))),
}
ODD = {"genres": "C"}
EVEN = {"genres": "A|B"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    for name, config in CONFIGS.items():
        save_run(root / name, model=trained(config), catalog=CATALOG, info={})
    return root


@pytest.fixture
def service(folders, tmp_path):
    engine = connect(f"sqlite:///{tmp_path}/events.db")
    registry = Registry()
    for name in CONFIGS:
        registry.deploy(folders / name)
    log = ImpressionLog(ImpressionStore(engine), Telemetry(), ListLogging(seconds=3600.0))
    found = Service(registry, EventStore(engine), Limits(), Telemetry(), log)
    found.new_scores.rest = 0.0
    yield found
    registry.close()
    engine.dispose()


def listed(service, **asked) -> list[str]:
    (answer,) = service.recommend([RecommendRequest(**{"model": "ease", "k": 40, **asked})])
    return [hit["item"] for hit in answer["items"]]


def send(service, *changes: ItemChange) -> None:
    service.items.put(changes)
    service.new_scores.look()


def odd(item: str, **more) -> ItemChange:
    return ItemChange(item=item, title="odd number", features=ODD, **more)


def test_a_new_item_is_listed_as_if_the_run_had_been_trained_with_it(service):
    before = {name: listed(service, model=name, history=["i1", "i3"]) for name in CONFIGS}
    run = service.registry.get("ease").run
    send(service, odd("new"), ItemChange(item="bare"), ItemChange(item="else", features={"colour": "red"}))
    for name in ("content", "ease", "towers"):
        after = listed(service, model=name, history=["i1", "i3"])
        assert [item for item in after if item != "new"] == before[name]
        assert "new" in after
    assert "new" not in listed(service, model="popularity", history=["i1"])
    expected = run.with_new_items(pl.DataFrame({"item": ["new"], "title": ["odd number"], "genres": ["C"]}))
    history = pl.DataFrame({"user": ["u", "u"], "item": ["i1", "i3"]})
    assert listed(service, history=["i1", "i3"]) == expected.recommend(history, k=40)["item"].to_list()
    now = service.registry.get("ease")
    assert now.digest == str(run.info["digest"])[:12]
    assert now.edition != now.digest
    assert service.items.detail("new").models == ["content", "ease", "towers"]
    assert service.items.detail("bare").models == []
    assert now.view.new.ids == [
        "bare",
        "else",
    ]  # nothing is known of these that a model reads: they are left to exploration


def test_events_on_a_new_item_are_a_part_of_the_history(service):
    send(service, odd("new"))
    service.events.append([Event("ann", "new", 1_600_000_000)])
    (answer,) = service.recommend([RecommendRequest(user="ann", model="content", k=3)])
    assert (answer["known_events"], answer["unknown_items"]) == (1, [])
    catalog = service.registry.get("content").view.catalog
    genres = dict(zip(catalog.ids, catalog.table["genres"], strict=True))
    assert [genres[hit["item"]] for hit in answer["items"]] == ["C"] * 3
    assert "new" not in [hit["item"] for hit in answer["items"]]


def test_filters_allow_deny_and_pins_know_a_new_item(service):
    send(service, odd("new"), ItemChange(item="other", features=EVEN))
    only = {"genres": {"any_of": ["C"]}}
    assert "new" in listed(service, history=["i0"], filter=only)
    assert "other" not in listed(service, history=["i0"], filter=only)
    assert listed(service, history=["i0"], allow=["new"]) == ["new"]
    assert "new" not in listed(service, history=["i0"], deny=["new"])
    pinned = {"pins": [{"item": "new", "position": 1, "forced": True}]}
    assert listed(service, history=["i0"], rules=pinned)[0] == "new"


def test_another_feature_gives_another_row(service):
    send(service, odd("new"), odd("same"))
    asked = {"model": "content", "history": ["i0", "i2"]}
    first = listed(service, **asked)
    send(service, ItemChange(item="new", title="even number", features=EVEN))
    second = listed(service, **asked)
    assert second.index("new") < 4 < first.index("new")
    assert [item for item in second if item != "new"] == [item for item in first if item != "new"]


def test_a_retired_item_is_not_listed_and_still_read(service):
    send(service, odd("new"))
    with_it = listed(service, model="content", history=["new"])
    service.items.put([ItemChange(item="new", is_active=False)])
    asked = {"model": "content", "history": ["i1"], "exclude_seen": False}
    assert "new" not in listed(service, **asked)  # at once
    service.new_scores.look()
    assert "new" not in listed(service, **asked)
    assert "new" not in listed(service, allow=["new"])
    send(service, odd("later"))
    assert [item for item in listed(service, model="content", history=["new"]) if item != "later"] == with_it
    send(service, ItemChange(item="new", is_active=True))
    assert "new" in listed(service, **asked)


def test_nothing_is_made_anew_without_a_change(service, monkeypatch):
    send(service, odd("new"))
    kept = {one.name: one for one in service.registry.all()}
    service.items.put([ItemChange(item="i1", title="Renamed"), ItemChange(item="bare")])
    service.new_scores.look()
    assert all(service.registry.get(name) is one for name, one in kept.items())
    with monkeypatch.context() as patch:
        patch.setattr("foldin.serve.engine.new_scores.scored_rows", None)
        service.new_scores.look()  # of the same revision of the items nothing is read again
    service.new_scores.rest = 1e9
    send(service, odd("newer"))
    newer = service.registry.get("content")
    assert newer is not kept["content"]
    assert kept["content"].batcher.open  # requests may still wait; they have until the next look
    send(service, odd("newest"))
    assert not kept["content"].batcher.open
    assert service.registry.get("content") is newer  # after a model was made, none is made for a while


def test_a_model_that_cannot_be_made_stays_as_it_is_and_is_not_tried_again(service, caplog, monkeypatch):
    tried = []

    def refuse(catalog):
        tried.append(len(catalog))
        raise MemoryError("full")

    monkeypatch.setattr(service.registry.get("content").run.model, "with_new_items", refuse)
    with caplog.at_level(logging.WARNING, logger="foldin.serve"):
        send(service, odd("new"))
        service.new_scores.look()
    assert tried == [len(CATALOG) + 1]
    assert [json.loads(one.message) for one in caplog.records] == [
        {"new items": "not scored", "model": "content", "error": "full"}
    ]
    assert "new" not in listed(service, model="content", history=["i1"])
    assert "new" in listed(service, history=["i1"])
    send(service, odd("newer"))
    assert tried == [len(CATALOG) + 1, len(CATALOG) + 2]


def test_a_model_that_fails_when_it_is_warmed_up_leaves_no_thread(service, monkeypatch):
    """The thread would hold the model, in a memory that may be full already."""

    def fail(model, requests):
        raise MemoryError("full")

    before = threading.active_count()
    monkeypatch.setattr(deployment, "rank_requests", fail)
    send(service, odd("new"))
    assert threading.active_count() == before
    monkeypatch.undo()
    assert "new" not in listed(service, history=["i1"])


def test_models_that_share_an_expert_do_not_compute_at_the_same_time(service, tmp_path, monkeypatch):
    """An expert that takes no new items is the same in both, and its scores are in memory that the next call overwrites."""
    config = ProductOfExpertsConfig(experts=(CONFIGS["content"], MultDAEConfig(hidden_dims=(4,), epochs=2)))
    save_run(tmp_path / "both", model=trained(config), catalog=CATALOG, info={})
    old = service.registry.deploy(tmp_path / "both")
    held = []

    def watched(model, requests):
        if type(model) is type(old.run.model):  # the service has others, with locks of their own
            held.append(old.using._is_owned())
        return rank_requests(model, requests)

    monkeypatch.setattr(deployment, "rank_requests", watched)
    send(service, odd("new"))
    new = service.registry.get("both")
    assert new is not old
    assert new.run.model.experts[1] is old.run.model.experts[1]
    assert "new" in listed(service, model="both", history=["i1"])
    assert len(held) > 2
    assert all(held)


def test_a_model_that_was_replaced_meanwhile_is_not_put_back(service, folders):
    old = service.registry.get("ease")
    new = service.registry.load(folders / "ease", "ease")
    service.registry.deploy(folders / "ease")
    assert not service.registry.renew(old, new)
    new.batcher.close()
    send(service, odd("new"))  # the run that was deployed now takes the item too
    assert "new" in listed(service, history=["i1"])
    service.registry.roll_back("ease")
    assert "new" not in listed(service, history=["i1"])
    service.new_scores.look()
    assert "new" in listed(service, history=["i1"])


def test_a_model_whose_lists_come_from_an_index_is_left_as_it_is(service, monkeypatch):
    one = service.registry.get("towers")
    one.ranker = object.__new__(Approximate)
    send(service, odd("new"))
    assert service.registry.get("towers") is one


def test_items_are_in_the_same_order_in_every_process(folders):
    run = load_run(folders / "content")
    rows = {
        "b": ItemRow(item="b", features=ODD, created=2),
        "a": ItemRow(item="a", features=ODD, created=2),
        "c": ItemRow(item="c", title="word", created=1, is_active=False),
        "none": ItemRow(item="none", features={"genres": None, "size": 1.0}),
        "i3": ItemRow(item="i3", features=ODD),
    }
    assert list(scored_rows(run, ItemsState(1, rows))) == ["c", "a", "b"]
    assert scored_rows(load_run(folders / "popularity"), ItemsState(1, rows)) == {}


def test_lists_with_new_items_are_evaluated_on_a_catalog_that_has_them(service):
    model = service.registry.get("towers").run
    request = RecommendRequest(model="towers", history=["i1"], k=30, explore="temperature", seed=1)
    service.recommend([request])
    send(service, odd("new"))
    service.recommend([request, request.model_copy(update={"seed": 2})])
    service.impressions.flush()
    url, later = str(service.events.engine.url), 10**11
    found = read_feedback(url, service.registry.get("towers").run.catalog, now=later)
    assert len(found.feedback) == 3
    assert (found.feedback.items[1:] == len(CATALOG)).sum() == 2
    before = read_feedback(url, model.catalog, now=later)
    assert (len(before.feedback), before.left_out) == (
        1,
        {"that could have new items which are not in the catalog": 2},
    )


def test_the_application_scores_what_is_sent_over_http(service):
    service.new_scores = NewScores(service.registry, service.items, seconds=0.01, rest=0.0)
    with TestClient(make_app(service, None), base_url="http://localhost") as client:
        assert client.put("/v1/items/new", json={"title": "odd number", "features": ODD}).status_code == 200
        body = {"model": "ease", "history": ["i1"], "k": 40}
        until = time.monotonic() + 30
        while "ease" not in client.get("/v1/items/new").json()["models"]:
            assert time.monotonic() < until
            time.sleep(0.01)
        hits = client.post("/v1/recommendations", json=body).json()["items"]
        (hit,) = [hit for hit in hits if hit["item"] == "new"]
        assert (hit["title"], hit["source"]) == ("odd number", "model")
        assert client.get("/v1/items", params={"q": "odd number", "model": "ease"}).json()["items"]
        points = client.get("/v1/models/ease/map").json()["items"]
        assert "new" in [one["item"] for one in points]
