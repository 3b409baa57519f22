"""Waiting until a server is well."""

import asyncio
import time
from collections import deque
from pathlib import Path

import httpx

from deploy.local.console import console
from deploy.local.errors import LocalError
from deploy.local.servers import Server
from deploy.local.supervisor import Supervisor

PATIENCE_SECONDS = 180


async def wait(supervisor: Supervisor, server: Server) -> None:
    """Return once the server is well.

    Raises `LocalError` with the end of its log when it takes three minutes, or when any server
    keeps ending.
    """
    began = time.monotonic()
    async with httpx.AsyncClient(timeout=2, trust_env=False) as client:
        while not await _well(client, server):
            for failing in supervisor.failing():
                raise LocalError(f"{failing.name} does not stay up.{tail(failing.log)}")
            if time.monotonic() - began > PATIENCE_SECONDS:
                raise LocalError(
                    f"{server.name} does not answer at {server.url} "
                    f"after {PATIENCE_SECONDS} s.{tail(server.log)}"
                )
            await asyncio.sleep(0.1)
    console.print(f"{server.name} is up")


def tail(log: Path, lines: int = 20) -> str:
    """The last lines of a log, introduced by its path."""
    with log.open(errors="replace") as file:
        last = deque(file, lines)
    return f" The end of {log}:\n{''.join(last)}" if last else f" Its log {log} is empty."


async def _well(client: httpx.AsyncClient, server: Server) -> bool:
    try:
        return (await client.get(server.url)).status_code < server.below
    except httpx.HTTPError:
        return False
