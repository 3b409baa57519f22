"""Swaps, back and forth, under a steady load: what callers see of them, and what memory does."""

from itertools import cycle, islice

import httpx
import psutil
import pytest

from tests.e2e.caller import Caller, p99
from tests.e2e.conftest import Tell
from tests.e2e.versions import Versions
from tests.stack import Stack, wait_for

RATE = 100
CALLS_AT_REST = 500
SWAPS_IN_ALL = 30
MOST_GROWTH = 200  # MB


@pytest.mark.timeout(900)
def test_no_caller_notices(stack: Stack, versions: Versions, tell: Tell) -> None:
    """10 swaps bring a version that no one has seen before, 10 go back and forth."""
    fresh = [versions.copy(version) for version in (versions.new, versions.old) * 5]
    swaps = [*fresh, *fresh[-2:] * 5]
    worker = stack.processes("services")[-1]
    before = megabytes(worker)
    with Caller(f"{stack.api}/contugas/predict", versions, RATE) as caller:
        wait_for(lambda: len(caller.calls) >= CALLS_AT_REST, 120)
        for version in swaps:
            versions.promote(version)
            caller.wait_for(version)
    rest, moving = caller.calls[:CALLS_AT_REST], caller.calls[CALLS_AT_REST:]
    tell(
        f"p99 at rest {p99(rest):.1f} ms, during {len(swaps)} swaps {p99(moving):.1f} ms "
        f"({len(moving)} calls)"
    )
    assert caller.errors == []
    assert caller.wrong == []
    amid = megabytes(worker)
    for version in islice(cycle(fresh[-3:]), SWAPS_IN_ALL - len(swaps)):
        versions.promote(version)
        body = httpx.post(f"{stack.api}/contugas/reload", timeout=60).raise_for_status().json()
        assert body["releases"][0]["live"]["version"] == version
    after = megabytes(worker)
    tell(
        f"worker {before:.0f} MB at first, {amid:.0f} MB after {len(swaps)} swaps, "
        f"{after:.0f} MB after {SWAPS_IN_ALL}"
    )
    assert after - before < MOST_GROWTH


def megabytes(process: psutil.Process) -> float:
    return float(process.memory_info().rss) / 1024**2
