"""The stack's life: start, stay, stop."""

import asyncio
import signal
from collections.abc import Sequence

from deploy.local import bucket, health, keys, orphans, ports, servers, user
from deploy.local.console import console
from deploy.local.families import FAMILIES, Family, in_production, train
from deploy.local.lock import sole
from deploy.local.settings import Settings
from deploy.local.supervisor import Supervisor
from deploy.local.table import addresses

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(
    settings: Settings,
    families: Sequence[Family] = FAMILIES,
    serve: Sequence[str] = servers.SERVE,
) -> None:
    """Start the stack and stay until SIGINT, SIGTERM or SIGHUP; then stop all of it.

    `serve` is the command that answers for the services, given its address by `BENTOML_HOST` and
    `BENTOML_PORT`. Raises `LocalError` when the stack cannot start, with nothing left running.
    """
    with sole(settings.home):
        try:
            asyncio.run(_live(settings, families, serve))
        finally:
            for number in STOPS:
                signal.signal(number, signal.SIG_IGN)  # it is ending; who tells it twice may


async def _live(settings: Settings, families: Sequence[Family], serve: Sequence[str]) -> None:
    stop_asked = _on_signals()
    await _clear_the_way(settings)
    supervisor = Supervisor(settings.home)
    starting = asyncio.create_task(_start(supervisor, settings, families, serve))
    stopping = asyncio.create_task(stop_asked.wait())
    try:
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            await stopping
    finally:
        starting.cancel()
        await asyncio.wait({starting})
        console.print("Stopping")
        await supervisor.shut_down()
        console.print("Stopped")


async def _clear_the_way(settings: Settings) -> None:
    if left := await asyncio.to_thread(orphans.end, settings.home):
        console.print(f"Ended {len(left)} processes of a stack that was killed")
    ports.refuse_busy(settings.ports)
    for folder in (settings.files, settings.logs):
        folder.mkdir(exist_ok=True)


async def _start(
    supervisor: Supervisor, settings: Settings, families: Sequence[Family], serve: Sequence[str]
) -> None:
    secrets = keys.ensure(settings.secrets)
    s3 = servers.s3(settings, secrets)
    mlflow = servers.mlflow(settings, secrets)
    services = servers.services(settings, secrets, serve)
    for server in (s3, mlflow, services):
        await supervisor.launch(server)
    await health.wait(supervisor, s3)
    await asyncio.to_thread(bucket.ensure, servers.s3_access(settings, secrets))
    await asyncio.to_thread(user.ensure, settings, secrets)
    await health.wait(supervisor, mlflow)
    await _train_missing(settings, secrets, families)
    await health.wait(supervisor, services)
    console.print(addresses(settings, families))


async def _train_missing(
    settings: Settings, secrets: dict[str, str], families: Sequence[Family]
) -> None:
    env = servers.environment(settings, "training") | servers.s3_access(settings, secrets)
    for family in families:
        if not await in_production(settings.mlflow, family.model):
            console.print(f"{family.model} has no Production version: training one")
            await train(family, env, settings.logs / f"training-{family.name}.log")


def _on_signals() -> asyncio.Event:
    stop_asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in STOPS:
        loop.add_signal_handler(number, stop_asked.set)
    return stop_asked
