"""deploy/k8s: built by kustomize, judged by the schemas of Kubernetes, and by what it names."""

import importlib
import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from bentos import stack
from bentos.settings import Settings
from deploy.local.settings import ROOT
from tests.deploy.environment import ENVIRONMENT
from tests.deploy.judges import judge, literals
from tests.deploy.manifests import K8S, OVERLAYS, built, env, parsed, pods, resources

VERSION = "1.36"  # under standard support of EKS, as deploy/terraform takes it
KEYS = set(re.findall(r"\b[A-Z_]{9,}\b", (ROOT / "deploy/compose/keys.sh").read_text()))
TARGETS = re.findall(r" AS (\w+)\n", (ROOT / "deploy/images/Dockerfile").read_text())
APPS = stack.build(Settings()).apps
NAMES = {app.name for app in APPS}
PATHS = {endpoint.path for endpoint in APPS[0].guard.endpoints}


def named(overlay: str, kind: str) -> set[str]:
    return {resource["metadata"]["name"] for resource in resources(overlay, kind)}


def services(overlay: str) -> dict[str, dict[str, Any]]:
    """The pods of the services, by the name of the service."""
    return {
        labels["app.kubernetes.io/name"]: pod
        for _, pod, labels in pods(overlay)
        if labels["ascenso/part"] == "service"
    }


@OVERLAYS
def test_the_schemas_are_kept(overlay: str, tmp_path: Path) -> None:
    (tmp_path / "all.yaml").write_text(built(overlay))
    output = judge("kubernetes-validate", "-k", VERSION, "--strict", tmp_path / "all.yaml")
    unknown = {line for line in output.splitlines() if not line.startswith("INFO")}
    assert all(re.search("kind (ServiceMonitor|PrometheusRule)", line) for line in unknown)
    assert output.count("passed") == len(parsed(overlay)) - len(unknown)


def test_a_wrong_field_is_found(tmp_path: Path) -> None:
    (tmp_path / "all.yaml").write_text(built("dev").replace("replicas:", "replica:"))
    with pytest.raises(AssertionError, match="replica"):
        judge("kubernetes-validate", "-k", VERSION, "--strict", tmp_path / "all.yaml")


@OVERLAYS
def test_every_pod_is_hardened(overlay: str) -> None:
    for name, pod, _ in pods(overlay):
        assert pod["securityContext"]["runAsNonRoot"], name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False  # else MLFLOW_PORT is an URL
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["limits"].keys() >= {"cpu", "memory"}


@OVERLAYS
def test_the_probes_ask_what_the_servers_answer(overlay: str) -> None:
    for name, pod, labels in pods(overlay):
        known = {"/health"} if labels["ascenso/part"] == "mlflow" else PATHS
        (container,) = pod["containers"]
        ports = {port.get("name"): port["containerPort"] for port in container.get("ports", [])}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            if asked := container.get(probe, {}).get("httpGet"):
                assert asked["path"] in known, name
                assert asked["port"] in ports
    assert {"/livez", "/readyz", "/metrics"} <= PATHS


@OVERLAYS
def test_services_start_alive_and_take_calls_when_they_serve(overlay: str) -> None:
    found = services(overlay)
    for app, pod in found.items():
        (container,) = pod["containers"]
        assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
        assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
        asked, most = container["resources"]["requests"], container["resources"]["limits"]
        sizes = [asked["cpu"], asked["memory"], most["cpu"], most["memory"]]
        usual = ["500m", "2Gi", "1000m", "4Gi"]
        assert sizes == (["1500m", "4Gi", "2000m", "8Gi"] if app == "itransformer" else usual)
        module, _, service = container["args"][2].partition(":")
        assert module == f"bentos.{app}"
        assert hasattr(importlib.import_module(module), service)
    assert found.keys() == NAMES


@OVERLAYS
def test_a_service_gets_the_keys_that_it_needs_and_no_others(overlay: str) -> None:
    for app, pod in services(overlay).items():
        given = {item["path"]: item["key"] for item in pod["volumes"][0]["secret"]["items"]}
        for variable in ("SECURITY__SECRET", "SECURITY__RATE_URL", "ANSWERS__URL"):
            assert (f"ASCENSO_{variable}" in given) == (app == "keras_api")
        assert ("ASCENSO_ADMIN_KEY" in given) == (app == "itransformer")
        (container,) = pod["containers"]
        users = [source["secretRef"] for source in container["envFrom"] if "secretRef" in source]
        known = [{"name": "keras-users", "optional": True}]
        assert users == (known if app == "keras_api" else [])


@OVERLAYS
def test_jobs_have_their_tools_their_account_and_a_place_that_lasts(overlay: str) -> None:
    pod = services(overlay)["itransformer"]
    (container,) = pod["containers"]
    assert "ascenso-stack" in container["image"]
    assert container["env"] == [{"name": "MLFLOW_TRACKING_USERNAME", "value": "forecaster"}]
    assert pod["volumes"][0]["secret"]["items"][0]["key"] == "MLFLOW_PASSWORD_FORECASTER"
    sets = {r["metadata"]["name"]: r["spec"] for r in resources(overlay, "StatefulSet")}
    (claim,) = sets["itransformer-api"]["volumeClaimTemplates"]
    assert claim["metadata"]["name"] == "state"
    assert {"name": "state", "mountPath": "/var/lib/ascenso"} in container["volumeMounts"]
    assert "itransformer-api" not in named(overlay, "HorizontalPodAutoscaler")
    classes = named(overlay, "StorageClass")
    assert (
        {claim["spec"]["storageClassName"]} == classes if overlay == "production" else not classes
    )


