"""Prometheus and Grafana: judged by promtool, and against the metrics that the services have."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import bentos.web.metrics as metrics
from bentos.web.plain import Plain
from deploy.local.settings import ROOT
from tests.deploy.chart import of, parsed, services
from tests.deploy.judges import judge, load

PROMETHEUS = ROOT / "deploy" / "prometheus"
GRAFANA = ROOT / "deploy" / "grafana"
DASHBOARD = json.loads((GRAFANA / "dashboards" / "ascenso.json").read_text())
ALERTS = load(PROMETHEUS / "alerts.yml")
COMPOSE = load(ROOT / "docker-compose.yml")
ASKED = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
ALERTED = [rule["expr"] for group in ALERTS["groups"] for rule in group["rules"]]


def described(metric: Any) -> tuple[set[str], set[str]]:
    """The series and the labels of a metric of bentos/web/metrics.py."""
    if isinstance(metric, Plain):
        name, kind, labels = metric.name, type(metric).__name__.lower(), metric.labels
    else:
        name, kind, labels = metric._name, metric._type, metric._labelnames
    suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"], "gauge": [""]}
    return {name + s for s in suffixes[kind]}, set(labels)


KNOWN = [
    described(metric)
    for name, metric in vars(metrics).items()
    if name.isupper() and (isinstance(metric, Plain) or hasattr(metric, "_type"))
]
SERIES = set().union(*(series for series, _ in KNOWN))
LABELS = set().union(*(labels for _, labels in KNOWN)) | {"le", "instance", "job", "app"}


def test_prometheus_takes_its_files() -> None:
    judge("promtool", "check", "config", PROMETHEUS / "prometheus.yml")


def test_the_alerts_sound_when_they_should() -> None:
    judge("promtool", "test", "rules", PROMETHEUS / "alerts_test.yml")


@pytest.mark.parametrize("query", ASKED + ALERTED)
def test_every_query_asks_for_what_there_is(query: str, tmp_path: Path) -> None:
    plain = query.replace("$__rate_interval", "5m").replace("$service", ".*")
    rules = {"groups": [{"name": "a", "rules": [{"record": "a:b", "expr": plain}]}]}
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rules))
    judge("promtool", "check", "rules", tmp_path / "rules.yml")
    assert set(re.findall(r"\bascenso_\w+", plain)) <= SERIES
    grouped = re.findall(r"\bby \(([^)]*)\)", plain)
    assert {label.strip() for labels in grouped for label in labels.split(",")} <= LABELS


def test_the_dashboard_shows_what_matters() -> None:
    shown = set(re.findall(r"\bascenso_\w+", " ".join(ASKED)))
    assert {
        "ascenso_requests_total",
        "ascenso_request_seconds_bucket",
        "ascenso_batch_rows_bucket",
        "ascenso_live",
        "ascenso_swaps_total",
        "ascenso_refusals_total",
        "ascenso_queue_rows",
    } <= shown
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))


def test_the_parts_find_each_other() -> None:
    (source,) = load(GRAFANA / "provisioning/datasources/prometheus.yml")["datasources"]
    assert source["url"] == "http://prometheus:9090"
    used = {target["datasource"]["uid"] for p in DASHBOARD["panels"] for target in p["targets"]}
    assert used == {source["uid"]}
    (provider,) = load(GRAFANA / "provisioning/dashboards/ascenso.yml")["providers"]
    folder = provider["options"]["path"]
    assert f"./deploy/grafana/dashboards:{folder}:ro" in COMPOSE["services"]["grafana"]["volumes"]
    (job,) = load(PROMETHEUS / "prometheus.yml")["scrape_configs"]
    (found,) = job["dns_sd_configs"]
    images = ("ascenso-services:", "ascenso-stack:")
    each = {n for n, s in COMPOSE["services"].items() if s["image"].startswith(images)}
    assert set(found["names"]) == each


def test_kubernetes_has_the_same_alerts_and_labels() -> None:
    (rule,) = of(parsed("production"), "PrometheusRule")
    assert rule["spec"] == ALERTS
    (monitor,) = of(parsed("production"), "ServiceMonitor")
    (endpoint,) = monitor["spec"]["endpoints"]
    (wanted,) = [monitor["spec"]["selector"]["matchLabels"].items()]
    found = [
        s for s in of(parsed("production"), "Service") if wanted <= s["metadata"]["labels"].items()
    ]
    assert {s["metadata"]["name"] for s in found} == services(parsed("production")).keys()
    assert endpoint["honorLabels"] is True
    made = {relabeling["targetLabel"] for relabeling in endpoint["relabelings"]}
    (job,) = load(PROMETHEUS / "prometheus.yml")["scrape_configs"]
    assert made == {"job"} | {one["target_label"] for one in job["relabel_configs"]}
