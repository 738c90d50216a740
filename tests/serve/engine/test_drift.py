"""The drift of the models in service: measured once by all processes, and shown by each."""

import math
import shutil
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from fastapi.testclient import TestClient

import foldin
from foldin.errors import CapacityError
from foldin.experiment import DriftLimits
from foldin.serve import EventStore, Limits, Registry, Service, Telemetry, connect, make_app
from foldin.serve.engine.drift import DriftWatch
from foldin.serve.storage.drift_reports import DriftReports
from foldin.serve.storage.event_store import Event
from tests.experiment.test_drift import DAY, T0, earlier, log_of


@pytest.fixture
def service(tmp_path):
    folder = tmp_path / "shop"
    foldin.fit_all(log_of(earlier()), foldin.MultVAE(hidden_dims=(), latent_dim=4, batch_size=10), epochs=2).save(
        folder
    )
    registry = Registry()
    registry.deploy(folder)
    engine = connect(f"sqlite:///{tmp_path}/events.db")
    made = Service(registry, EventStore(engine), Limits(), Telemetry())
    yield made
    registry.close()


def store(service, rows):
    service.events.append([Event(user, item, time + T0) for user, item, time in rows])


def test_the_newest_figures_are_answered_and_are_metrics(service):
    late = [("u1", "e", 15 * DAY), ("u2", "never seen", 15 * DAY), ("stranger", "a", 15 * DAY)]
    store(service, [*earlier(), *late])
    watch = DriftWatch(service, limits=DriftLimits(unknown_items=0.2))
    with TestClient(make_app(service, None), base_url="http://localhost") as client:
        assert client.get("/v1/drift").json() == {"drift": []}
        watch.look(now=T0 + 15 * DAY)
        (found,) = client.get("/v1/drift", params={"model": "shop"}).json()["drift"]
        metrics = client.get("/metrics").text
        assert client.get("/v1/drift", params={"model": "none"}).status_code == 422
    assert (found["events"], found["users"], found["unknown_items"]) == (3, 3, pytest.approx(1 / 3))
    assert found["new_users"] == pytest.approx(1 / 3)
    assert found["likelihood"]["users"] == 1
    assert found["likelihood"]["low"] is None
    assert len(found["alarms"]) == 1
    assert 'foldin_unknown_item_share{model="shop"} 0.333' in metrics
    assert 'foldin_drift_alarms{model="shop"} 1.0' in metrics
    value = service.telemetry.registry.get_sample_value
    assert value("foldin_drift_timestamp_seconds", {"model": "shop"}) == (T0 + 15 * DAY) // 3600 * 3600
    service.registry.withdraw("shop")
    watch.look(now=T0 + 15 * DAY)
    assert value("foldin_drift_timestamp_seconds", {"model": "shop"}) == 0  # out of service, it has no alarm
    assert value("foldin_drift_alarms", {"model": "shop"}) == 0


def test_a_period_is_measured_once_by_all_processes(service):
    store(service, [*earlier(), ("u1", "e", 15 * DAY)])
    first, second = DriftWatch(service), DriftWatch(service)
    first.look(now=T0 + 15 * DAY)
    store(service, [("u3", "never seen", 15 * DAY)])
    second.look(now=T0 + 15 * DAY + 10)  # in the same hour
    reports = DriftReports(service.events.engine)
    assert [one.figures["events"] for one in reports.newest("shop", limit=9)] == [1]
    second.look(now=T0 + 15 * DAY + 3600)
    assert [one.figures["events"] for one in reports.newest("shop", limit=9)] == [2, 1]


def test_a_day_without_events_is_no_figure(service):
    store(service, earlier())
    DriftWatch(service).look(now=T0 + 15 * DAY)
    assert DriftReports(service.events.engine).newest("shop") == []


def test_a_model_that_cannot_be_measured_leaves_the_others(service, tmp_path, monkeypatch):
    store(service, [*earlier(), ("u1", "e", 15 * DAY)])
    shutil.copytree(tmp_path / "shop", tmp_path / "another")
    service.registry.deploy(tmp_path / "another")
    watch = DriftWatch(service)
    names = [one.name for one in service.registry.all()]
    measured = DriftWatch._drift

    def failing(self, one, log):
        if one.name == names[0]:
            raise CapacityError("no memory")
        return measured(self, one, log)

    monkeypatch.setattr(DriftWatch, "_drift", failing)
    watch.look(now=T0 + 15 * DAY)
    reports = DriftReports(service.events.engine)
    assert sorted(names) == ["another", "shop"]
    assert [len(reports.newest(one)) for one in names] == [0, 1]


