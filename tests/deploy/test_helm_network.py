"""deploy/helm: who may talk to whom, by the policies of the network."""

from typing import Any

import pytest

from tests.deploy.chart import VALUES, of, parsed, pods, services

Labels = dict[str, str]


def selects(selector: dict[str, Any], labels: Labels) -> bool:
    """Whether a selector of pods means one with these labels."""
    known = all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
    return known and all(
        labels.get(one["key"]) in one["values"] for one in selector.get("matchExpressions", [])
    )


def lets(policy: dict[str, Any], way: str, mine: Labels, other: Labels, port: int) -> bool:
    """Whether a policy lets a pod call (`egress`) another, or be called (`ingress`) by it."""
    spec = policy["spec"]
    if not selects(spec["podSelector"], mine):
        return False
    peers = {"egress": "to", "ingress": "from"}[way]
    return any(
        port in {p["port"] for p in rule.get("ports", [{"port": port}])}
        and any(selects(peer.get("podSelector", {}), other) for peer in rule.get(peers, [{}]))
        for rule in spec.get(way, [])
    )


def may(values: str, caller: str, called: str, port: int) -> bool:
    """Whether one part of a release reaches another."""
    made = parsed(values)
    labels = {name: found for name, _, found in pods(made)}
    mine, other = labels[caller], labels[called]
    policies = of(made, "NetworkPolicy")
    return any(lets(p, "egress", mine, other, port) for p in policies) and any(
        lets(p, "ingress", other, mine, port) for p in policies
    )


@VALUES
def test_each_part_reaches_what_it_needs_and_no_other(values: str) -> None:
    callers = {name for name, _, labels in pods(parsed(values)) if labels["ascenso/part"] != "s3"}
    asking = callers - {"mlflow", "redis", "postgres", "backup"}
    assert {c for c in callers if may(values, c, "mlflow", 5000)} == asking
    assert {c for c in callers if may(values, c, "redis", 6379)} == {"keras-api"}
    assert may(values, "mlflow", "models", 3000)  # webhooks
    assert not may(values, "train-contugas", "models", 3000)
    if values == "production":
        assert {c for c in callers if may(values, c, "relay", 5001)} == set(
            services(parsed(values))
        )


@pytest.mark.parametrize("caller", ["mlflow", "models", "train-contugas"])
def test_in_a_small_cluster_the_stores_are_reached(caller: str) -> None:
    assert may("dev", caller, "s3", 9000)
    assert may("dev", caller, "postgres", 5432) == (caller != "train-contugas")  # the ledger, too
