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
DASHBOARDS = [json.loads(path.read_text()) for path in (GRAFANA / "dashboards").glob("*.json")]
PANELS = [panel for board in DASHBOARDS for panel in board["panels"]]
ALERTS = load(PROMETHEUS / "alerts.yml")
COMPOSE = load(ROOT / "docker-compose.yml")
ASKED = list({target["expr"]: None for panel in PANELS for target in panel["targets"]})
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


def test_every_query_is_one(tmp_path: Path) -> None:
    plain = [
        re.sub(r"\$(service|model)", ".*", q.replace("$__rate_interval", "5m")) for q in ASKED
    ]
    rules = [{"record": f"a:b{n}", "expr": query} for n, query in enumerate(plain)]
    (tmp_path / "rules.yml").write_text(
        yaml.safe_dump({"groups": [{"name": "a", "rules": rules}]})
    )
    judge("promtool", "check", "rules", tmp_path / "rules.yml")


@pytest.mark.parametrize("query", ASKED + ALERTED)
def test_every_query_asks_for_what_there_is(query: str) -> None:
    assert set(re.findall(r"\bascenso_\w+", query)) <= SERIES
    grouped = re.findall(r"\bby \(([^)]*)\)", query)
    chosen = re.findall(r"(\w+)=~?\"", query)
    found = {label.strip() for labels in grouped for label in labels.split(",")} | {*chosen}
    assert found <= LABELS


def test_the_dashboards_show_what_matters() -> None:
    shown = set(re.findall(r"\bascenso_\w+", " ".join(ASKED)))
    assert {
        "ascenso_requests_total",
        "ascenso_request_seconds_bucket",
        "ascenso_batch_rows_bucket",
        "ascenso_live",
        "ascenso_swaps_total",
        "ascenso_refusals_total",
        "ascenso_queue_rows",
        "ascenso_model_errors_total",
        "ascenso_outward_errors_total",
    } <= shown
    assert {board["uid"] for board in DASHBOARDS} == {"ascenso", "ascenso-model", "ascenso-fleet"}
    for board in DASHBOARDS:
        ids = [panel["id"] for panel in board["panels"]]
        assert len(ids) == len(set(ids))
        asked = {m for p in board["panels"] for t in p["targets"]
                 for m in re.findall(r"\$(\w+)", t["expr"])}  # fmt: skip
        given = {one["name"] for one in board["templating"]["list"]}
        assert asked - {"__rate_interval"} == given


def test_the_parts_find_each_other() -> None:
    (source,) = load(GRAFANA / "provisioning/datasources/prometheus.yml")["datasources"]
    assert source["url"] == "http://prometheus:9090"
    used = {target["datasource"]["uid"] for p in PANELS for target in p["targets"]}
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
    monitors = of(parsed("production"), "ServiceMonitor")
    (monitor,) = (one for one in monitors if one["metadata"]["name"] != "relay")
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