def serving(tmp_path, rows, **options):
    """(a service whose model was trained on rows of user, item, time, kind and value, its run)."""
    schema = {"user": pl.String, "item": pl.String, "time": pl.Int64, "kind": pl.String, "value": pl.Float64}
    table = pl.DataFrame(rows, schema=schema, orient="row")
    log = foldin.read_log(table.with_columns(pl.col("time") + T0), kind="kind", rating="value", **options)
    model = foldin.MultVAE(hidden_dims=(), latent_dim=4, batch_size=10, learning_rate=0.02)
    foldin.fit_all(log, model, epochs=5).save(tmp_path / "weighed")
    registry = Registry()
    run = registry.deploy(tmp_path / "weighed").run
    return Service(registry, EventStore(connect(f"sqlite:///{tmp_path}/weighed.db")), Limits(), Telemetry()), run


def measured(service, rows):
    """The figures of the day after day 14, of a store with these events; None if nothing was measured."""
    service.events.append([Event(user, item, time + T0, kind, value) for user, item, time, kind, value in rows])
    DriftWatch(service).look(now=T0 + 15 * DAY)
    service.registry.close()
    found = DriftReports(service.events.engine).newest("weighed")
    service.events.engine.dispose()
    return found[0].figures if found else None


def test_events_are_read_by_the_weights_of_the_run(tmp_path):
    before = [(*row, "buy", None) for row in earlier()]
    before += [("u2", "g", 9 * DAY, "view", None), ("u2", "h", 9 * DAY, "dislike", None)]
    service, run = serving(tmp_path, before, weights={"view": 0, "buy": 1, "dislike": -1})
    late = [
        ("u1", "e", 15 * DAY, "view", None),  # does not count
        ("u1", "f", 15 * DAY, "dislike", None),  # counts, and is no target
        ("u2", "g", 15 * DAY, "buy", None),  # a target: that it was viewed before does not count
        ("u3", "never seen", 15 * DAY, "buy", None),
        ("stranger", "a", 15 * DAY, "dislike", None),
    ]
    found = measured(service, [*before, *late])
    assert (found["events"], found["users"], found["new_users"], found["unknown_items"]) == (4, 4, 1 / 4, 1 / 4)
    assert found["likelihood"]["users"] == 1
    ids = run.catalog.ids
    seen = [ids.index(item) for user, item, _ in earlier() if user == "u2"]
    history = foldin.Histories.from_lists([seen], len(ids))
    disliked = replace(foldin.Histories.from_lists([[ids.index("h")]], len(ids)), weights=np.ones(1, np.float32))
    logits = run.model.logits(replace(history, dislikes=disliked))[0].detach().double().numpy()
    allowed = np.setdiff1d(np.arange(len(ids)), [*seen, ids.index("h")])
    value = logits[ids.index("g")] - math.log(np.exp(logits[allowed]).sum())
    assert found["likelihood"]["mean"] == pytest.approx(value, abs=1e-5)


def test_ratings_below_the_minimum_are_left_out_before_repeats_are(tmp_path):
    before = [(*row, "", 5.0) for row in earlier()]
    service, _ = serving(tmp_path, before, min_rating=4)
    late = [
        ("u1", "e", 15 * DAY, "", 1.0),
        ("u2", "f", 15 * DAY - 9, "", 2.0),
        ("u2", "f", 15 * DAY, "", 5.0),
        ("u3", "g", 15 * DAY, "", None),  # an event without a value counts, as in the lists of the service
    ]
    found = measured(service, [*before, *late])
    assert (found["events"], found["users"], found["unknown_items"]) == (2, 2, 0.0)
    assert found["likelihood"]["users"] == 2


def test_a_day_of_events_that_do_not_count_is_no_figure(tmp_path):
    before = [(*row, "", 5.0) for row in earlier()]
    service, _ = serving(tmp_path, before, min_rating=4)
    assert measured(service, [*before, ("u1", "e", 15 * DAY, "", 1.0)]) is None
