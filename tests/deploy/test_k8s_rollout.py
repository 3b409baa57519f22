"""What happens while a release is rolled out on Kubernetes."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

from bentos.settings import Settings
from tests.deploy.judges import judge
from tests.deploy.manifests import K8S, OVERLAYS, parsed, pods, resources

CALLED_FROM_OUTSIDE = {"service", "mlflow"}


@OVERLAYS
def test_an_apply_does_not_undo_what_a_scaler_did(overlay: str) -> None:
    scaled = {
        r["spec"]["scaleTargetRef"]["name"] for r in resources(overlay, "HorizontalPodAutoscaler")
    }
    assert scaled
    for made in resources(overlay, "Deployment", "StatefulSet"):
        fixed = "replicas" in made["spec"]
        assert fixed != (made["metadata"]["name"] in scaled), made["metadata"]["name"]


def attribute(ingress: dict[str, Any], kind: str, name: str) -> int:
    """What an Ingress asks of its load balancer."""
    attributes = ingress["metadata"]["annotations"][f"alb.ingress.kubernetes.io/{kind}-attributes"]
    return int(dict(one.split("=") for one in attributes.split(","))[name])


def kept(pod: dict[str, Any]) -> int:
    """For how many seconds a pod keeps a quiet connection; uvicorn's own are 5."""
    (container,) = pod["containers"]
    config = {r["metadata"]["name"]: r["data"] for r in resources("production", "ConfigMap")}
    given = config[container["envFrom"][0]["configMapRef"]["name"]]
    options = " ".join([*container.get("args", []), given.get("MLFLOW_UVICORN_OPTS", "")])
    found = re.search(r"--timeout-keep-alive (\d+)", options)
    return int(found[1]) if found else 5


def test_the_load_balancer_closes_a_connection_before_a_pod_does() -> None:
    """A call on a connection that the pod closes is a 502; so is one to a pod that has gone."""
    called = [
        pod
        for _, pod, labels in pods("production")
        if labels["ascenso/part"] in CALLED_FROM_OUTSIDE
    ]
    settings = Settings()
    for ingress in resources("production", "Ingress"):
        idle = attribute(ingress, "load-balancer", "idle_timeout.timeout_seconds")
        leaving = attribute(ingress, "target-group", "deregistration_delay.timeout_seconds")
        assert idle > settings.uploads.seconds
        for pod in called:
            (container,) = pod["containers"]
            stays = container["lifecycle"]["preStop"]["sleep"]["seconds"]
            assert kept(pod) > idle
            assert stays > leaving
            grace = pod["terminationGracePeriodSeconds"]
            assert grace > stays + settings.services.request_timeout_seconds
    (namespace,) = resources("production", "Namespace")
    assert "elbv2.k8s.aws/pod-readiness-gate-inject" in namespace["metadata"]["labels"]


@OVERLAYS
def test_a_migration_runs_before_anything_of_the_new_release(overlay: str) -> None:
    """What `kubectl apply -l ascenso/step=prepare` makes is all that the migration needs."""
    prepared = {
        (r["kind"], r["metadata"]["name"])
        for r in parsed(overlay)
        if r["metadata"].get("labels", {}).get("ascenso/step") == "prepare"
    }
    job = next(pod for name, pod, _ in pods(overlay) if name == "mlflow-migrate")
    (container,) = job["containers"]
    assert container["args"] == ["mlflow/start.sh", "migrate"]
    (source,) = container["envFrom"]
    assert ("ConfigMap", source["configMapRef"]["name"]) in prepared
    assert ("ServiceAccount", job["serviceAccountName"]) in prepared
    assert ("Job", "mlflow-migrate") in prepared
    assert {"NetworkPolicy", "Namespace"} <= {kind for kind, _ in prepared}
    assert "Deployment" not in {kind for kind, _ in prepared}


def test_the_script_that_applies_has_no_fault() -> None:
    judge("shellcheck", K8S / "apply.sh")


KUBECTL = """#!/bin/sh
echo "$*" >>{folder}/calls
case "$*" in
kustomize*) echo 'apiVersion: monitoring.coreos.com/v1' ;;
api-resources*) echo {resource} ;;
*go-template*) echo Deployment/contugas-api ;;
*'-o name') printf 'deployment.apps/mlflow\\ndeployment.apps/redis\\n' ;;
esac
"""


def applied(folder: Path, resource: str) -> tuple[subprocess.CompletedProcess[str], str]:
    """What apply.sh says, and what it tells kubectl, on a cluster that serves contugas alone."""
    kubectl = folder / "kubectl"
    kubectl.write_text(KUBECTL.format(folder=folder, resource=resource))
    kubectl.chmod(0o755)
    env = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"}
    command = [str(K8S / "apply.sh"), str(K8S / "overlays/production")]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    return done, (folder / "calls").read_text()


def test_a_roll_out_waits_for_what_can_be_ready(tmp_path: Path) -> None:
    done, calls = applied(tmp_path, "servicemonitors.monitoring.coreos.com")
    assert done.returncode == 0, done.stderr
    waited = re.findall(r"rollout status --timeout=15m (\S+)", calls)
    assert waited == ["deployment.apps/mlflow", "deployment.apps/redis", "Deployment/contugas-api"]


def test_a_cluster_without_the_operator_is_named_before_anything_changes(tmp_path: Path) -> None:
    done, calls = applied(tmp_path, "none")
    assert done.returncode == 1
    assert "no Prometheus operator" in done.stderr
    assert "apply" not in calls
