"""The drift of the models in service: measured once by all processes, and shown by each."""

import shutil

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
