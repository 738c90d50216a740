"""The dashboard and the alerts ask for metrics and labels that the service exports."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.parser import text_string_to_metric_families

from foldin.serve import Telemetry
from tests.deploy.kit import DEPLOY, compose
from tests.deploy.test_files import needs, outcome

DASHBOARD = json.loads((DEPLOY / "grafana" / "foldin.json").read_text(encoding="utf-8"))
OF_PROMETHEUS = {"instance", "job"}  # labels that it adds
UNUSED: set[str] = set()  # exported metrics that no panel shows, on purpose


def families() -> dict[str, dict[str, set[str]]]:
    """Metric → its samples → their labels, of all collectors of a service, whether or not it has counted anything."""
    told, names = Telemetry(), set()
    for collector in (one for one in vars(told).values() if isinstance(one, Counter | Gauge | Histogram)):
        (described,) = collector.describe()
        names.add(described.name)
        if collector._labelnames:
            collector.labels(*("any" for _ in collector._labelnames))
    found = {
        family.name: {
            sample.name: set(sample.labels) for sample in family.samples if not sample.name.endswith("_created")
        }
        for family in text_string_to_metric_families(told.text().decode())
    }
    found = {name: samples for name, samples in found.items() if samples}
    assert set(found) == names == {family.name for family in told.registry.collect()}
    return found


def exported() -> dict[str, set[str]]:
    """Sample → its labels."""
    return {name: labels for samples in families().values() for name, labels in samples.items()}


def questions() -> Iterator[tuple[str, str]]:
    """(where, expression) of the panels and the alerts."""
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    alerts = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text(encoding="utf-8"))
    for rule in (rule for group in alerts["groups"] for rule in group["rules"]):
        yield rule["alert"], rule["expr"]


def names(expression: str) -> list[str]:
    return re.findall(r"\bfoldin_\w+", expression)


@pytest.mark.parametrize(("where", "expression"), list(questions()))
def test_what_is_asked_for_is_exported(where, expression):
    known = {**exported(), "up": set()}
    asked = [*names(expression), *re.findall(r"\bup\b(?=\{)", expression)]
    assert asked
    assert set(asked) <= set(known)
    labels = set().union(*(known[name] for name in asked)) | OF_PROMETHEUS
    selected = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", expression))
    grouped = {label.strip() for found in re.findall(r"\bby \(([^)]*)\)", expression) for label in found.split(",")}
    assert selected | grouped <= labels
    assert expression.count("(") == expression.count(")")
    assert expression.count("{") == expression.count("}")


def test_every_exported_metric_is_on_the_dashboard_or_known_to_be_unused():
    shown = {name for panel in DASHBOARD["panels"] for target in panel["targets"] for name in names(target["expr"])}
    unused = {metric for metric, samples in families().items() if not shown & set(samples)}
    assert unused == UNUSED


def test_a_metric_of_any_kind_is_known_before_it_has_counted():
    known = exported()
    assert known["foldin_drift_alarms"] == {"model"}
    assert known["foldin_listed_events_total"] == {"list"}
    assert known["foldin_list_seconds_bucket"] == {"arm", "model", "le"}
    assert known["foldin_revision"] == set()
    assert not [name for name in known if name.endswith("_created")]


def test_counters_with_an_alert_on_silence_are_exported_from_the_start():
    text = Telemetry().text().decode()
    assert 'foldin_events_total{outcome="accepted"} 0.0' in text
    assert 'foldin_impressions_total{outcome="dropped"} 0.0' in text
    one = Telemetry()
    one.failed("new", "old", "late")
    assert 'foldin_list_seconds_count{arm="new",model="old"} 0.0' in one.text().decode()


def test_what_goes_wrong_beside_the_requests_has_an_alert():
    alerts = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text(encoding="utf-8"))
    rules = [rule for group in alerts["groups"] for rule in group["rules"]]
    watched = {name for rule in rules for name in names(rule["expr"])}
    assert {"foldin_drift_alarms", "foldin_drift_timestamp_seconds", "foldin_deployment_timestamp_seconds"} <= watched
    assert {"foldin_events_total", "foldin_impressions_total", "foldin_failed_lists_total"} <= watched
    page = (DEPLOY.parent / "docs/guide/deploy.md").read_text(encoding="utf-8")
    for rule in rules:
        assert f"| `{rule['alert']}` |" in page
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["summary"].endswith(".")
        for label in re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]):
            by = re.search(r"by \(([^)]*)\)", rule["expr"])
            assert label in OF_PROMETHEUS | set(by[1].split(", ") if by else ())


@needs("promtool")
def test_prometheus_takes_the_rules():
    assert outcome("promtool", "check", "rules", DEPLOY / "prometheus" / "alerts.yml") == ""
    assert outcome("promtool", "test", "rules", Path(__file__).with_name("alerts.yml")) == ""


def test_panels_lie_side_by_side_and_say_what_they_show():
    cells = [
        (x, y)
        for panel in DASHBOARD["panels"]
        for at in [panel["gridPos"]]
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    assert all(panel["description"].endswith(".") for panel in DASHBOARD["panels"])
    legends = [(target["legendFormat"], target["expr"]) for panel in DASHBOARD["panels"] for target in panel["targets"]]
    for legend, expression in legends:
        for label in re.findall(r"\{\{(\w+)\}\}", legend):
            assert label in re.search(r"by \(([^)]*)\)", expression)[1]


def test_grafana_and_prometheus_find_their_files():
    folder = DEPLOY / "grafana" / "provisioning"
    (source,) = yaml.safe_load((folder / "datasources" / "prometheus.yaml").read_text(encoding="utf-8"))["datasources"]
    (provider,) = yaml.safe_load((folder / "dashboards" / "foldin.yaml").read_text(encoding="utf-8"))["providers"]
    services = compose()
    mounted = dict(volume.split(":")[:2] for volume in services["grafana"]["volumes"])
    assert mounted["./grafana/foldin.json"].startswith(f"{provider['options']['path']}/")
    assert source["url"] == "http://prometheus:9090"
    scrape = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    (job,) = scrape["scrape_configs"]
    key = job["authorization"]["credentials_file"]
    assert any(f":{key}:" in volume for volume in services["prometheus"]["volumes"])
    assert 'up{job="foldin"}' in " ".join(expression for _, expression in questions())
    assert job["job_name"] == "foldin"
    for path in scrape["rule_files"]:
        assert (DEPLOY / "prometheus" / path).is_file()
