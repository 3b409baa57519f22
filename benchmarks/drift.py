"""What counting drift costs the fast route of contugas: `python -m benchmarks.drift`.

Needs `wrk` (apt-get install wrk). It starts an S3 server, MLflow and two services by itself, one
that counts and one that does not, which are called in turns. What a call costs is the processor
time of the service, its background threads and all.
"""

import os
import statistics
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.protocols import _calls, _spent
from tests.services import served
from tests.serving.servers import storing, tracking
from training.contugas import __main__ as contugas

CONNECTIONS, SECONDS, ROUNDS = 64, 2, 20
SERVICE = "bentos.contugas:Contugas"
SCRIPT = """wrk.method = "POST"
wrk.headers["content-type"] = "application/json"
wrk.body = '{"presion": 1.2, "temperatura": 25.5, "volumen": 100.0}'
"""


def main() -> None:
    """Measure both in turns, and print a table."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        store, _ = stack.enter_context(storing(folder / "s3"))
        mlflow = stack.enter_context(tracking(folder, store))
        os.environ["MLFLOW_TRACKING_URI"] = mlflow.url
        contugas.main(["--promote"], standalone_mode=False)
        urls = {}
        for counted in ("false", "true"):
            home = folder / counted
            home.mkdir()
            variables = {"ASCENSO_DRIFT__ENABLED": counted}
            urls[counted] = stack.enter_context(served(SERVICE, mlflow.url, home, **variables))
        script = folder / "call.lua"
        script.write_text(SCRIPT)
        for url in urls.values():
            _cost(url, script)  # a service goes on importing in its first seconds
        rounds = [_round(urls, script, turned=bool(at % 2)) for at in range(ROUNDS)]
    _print(rounds)


def _round(urls: dict[str, str], script: Path, turned: bool) -> dict[str, float]:
    """What a call costs at each service, one after the other."""
    order = list(urls)[::-1] if turned else list(urls)
    return {name: _cost(urls[name], script) for name in order}


def _cost(url: str, script: Path) -> float:
    """Seconds of a core that a call costs."""
    before = _spent(url)
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "-s", str(script)]
    said = subprocess.run([*command, f"{url}/predict"], check=True, capture_output=True, text=True)
    if "Non-2xx" in said.stdout:
        raise SystemExit(f"{url} did not answer 200:\n{said.stdout}")
    return (_spent(url) - before) / _calls(said.stdout)


def _print(rounds: list[dict[str, float]]) -> None:
    table = Table("contugas, a row a call", "us of a core a call", "least", "to not counting")
    ratios = statistics.median(found["true"] / found["false"] for found in rounds)
    for name, title, ratio in (("false", "not counting", 1.0), ("true", "counting", ratios)):
        costs = [found[name] * 1e6 for found in rounds]
        shown = f"{statistics.median(costs):.1f}", f"{min(costs):.1f}", f"{ratio:.3f}"
        table.add_row(title, *shown)
    Console().print(table)


if __name__ == "__main__":
    main()
