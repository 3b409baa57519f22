"""deploy/helm/production.yaml asks for what the nodes of deploy/terraform have."""

import re
from typing import Any

import pytest

from deploy.local.settings import ROOT
from tests.deploy.chart import Resource, named, of, parsed

CLUSTER = (ROOT / "deploy/terraform/variables.tf").read_text()
M7I_XLARGE = {"cpu": 4.0, "memory": 16.0, "ephemeral-storage": 100.0}  # GiB
OTHERS = 0.85  # of a node; the rest is for the system, and for what the cluster runs on each
UNITS = {"m": 1e-3, "Mi": 2**-10, "Gi": 1.0, "": 1.0}


def amount(text: str | int) -> float:
    """CPUs, or GiB."""
    found = re.fullmatch(r"([\d.]+)(m|Mi|Gi|)", str(text))
    assert found, text
    return float(found[1]) * UNITS[found[2]]


def asked(made: tuple[Resource, ...], bound: str) -> dict[str, float]:
    """What all pods that run on ask for, at the least or the most that the autoscalers let be."""
    scalers = named(made, "HorizontalPodAutoscaler")
    total = dict.fromkeys(M7I_XLARGE, 0.0)
    for resource in of(made, "Deployment", "StatefulSet"):
        scaler: dict[str, Any] = scalers.get(resource["metadata"]["name"], {}).get("spec", {})
        pods = scaler[bound] if scaler else resource["spec"]["replicas"]
        for container in resource["spec"]["template"]["spec"]["containers"]:
            for kind, text in container["resources"]["requests"].items():
                total[kind] += pods * amount(text)
    return total


@pytest.mark.parametrize(("bound", "nodes"), [("minReplicas", "min"), ("maxReplicas", "max")])
def test_the_nodes_hold_what_the_services_ask_for(bound: str, nodes: str) -> None:
    assert 'optional(string, "m7i.xlarge")' in CLUSTER
    assert "optional(number, 100)" in CLUSTER
    (count,) = re.findall(rf"\b{nodes} += optional\(number, (\d+)\)", CLUSTER)
    wanted = asked(parsed("production"), bound)
    room = {kind: int(count) * size * OTHERS for kind, size in M7I_XLARGE.items()}
    assert {kind: wanted[kind] for kind in room if wanted[kind] > room[kind]} == {}, wanted


def test_an_autoscaler_of_nodes_has_its_role() -> None:
    access = (ROOT / "deploy/terraform/access.tf").read_text()
    assert 'autoscaler = "kube-system:cluster-autoscaler"' in access
    assert "autoscaling:SetDesiredCapacity" in access
