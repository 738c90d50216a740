"""The dashboard and the alerts ask for metrics and labels that the service exports."""

import json
import re
from collections.abc import Iterator

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from foldin.serve import Telemetry
from tests.deploy.kit import DEPLOY, compose

DASHBOARD = json.loads((DEPLOY / "grafana" / "foldin.json").read_text(encoding="utf-8"))
OF_PROMETHEUS = {"instance", "job"}  # labels that it adds


def exported() -> dict[str, set[str]]:
    """Sample → its labels, of a service that has counted each of its metrics once."""
    told = Telemetry()
    told.request("POST", "/v1/recommendations", 200, 0.01)
    told.lists.labels("shop", "none").inc()
    told.events.labels("accepted").inc()
    for gauge in (told.waiting, told.problem, told.generation):
        gauge.labels("shop").set(1)
    told.revision.set(1)
    families = text_string_to_metric_families(told.text().decode())
    found: dict[str, set[str]] = {}
    for sample in (sample for family in families for sample in family.samples):
        found.setdefault(sample.name, set()).update(sample.labels)
    return {name: labels for name, labels in found.items() if not name.endswith("_created")}


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


def test_every_exported_metric_is_on_the_dashboard():
    shown = {name for panel in DASHBOARD["panels"] for target in panel["targets"] for name in names(target["expr"])}
    assert shown == set(exported())


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
