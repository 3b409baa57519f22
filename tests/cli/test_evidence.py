import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from bentos.cli.errors import Failed
from bentos.cli.evidence import Evidence
from bentos.cli.services import Services
from bentos.registry.client import Registry, Version
from bentos.registry.tags import TRAFFIC_TAG
from tests.cli.conftest import Ascenso
from tests.cli.versions import MODEL, READING, Versions, answering, live
from tests.serving.servers import answering as saying
from tests.stack import Stack, wait_for

CALLS = 40


@pytest.fixture
def challenger(stack: Stack, versions: Versions) -> Iterator[str]:
    """A copy of what serves, tried on every call as a shadow."""
    new = versions.copy()
    registry = Registry(stack.mlflow)
    registry.set_tag(registry.version(MODEL, new), TRAFFIC_TAG, "1")
    registry.set_alias(MODEL, new, "challenger")
    wait_for(lambda: tried(stack) == (new, 1.0), 120)
    yield new
    body = {"name": MODEL, "alias": "challenger"}
    registry.http.request("DELETE", "mlflow/registered-models/alias", json=body).raise_for_status()
    registry.http.close()
    wait_for(lambda: tried(stack) is None, 120)


def tried(stack: Stack) -> tuple[str, float] | None:
    (release,) = httpx.get(f"{stack.api}/contugas/releases", timeout=60).json()["releases"]
    found = release.get("challenger")
    return (found["live"]["version"], found["share"]) if found else None


def call(stack: Stack, times: int) -> None:
    with httpx.Client(timeout=60) as client:
        for _ in range(times):
            client.post(f"{stack.api}/contugas/predict", json=READING).raise_for_status()


def test_a_challenger_is_promoted_once_it_agreed(
    stack: Stack, ascenso: Ascenso, challenger: str
) -> None:
    before = live(stack)
    few = ("--when-agreed", "0.99", "--after", str(CALLS), "--evidence-timeout", "0")
    result = ascenso("promote", MODEL, challenger, *few)
    assert result.exit_code == 1
    assert f"was compared in 0 calls after 0 s, not in {CALLS}" in result.stderr
    assert live(stack) == before

    call(stack, CALLS)
    result = ascenso("promote", MODEL, challenger, "--when-agreed", "0.99", "--after", str(CALLS))
    assert result.exit_code == 0, result.output
    assert f"agreed with the champion in {CALLS} of {CALLS} calls" in result.output
    assert answering(stack) == challenger


def test_status_tells_of_the_trial(stack: Stack, ascenso: Ascenso, challenger: str) -> None:
    call(stack, 5)
    wait_for(lambda: "5 calls, 100.00% agreed" in ascenso("status").output, 60)
    services = Services(stack.api)
    (slot,) = services.of(MODEL)[0].releases
    services.http.close()
    assert slot.challenger
    assert (slot.challenger.mode, slot.challenger.errors) == ("shadow", 0)


def test_what_is_no_challenger_has_no_evidence(ascenso: Ascenso, versions: Versions) -> None:
    result = ascenso("promote", MODEL, versions.copy(), "--when-agreed", "1")
    assert result.exit_code == 1
    assert "is no challenger of any running service" in result.stderr


def test_all_replicas_that_share_a_ledger_are_counted() -> None:
    def one(replica: str, version: str, *counts: int) -> dict[str, Any]:
        counted = dict(zip(("compared", "agreed"), counts, strict=False))
        return {"replica": replica, "model": "gas", "version": version, "seen": "now", **counted}

    fleet = [one("a", "1"), one("b", "1"), one("a", "2", 20, 19), one("b", "2", 30, 26)]
    slot = {"model": "gas", "channel": "stage Production"}
    body = {"service": "gas", "releases": [slot], "fleet": fleet}
    with saying(json.dumps(body).encode(), 200) as (url, _):
        services = Services(url)
        Evidence(0.9, 50).wait(services, Version("gas", "2"), 0)
        with pytest.raises(Failed, match=r"in 45 of 50 calls, and 95.00%"):
            Evidence(0.95, 50).wait(services, Version("gas", "2"), 0)
        with pytest.raises(Failed, match="was compared in 50 calls after 0 s, not in 51"):
            Evidence(0.9, 51).wait(services, Version("gas", "2"), 0)
        with pytest.raises(Failed, match="gas/3 is no challenger of any running service"):
            Evidence(0.9, 1).wait(services, Version("gas", "3"), 0)
        services.close()
