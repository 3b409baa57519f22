import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from bentos.web.bounded import Bounded
from tests.web.scrape import value_in

WORKER = """
import os, signal, sys
from bentos.refusal import Refusal
from bentos.web.exposition import _collect
from bentos.web.metrics import called_out
from bentos.web.observing import Metrics
from tests.memory import release

metrics = Metrics("small")
metrics.swapped("stage Production", None, release("1"), "swap")
metrics.swapped("stage Production", release("1"), release("2"), "swap")
metrics.queued(release("2"), 7)
metrics.batched(release("2"), 5, 0.002)
metrics.refused("small", Refusal("pickle", "log it with skops"))
metrics.weighed({"small": 5, "closed": 0})
metrics.erred(release("2"), "failed")
called_out("s3", 0.2, True)
metrics.looked("")
if sys.argv[1] == "dies":
    os.kill(os.getpid(), signal.SIGKILL)
sys.stdout.buffer.write(_collect())
"""


def worker(folder: Path, what: str) -> subprocess.CompletedProcess[str]:
    """A worker process, as BentoML starts it: with the variable set before any import."""
    env = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(folder)}
    command = [sys.executable, "-c", WORKER, what]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)


def test_workers_count_together_and_dead_ones_serve_nothing(tmp_path: Path) -> None:
    dead = worker(tmp_path, "dies")
    assert dead.returncode == -signal.SIGKILL, dead.stderr
    left = [path.name for path in tmp_path.iterdir() if path.name.startswith("gauge_live")]
    assert left
    alive = worker(tmp_path, "tells")
    assert alive.returncode == 0, alive.stderr
    text = alive.stdout
    assert value_in(text, "ascenso_live", model="small", version="2") == 1
    assert value_in(text, "ascenso_live", model="small", version="1") == 0
    assert value_in(text, "ascenso_queue_rows", model="small") == 7
    assert value_in(text, "ascenso_swaps_total", model="small", what="swap") == 4
    assert value_in(text, "ascenso_batch_rows_sum", model="small") == 10
    assert value_in(text, "ascenso_refusals_total", model="small", reason="pickle") == 2
    assert 'ascenso_refusals_total{model="small",reason="load"} 0.0' in text
    assert value_in(text, "ascenso_registry_looked_at_seconds") > 1e9
    assert value_in(text, "ascenso_model_errors_total", model="small", what="failed") == 2
    assert 'ascenso_model_errors_total{model="small",what="refused"} 0.0' in text
    assert value_in(text, "ascenso_outward_errors_total", to="s3") == 2
    assert value_in(text, "ascenso_outward_seconds_count", to="s3") == 2
    assert value_in(text, "ascenso_degraded") == 0
    assert value_in(text, "ascenso_model_memory_bytes", model="small") == 5
    assert 'model="closed"' not in text
    (worker_bytes,) = re.findall(r"ascenso_worker_memory_bytes{.*} (\S+)", text)
    assert float(worker_bytes) > 2**24
    assert not [path for path in tmp_path.iterdir() if path.name in left]


def test_beyond_a_bound_models_count_together(tmp_path: Path) -> None:
    """The first two keep their names, also when a worker sees others first, or after a restart."""
    registry = CollectorRegistry()
    routes = ["service", "route"]
    calls = Counter("ascenso_requests", "-", routes, registry=registry)
    live = Gauge("ascenso_live", "-", ["model", "version"], registry=registry)
    seconds = Histogram("ascenso_batch_seconds", "-", ["model"], registry=registry, buckets=(1,))
    psi = Gauge("ascenso_drift_psi", "-", ["model"], registry=registry)

    def seen(name: str, count: int) -> None:
        calls.labels("models", f"{name}/infer").inc(count)
        live.labels(name, str(count)).set(1)
        seconds.labels(name).observe(count / 2)
        psi.labels(name).set(count)

    def told() -> str:
        bounded = CollectorRegistry()
        bounded.register(Bounded(registry, 2, tmp_path))
        return generate_latest(bounded).decode()

    for count, name in enumerate(("b", "c", "a", "d"), 1):
        seen(name, count)
    text = told()
    assert value_in(text, "ascenso_requests_total", route="b/infer") == 1
    assert value_in(text, "ascenso_requests_total", route="other/infer") == 3 + 4
    assert value_in(text, "ascenso_live", model="other", version="other") == 2
    assert value_in(text, "ascenso_batch_seconds_bucket", model="other", le="1.0") == 0
    assert value_in(text, "ascenso_batch_seconds_bucket", model="other", le="+Inf") == 2
    assert value_in(text, "ascenso_batch_seconds_count", model="c") == 1
    assert re.findall(r'psi{model="(.)"}', text) == ["b", "c"]
    for metric in (calls, live, seconds, psi):
        metric.clear()
    for count, name in enumerate(("d", "a", "c", "b"), 5):
        seen(name, count)
    again = told()
    assert value_in(again, "ascenso_requests_total", route="b/infer") == 8
    assert value_in(again, "ascenso_requests_total", route="other/infer") == 5 + 6
