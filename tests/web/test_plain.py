"""Plain numbers: what Prometheus is handed of one worker, and of several."""

import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from bentos.web.plain import Counter, Gauge, Histogram, Numbers

OTHER = """
import sys
from pathlib import Path

from tests.web.test_plain import numbers

numbers(2).share(Path(sys.argv[1]))
"""


def numbers(times: int) -> Numbers:
    """A worker's, of so many calls."""
    counter = Counter("calls", "Calls", ["route"])
    gauge = Gauge("waiting", "Waiting", ["route"])
    histogram = Histogram("seconds", "Seconds", ["route"], [0.5, 1])
    for _ in range(times):
        counter.add(("/add",))
        for seconds in (0.5, 0.75, 3):
            histogram.observe(("/add",), seconds)
    gauge.set(("/add",), 7)
    return Numbers([counter, gauge, histogram])


def said(found: Numbers) -> dict[str, float]:
    registry = CollectorRegistry()
    registry.register(found)
    lines = generate_latest(registry).decode().splitlines()
    pairs = [line.split(" ") for line in lines if not line.startswith("#")]
    return {name.replace('route="/add"', ""): float(number) for name, number in pairs}


def test_one_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    assert said(numbers(1)) == {
        "calls_total{}": 1,
        "waiting{}": 7,
        'seconds_bucket{le="0.5",}': 1,
        'seconds_bucket{le="1.0",}': 2,
        'seconds_bucket{le="+Inf",}': 3,
        "seconds_count{}": 3,
        "seconds_sum{}": 4.25,
    }


def test_counts_of_a_worker_that_ended_stay_and_what_it_held_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    subprocess.run([sys.executable, "-c", OTHER, str(tmp_path)], check=True, timeout=120)
    own = numbers(1)
    own.share(tmp_path)  # which is not counted twice
    found = said(own)
    assert found["calls_total{}"] == 3
    assert found["waiting{}"] == 7
    assert (found["seconds_count{}"], found["seconds_sum{}"]) == (9, 12.75)
