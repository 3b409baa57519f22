"""What promotions cost the calls beside them: `python -m benchmarks.swaps`, beside `make up`.

One client asks contugas at a steady pace; every other spell versions that no one has seen before
are promoted meanwhile, one as soon as the one before serves. All have the same files.
"""

import time
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any

import httpx
from rich.progress import track

from benchmarks.pace import Spell, show, spell
from bentos.registry.client import DIGEST_TAG, Registry
from deploy.local.settings import Settings

MODEL = "contugas-anomaly"
SECONDS = 20
ROUNDS = 4


def main() -> None:
    """Measure rest and promotions in turns, and print a table."""
    settings = Settings()
    registry = Registry(settings.mlflow)
    services = httpx.Client(base_url=settings.api, timeout=60, trust_env=False)
    spells: dict[str, list[Spell]] = {"at rest": [], "amid promotions": []}
    promoted = 0
    with ProcessPoolExecutor(1) as caller:  # a process of its own, which nothing here delays
        for _ in track(range(ROUNDS), "measuring", transient=True):
            spells["at rest"].append(caller.submit(spell, settings.api, SECONDS).result())
            running = caller.submit(spell, settings.api, SECONDS)
            promoted += promote_until(running, registry, services)
            spells["amid promotions"].append(running.result())
    show(spells)
    print(f"{promoted} promotions")


def promote_until(running: "Future[Spell]", registry: Registry, services: httpx.Client) -> int:
    """Promote one copy after the other while the calls go on; give their number."""
    promoted = 0
    while not running.done():
        version = copy(registry, live(services))
        registry.promote(MODEL, version, "Production")
        while live(services) != version:
            time.sleep(0.2)  # looking costs the services, too
        promoted += 1
    return promoted


def copy(registry: Registry, version: str) -> str:
    """A new version with the same files."""
    same = call(registry, "GET", "get", params={"name": MODEL, "version": version})
    body = {key: same[key] for key in ("name", "source", "run_id")}
    body["model_id"] = same["source"].removeprefix("models:/")
    body["tags"] = [tag for tag in same["tags"] if tag["key"] == DIGEST_TAG]
    return str(call(registry, "POST", "create", json=body)["version"])


def call(registry: Registry, method: str, verb: str, **options: Any) -> dict[str, Any]:
    """One call about a version, and what MLflow found of it."""
    answer = registry.http.request(method, f"mlflow/model-versions/{verb}", **options)
    found: dict[str, Any] = answer.raise_for_status().json()["model_version"]
    return found


def live(services: httpx.Client) -> str:
    """The version that serves."""
    releases = services.get("/contugas/releases").raise_for_status()
    served: str = releases.json()["releases"][0]["live"]["version"]
    return served


if __name__ == "__main__":
    main()
