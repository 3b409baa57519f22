"""deploy/helm: rendered by Helm, judged by the schemas of Kubernetes, and by what it names."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.local.settings import ROOT
from tests.deploy.chart import (
    APPS,
    CHART,
    HELM,
    VALUES,
    containers,
    env,
    keys,
    named,
    of,
    parsed,
    pods,
    rendered,
    services,
)
from tests.deploy.environment import ENVIRONMENT
from tests.deploy.judges import judge, load

VERSION = "1.36"  # under standard support of EKS, as deploy/terraform takes it
KEYS = set(re.findall(r"\b[A-Z_]{9,}\b", (ROOT / "deploy/compose/keys.sh").read_text()))
TARGETS = re.findall(r" AS (\w+)\n", (ROOT / "deploy/images/Dockerfile").read_text())

PATHS = {endpoint.path for endpoint in APPS[0].guard.endpoints}


def refused(values: str, *more: str) -> str:
    with pytest.raises(AssertionError) as failed:
        rendered(values, *more)
    return str(failed.value)


@VALUES
def test_the_schemas_are_kept(values: str, tmp_path: Path) -> None:
    (tmp_path / "all.yaml").write_text(rendered(values))
    said = judge("kubernetes-validate", "-k", VERSION, "--strict", tmp_path / "all.yaml")
    unknown = [line for line in said.splitlines() if not line.startswith("INFO")]
    assert all(re.search("kind (ServiceMonitor|PrometheusRule)", line) for line in unknown)
    assert said.count("passed") == len(parsed(values)) - len(unknown)


@VALUES
def test_helm_finds_no_fault(values: str) -> None:
    judge("helm", "lint", "--strict", CHART, "-f", HELM / f"{values}.yaml")


def test_a_wrong_field_is_found(tmp_path: Path) -> None:
    (tmp_path / "all.yaml").write_text(rendered("dev").replace("replicas:", "replica:"))
    with pytest.raises(AssertionError, match="replica"):
        judge("kubernetes-validate", "-k", VERSION, "--strict", tmp_path / "all.yaml")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ('services.contugas.replica={"min": 3}', "'replica' not allowed"),
        ('services.new={"memory": {"limit": "8Gi"}}', "missing property 'serve'"),
        ('services.mlflow={"serve": "bentos.models:Models"}', "mlflow"),
        ('images.digests={"services": "0.1.0"}', "digests/services"),
        (
            'services.itransformer.replicas={"min": 1, "max": 4}',
            "give replicas.min = ",
        ),
        ('database={"own": false}', "database.host is empty"),
        ('storage={"provisioner": "ebs.csi.aws.com", "class": ""}', "storage.class"),
    ],
)
def test_a_wrong_value_is_refused_by_name(more: str, said: str) -> None:
    assert said in refused("dev", more)


@VALUES
def test_every_pod_is_hardened(values: str) -> None:
    for name, pod, _ in pods(parsed(values)):
        assert pod["securityContext"]["runAsNonRoot"], name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False  # else MLFLOW_PORT is an URL
        for container in containers(pod):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["limits"].keys() >= {"cpu", "memory"}
            assert container["resources"]["requests"].keys() >= {"cpu", "memory"}


@VALUES
def test_the_probes_ask_what_the_servers_answer(values: str) -> None:
    for name, pod, labels in pods(parsed(values)):
        known = {"/health"} if labels["ascenso/part"] == "mlflow" else PATHS
        (container,) = pod["containers"]
        ports = {port.get("name"): port["containerPort"] for port in container.get("ports", [])}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            if asked := container.get(probe, {}).get("httpGet"):
                assert asked["path"] in known, name
                assert asked["port"] in ports
    assert {"/livez", "/readyz", "/metrics"} <= PATHS


def claims(made: tuple[dict[str, Any], ...], name: str) -> set[str]:
    """The names of the volumes that a StatefulSet asks for."""
    found = named(made, "StatefulSet").get(name, {}).get("spec", {})
    return {claim["metadata"]["name"] for claim in found.get("volumeClaimTemplates", [])}


@VALUES
def test_what_a_pod_names_exists(values: str) -> None:
    made = parsed(values)
    for name, pod, _ in pods(made):
        assert pod.get("serviceAccountName", "mlflow") in named(made, "ServiceAccount"), name
        assert set(keys(pod).values()) <= KEYS
        volumes = {volume["name"] for volume in pod["volumes"]} | claims(made, name)
        for container in containers(pod):
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes, name
            own = re.search(r"(?:^|/)ascenso-(\w+):0\.1\.0(?:-[0-9a-f]{12})?$", container["image"])
            if own:
                assert own[1] in TARGETS
                assert keys(pod).keys() <= ENVIRONMENT
            else:
                assert re.match(r"postgres:15\.|redis:7\.", container["image"])


def test_an_image_is_named_by_its_digest() -> None:
    digest = "sha256:" + "0" * 64
    made = parsed("production", f'images.digests={{"services": "{digest}"}}')
    image = services(made)["contugas"]["containers"][0]["image"]
    assert image == f"000000000000.dkr.ecr.us-east-1.amazonaws.com/ascenso-services@{digest}"
    assert ":0.1.0" in services(made)["itransformer"]["containers"][0]["image"]


@VALUES
def test_every_variable_is_read_by_something(values: str) -> None:
    made = parsed(values)
    given = {name for _, pod, labels in pods(made) if labels["ascenso/part"] != "postgres"
             for name in env(pod)}  # fmt: skip
    assert {"MLFLOW_TRACKING_URI", "PGHOST", "ASCENSO_DATA"} <= given
    assert given - ENVIRONMENT == set()


@VALUES
def test_services_budgets_and_scalers_find_their_pods(values: str) -> None:
    made = parsed(values)
    labelled = {name: labels for name, _, labels in pods(made)}
    for resource in of(made, "Service", "PodDisruptionBudget"):
        selector = resource["spec"]["selector"]
        wanted = selector.get("matchLabels", selector)
        found = [name for name, labels in labelled.items() if wanted.items() <= labels.items()]
        assert found == [resource["metadata"]["name"]]
    for scaler in of(made, "HorizontalPodAutoscaler"):
        assert scaler["spec"]["scaleTargetRef"]["name"] in named(made, "Deployment")
        assert [m["type"] for m in scaler["spec"]["metrics"]] == ["Resource"]  # always there
    backends = [
        path["backend"]["service"]["name"]
        for ingress in of(made, "Ingress")
        for rule in ingress["spec"]["rules"]
        for path in rule["http"]["paths"]
    ]
    assert set(backends) <= named(made, "Service").keys()
    if values == "production":
        assert len(backends) == len(set(backends)) == len(APPS) + 1


def test_an_upgrade_does_not_undo_what_a_scaler_did() -> None:
    made = parsed("production")
    scaled = {r["spec"]["scaleTargetRef"]["name"] for r in of(made, "HorizontalPodAutoscaler")}
    assert scaled
    for resource in of(made, "Deployment", "StatefulSet"):
        fixed = "replicas" in resource["spec"]
        assert fixed != (resource["metadata"]["name"] in scaled), resource["metadata"]["name"]


def test_the_queue_scales_where_its_metric_is_served() -> None:
    scalers = of(parsed("production", "monitoring.queue=true"), "HorizontalPodAutoscaler")
    assert scalers
    for scaler in scalers:
        assert [m["type"] for m in scaler["spec"]["metrics"]] == ["Resource", "Pods"]


def test_the_cluster_that_is_made_has_the_version_that_is_judged() -> None:
    made = (ROOT / "deploy/terraform/variables.tf").read_text()
    assert f'default     = "{VERSION}"' in made


@VALUES
def test_every_pod_has_a_policy_beside_the_denial(values: str) -> None:
    made = parsed(values)
    parts = {labels["ascenso/part"] for _, _, labels in pods(made)}
    for policy in of(made, "NetworkPolicy"):
        selector = policy["spec"]["podSelector"]
        chosen = {selector.get("matchLabels", {}).get("ascenso/part")}
        chosen |= {v for e in selector.get("matchExpressions", []) for v in e["values"]}
        parts -= chosen
    assert parts == set()
    assert "deny" in named(made, "NetworkPolicy")


def test_every_value_is_described_by_the_schema() -> None:
    """A misspelt value is an error, and no value is missing."""
    schema = yaml.safe_load((CHART / "values.schema.json").read_text())
    values = load(CHART / "values.yaml")
    assert values.keys() == schema["properties"].keys() - {"global"}
    assert values["service"].keys() | {"serve"} == schema["$defs"]["service"]["properties"].keys()
