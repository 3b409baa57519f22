"""What stands in the overlays for Kubernetes."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import yaml

from deploy.local.settings import ROOT
from tests.deploy.judges import judge

K8S = ROOT / "deploy" / "k8s"
OVERLAYS = pytest.mark.parametrize("overlay", ["dev", "production"])


@cache
def built(overlay: str) -> str:
    return judge("kubectl", "kustomize", K8S / "overlays" / overlay)


@cache
def parsed(overlay: str) -> tuple[dict[str, Any], ...]:
    return tuple(yaml.load_all(built(overlay), yaml.CSafeLoader))


def resources(overlay: str, *kinds: str) -> list[dict[str, Any]]:
    """The resources of these kinds."""
    return [resource for resource in parsed(overlay) if resource["kind"] in kinds]


def pods(overlay: str) -> Iterator[tuple[str, dict[str, Any], dict[str, str]]]:
    """The name, the pod's specification and its labels, of whatever makes pods."""
    for resource in resources(overlay, "Deployment", "StatefulSet", "Job", "CronJob"):
        spec = resource["spec"].get("jobTemplate", resource)["spec"]
        template = spec["template"]
        yield resource["metadata"]["name"], template["spec"], template["metadata"]["labels"]


def env(pod: dict[str, Any]) -> list[dict[str, str]]:
    """What a pod's container is given beside its ConfigMaps."""
    return [one for container in pod["containers"] for one in container.get("env", [])]
