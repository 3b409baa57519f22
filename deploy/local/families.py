"""The model families, and the first training of those that the registry lacks."""

import asyncio
import codecs
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import httpx

from deploy.local import orphans
from deploy.local.console import console
from deploy.local.errors import LocalError
from deploy.local.health import tail
from deploy.local.settings import ROOT


@dataclass(frozen=True)
class Family:
    """A trainer, `training.<name>`, and the registered model that it makes, the last if several.

    `seed` is done before the trainer starts, to put data where its service looks for it.
    """

    name: str
    model: str
    seed: tuple[str, ...] = ()


FAMILIES = (
    Family("contugas", "contugas-anomaly"),
    Family("spotify", "spotify-popularity"),
    Family("cripto", "cripto-classifier-log", seed=("ingest", "--synthetic")),
    Family("keras_api", "keras-default"),
    Family("itransformer", "itransformer-demo"),
)


async def in_production(registry: str, model: str) -> bool:
    """Whether the registry at this address has a Production version of the model."""
    async with httpx.AsyncClient(base_url=registry, timeout=30, trust_env=False) as client:
        answer = await client.get(
            "/api/2.0/mlflow/registered-models/get-latest-versions",
            params={"name": model, "stages": "Production"},
        )
    if answer.status_code == httpx.codes.NOT_FOUND:
        return False
    return bool(answer.raise_for_status().json().get("model_versions"))


async def train(family: Family, env: Mapping[str, str], log: Path) -> None:
    """Train and promote one family, its output on the terminal and in the log.

    Raises `LocalError` with the end of the log when the training fails.
    """
    with log.open("wb") as file:
        for arguments in filter(None, (family.seed, ("--promote",))):
            if await _run(family, arguments, env, file):
                raise LocalError(f"The training of {family.name} failed.{tail(log)}")


async def _run(
    family: Family, arguments: tuple[str, ...], env: Mapping[str, str], log: BinaryIO
) -> int | None:
    process = await asyncio.create_subprocess_exec(
        *orphans.tied((sys.executable, "-m", f"training.{family.name}", *arguments)),
        cwd=ROOT,
        env=dict(env),
        stdout=PIPE,
        stderr=STDOUT,
        start_new_session=True,  # Ctrl-C is ours to pass on
    )
    try:
        if process.stdout:
            await _show(process.stdout, log)
        await process.wait()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    return process.returncode


async def _show(output: asyncio.StreamReader, log: BinaryIO) -> None:
    text = codecs.getincrementaldecoder("utf-8")("replace")
    while chunk := await output.read(4096):
        log.write(chunk)
        log.flush()
        console.out(text.decode(chunk), end="")
