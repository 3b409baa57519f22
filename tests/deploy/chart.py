"""The chart as Helm renders it."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import pytest
import yaml

from bentos import stack
from bentos.settings import Settings
from deploy.local.settings import ROOT
from tests.deploy.judges import judge

HELM = ROOT / "deploy" / "helm"
CHART = HELM / "ascenso"
NAMESPACE = "ascenso"
OPERATOR = ("monitoring.coreos.com/v1/ServiceMonitor", "monitoring.coreos.com/v1/PrometheusRule")
APPS = stack.build(Settings()).apps
VALUES = pytest.mark.parametrize("values", ["dev", "production"])
Resource = dict[str, Any]


@cache
def rendered(values: str, *more: str, cluster: tuple[str, ...] = OPERATOR) -> str:
    """The manifests of the values `deploy/helm/<values>.yaml`, and of more as `--set-json` takes
    them, on a cluster that has these APIs beside its own.
    """
    arguments = [x for one in more for x in ("--set-json", one)]
    arguments += [x for api in cluster for x in ("--api-versions", api)]
    file = HELM / f"{values}.yaml"
    return judge("helm", "template", "ascenso", CHART, "-n", NAMESPACE, "-f", file, *arguments)


@cache
def parsed(values: str, *more: str, cluster: tuple[str, ...] = OPERATOR) -> tuple[Resource, ...]:
    """The same, as resources."""
    text = rendered(values, *more, cluster=cluster)
    return tuple(filter(None, yaml.load_all(text, yaml.CSafeLoader)))


def of(made: tuple[Resource, ...], *kinds: str) -> list[Resource]:
    """The resources of these kinds."""
    return [resource for resource in made if resource["kind"] in kinds]


def named(made: tuple[Resource, ...], kind: str) -> dict[str, Resource]:
    """The resources of a kind, by name."""
    return {resource["metadata"]["name"]: resource for resource in of(made, kind)}


def pods(made: tuple[Resource, ...]) -> Iterator[tuple[str, Resource, dict[str, str]]]:
    """The name, the pod's specification and its labels, of whatever makes pods."""
    for resource in of(made, "Deployment", "StatefulSet", "Job", "CronJob"):
        spec = resource["spec"].get("jobTemplate", resource)["spec"]
        template = spec["template"]
        yield resource["metadata"]["name"], template["spec"], template["metadata"]["labels"]


def services(made: tuple[Resource, ...]) -> dict[str, Resource]:
    """The pods of the services, by name."""
    return {n: pod for n, pod, labels in pods(made) if labels["ascenso/part"] == "service"}


def containers(pod: Mapping[str, Any]) -> list[Resource]:
    """A pod's containers, those that run first too."""
    return [*pod.get("initContainers", []), *pod["containers"]]


def env(pod: Mapping[str, Any]) -> dict[str, str]:
    """What a pod's container is given as variables."""
    (container,) = pod["containers"]
    return {one["name"]: one["value"] for one in container.get("env", [])}


def keys(pod: Mapping[str, Any]) -> dict[str, str]:
    """The keys of the secret that a pod is given, by the variable that they become."""
    items = [item for v in pod["volumes"] if "secret" in v for item in v["secret"]["items"]]
    return {item["path"]: item["key"] for item in items}


def mlflow(values: str = "production", *more: str) -> Resource:
    """The pod of MLflow's server."""
    (pod,) = [pod for name, pod, _ in pods(parsed(values, *more)) if name == "mlflow"]
    return pod