def claims(overlay: str, name: str) -> set[str]:
    """The names of the volumes that a StatefulSet asks for."""
    found = [r["spec"] for r in resources(overlay, "StatefulSet") if r["metadata"]["name"] == name]
    return {claim["metadata"]["name"] for spec in found for claim in spec["volumeClaimTemplates"]}


@OVERLAYS
def test_what_a_pod_names_exists(overlay: str) -> None:
    for name, pod, _ in pods(overlay):
        assert pod.get("serviceAccountName", "mlflow") in named(overlay, "ServiceAccount"), name
        (container,) = pod["containers"]
        for source in container.get("envFrom", []):
            if "configMapRef" in source:
                assert source["configMapRef"]["name"] in named(overlay, "ConfigMap")
        items = [item for v in pod["volumes"] if "secret" in v for item in v["secret"]["items"]]
        assert {item["key"] for item in items} <= KEYS
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        volumes = {volume["name"] for volume in pod["volumes"]}
        assert mounted <= volumes | claims(overlay, name), name
        if own := re.search(
            r"(?:^|/)ascenso-(\w+):0\.1\.0(?:-[0-9a-f]{12})?$", container["image"]
        ):
            assert own[1] in TARGETS
            assert {item["path"] for item in items} <= ENVIRONMENT
        else:
            assert re.match(r"postgres:15\.|redis:7\.", container["image"])


@OVERLAYS
def test_every_variable_is_read_by_something(overlay: str) -> None:
    given = {name for config in resources(overlay, "ConfigMap") for name in config["data"]}
    assert {"MLFLOW_TRACKING_URI", "PGHOST", "ASCENSO_DATA"} <= given
    given |= {one["name"] for pod in services(overlay).values() for one in env(pod)}
    assert given - ENVIRONMENT == set()


@OVERLAYS
def test_services_budgets_and_scalers_find_their_pods(overlay: str) -> None:
    labelled = {name: labels for name, _, labels in pods(overlay)}
    for resource in resources(overlay, "Service", "PodDisruptionBudget"):
        selector = resource["spec"]["selector"]
        wanted = selector.get("matchLabels", selector)
        found = [name for name, labels in labelled.items() if wanted.items() <= labels.items()]
        assert found == [resource["metadata"]["name"]]
    for scaler in resources(overlay, "HorizontalPodAutoscaler"):
        assert scaler["spec"]["scaleTargetRef"]["name"] in named(overlay, "Deployment")
        assert [m["type"] for m in scaler["spec"]["metrics"]] == ["Resource"]  # always there
    backends = [
        path["backend"]["service"]["name"]
        for ingress in resources(overlay, "Ingress")
        for rule in ingress["spec"]["rules"]
        for path in rule["http"]["paths"]
    ]
    assert set(backends) <= named(overlay, "Service")
    if overlay == "production":
        assert len(backends) == len(set(backends)) == len(NAMES) + 1


def test_mlflow_takes_changes_from_its_own_page() -> None:
    """Its host name is a page's origin, too: MLflow exempts localhost only."""
    config = literals("mlflow-env")
    hosts = {
        rule["host"]
        for ingress in resources("production", "Ingress")
        if ingress["metadata"]["name"] == "mlflow"
        for rule in ingress["spec"]["rules"]
    }
    assert hosts < set(config["MLFLOW_SERVER_ALLOWED_HOSTS"].split(","))
    origins = config["MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"].split(",")
    assert {f"https://{host}" for host in hosts} == set(origins)


def test_the_queue_scales_where_its_metric_is_served(tmp_path: Path) -> None:
    paths = [os.path.relpath(K8S / p, tmp_path) for p in ("overlays/dev", "monitoring/queue")]
    overlay = {"resources": paths[:1], "components": paths[1:]}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    made = yaml.safe_load_all(judge("kubectl", "kustomize", tmp_path))
    scalers = [r["spec"] for r in made if r["kind"] == "HorizontalPodAutoscaler"]
    assert scalers
    for scaler in scalers:
        assert [metric["type"] for metric in scaler["metrics"]] == ["Resource", "Pods"]


def test_the_database_shows_who_it_is() -> None:
    """Each pod that speaks with it knows by whom its certificate is signed."""
    config = literals("mlflow-env")
    assert config["PGSSLMODE"] == "verify-full"
    folder = str(Path(config["PGSSLROOTCERT"]).parent)
    for name in ("mlflow", "mlflow-migrate"):
        (pod,) = [pod for made, pod, _ in pods("production") if made == name]
        (container,) = pod["containers"]
        (mount,) = [m for m in container["volumeMounts"] if m["mountPath"] == folder]
        assert {"name": mount["name"], "configMap": {"name": "database-ca"}} in pod["volumes"]


def test_the_cluster_that_is_made_has_the_version_that_is_judged() -> None:
    made = (ROOT / "deploy/terraform/variables.tf").read_text()
    assert f'default     = "{VERSION}"' in made


@OVERLAYS
def test_every_pod_has_a_policy_beside_the_denial(overlay: str) -> None:
    parts = {labels["ascenso/part"] for _, _, labels in pods(overlay)}
    for policy in resources(overlay, "NetworkPolicy"):
        selector = policy["spec"]["podSelector"]
        chosen = {selector.get("matchLabels", {}).get("ascenso/part")}
        chosen |= {v for e in selector.get("matchExpressions", []) for v in e["values"]}
        parts -= chosen
    assert parts == set()
    assert "deny" in named(overlay, "NetworkPolicy")
