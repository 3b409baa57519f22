"""Many models in one process: what they cost at rest, and one of them among the others.

    python -m benchmarks.many --models 300 [--memory-mb 20]

It starts an S3 server, MLflow and the service of all models by themselves. On a busy machine the
seconds of processor time tell more than those of the clock.
"""

import argparse
import statistics
import tempfile
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import httpx
import psutil
from sklearn.linear_model import LinearRegression

import mlflow
from mlflow import MlflowClient
from tests.services import served
from tests.serving.servers import storing, tracking

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import mlflow.sklearn

SETTLE_SECONDS = 30  # until what there is to note of the promotions is noted
REST_SECONDS = 60
CALLS = 2000


def main() -> None:
    """Run it, and print a table."""
    given = _options()
    budget = {"ASCENSO_MODELS__MEMORY_MB": str(given.memory_mb)} if given.memory_mb else {}
    folder = Path(tempfile.mkdtemp(prefix="ascenso-many-"))
    with (
        storing(folder / "s3") as (store, _),
        tracking(folder, store) as server,
        served("bentos.models:Models", server.url, folder, **budget) as url,
    ):
        mlflow.set_tracking_uri(server.url)
        _promotions(url, given.models)
        ours, theirs = _rest(url, server.url)
        print(f"| the service at rest, of one core | {ours:.1%} |")
        print(f"| MLflow meanwhile, of one core | {theirs:.1%} |")
        _calls(url, [f"many {at}" for at in range(given.models)])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=300)
    parser.add_argument("--memory-mb", type=int, help="for the open models [default: of configs]")
    return parser.parse_args()


def _promotions(url: str, count: int) -> None:
    """Promote so many models; print what that costs."""
    before = _memory(url)
    source = _logged()
    spent = _spent(url)
    seconds = _promoted(source, count, url)
    print(f"| models | {count} |\n|---|--:|")
    print(f"| the last one answers after its promotion | {seconds:.1f} s |")
    print(f"| processor time of the service until then | {_spent(url) - spent:.1f} s |")
    print(f"| memory of the worker, before and with them | {before} -> {_memory(url)} MB |")
    print(f"| open models | {_open(url)} |")


def _calls(url: str, names: list[str]) -> None:
    """Ask all models, and one of them among the others; print how long that takes."""
    p50, p99 = _asked(url, names)
    print(f"| one call at a time, over all of them: p50, p99 | {p50:.2f}, {p99:.2f} ms |")
    with ProcessPoolExecutor(1) as others:
        meanwhile = others.submit(_asked, url, names[1:])
        p50, p99 = _asked(url, names[:1])
        meanwhile.result()
    print(f"| one of them, while another caller asks the others | {p50:.2f}, {p99:.2f} ms |")


def _logged() -> str:
    """The id of one logged model, which all registered models share."""
    model = LinearRegression().fit([[0.0], [1.0]], [0.0, 2.0])
    with warnings.catch_warnings(), mlflow.start_run():
        warnings.simplefilter("ignore")
        info = mlflow.sklearn.log_model(model, name="model", pip_requirements=[])
    return str(info.model_id)


def _promoted(source: str, count: int, url: str) -> float:
    client = MlflowClient()
    for at in range(count):
        client.create_registered_model(f"many {at}")
        client.create_model_version(f"many {at}", f"models:/{source}", model_id=source)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            client.transition_model_version_stage(f"many {at}", "1", "Production")
    started = time.monotonic()
    with httpx.Client(timeout=60) as services:  # a call waits for a version on its way
        for at in range(count):
            while services.post(f"{url}/many {at}/predict", json=[2.0]).status_code != 200:
                time.sleep(0.1)
    return time.monotonic() - started


def workers(url: str) -> list[psutil.Process]:
    """The processes of the service at an address."""
    port = httpx.URL(url).port
    masters = {c.pid for c in psutil.net_connections() if c.laddr and c.laddr.port == port}
    found = [psutil.Process(pid) for pid in masters if pid]
    return [p for one in found for p in [one, *one.children(recursive=True)]]


def _memory(url: str) -> int:
    return max(process.memory_info().rss for process in workers(url)) // 2**20


def _spent(url: str) -> float:
    """Seconds of processor time that a server's processes took so far."""
    return sum(sum(worker.cpu_times()[:2]) for worker in set(workers(url)))


def _open(url: str) -> int:
    releases = httpx.get(f"{url}/releases").json()["releases"]
    return sum(bool(slot["live"] and slot["live"]["open"]) for slot in releases)


def _rest(*urls: str) -> list[float]:
    """The share of a core that each server takes while nobody calls."""
    time.sleep(SETTLE_SECONDS)
    before = [_spent(url) for url in urls]
    time.sleep(REST_SECONDS)
    return [(_spent(url) - spent) / REST_SECONDS for url, spent in zip(urls, before, strict=True)]


def _asked(url: str, names: list[str]) -> tuple[float, float]:
    with httpx.Client() as client:
        times = []
        for call in range(CALLS):
            started = time.perf_counter()
            said = client.post(f"{url}/{names[call % len(names)]}/predict", json=[2.0])
            times.append((time.perf_counter() - started) * 1000)
            if said.status_code != 200 or abs(said.json()["prediction"] - 4.0) > 1e-9:
                raise SystemExit(f"{said.status_code}: {said.text}")
    cuts = statistics.quantiles(times, n=100)
    return cuts[49], cuts[98]


if __name__ == "__main__":
    main()
