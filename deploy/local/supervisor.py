"""Keeps servers alive."""

import asyncio
import os
import signal
import time
from asyncio.subprocess import DEVNULL, Process
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from deploy.local import orphans
from deploy.local.console import console
from deploy.local.log import Log
from deploy.local.servers import Server
from deploy.local.settings import ROOT

STOP_SECONDS = 20
DEATHS_ALLOWED = 2
LONGEST_WAIT = 30.0
STEADY_SECONDS = 60.0


@dataclass
class Deaths:
    """How often a server has died of late, and when it may start again."""

    count: int = 0
    again_at: float = 0.0

    @property
    def often(self) -> bool:
        """Whether this is no accident, and goes on."""
        steady = time.monotonic() > self.again_at + STEADY_SECONDS
        return self.count > DEATHS_ALLOWED and not steady

    def add(self, lived: float) -> float:
        """Note one more; give the seconds to wait: none, then 1, 2, 4, ... up to half a minute.

        A server that lived for a minute starts with a clean slate.
        """
        self.count = 1 if lived > STEADY_SECONDS else self.count + 1
        wait = 0.0 if self.count == 1 else min(2.0 ** (self.count - 2), LONGEST_WAIT)
        self.again_at = time.monotonic() + wait
        return wait


class Kept:
    """A server that starts again whenever it ends, later and later."""

    def __init__(self, server: Server, home: Path) -> None:
        self.server = server
        self.deaths = Deaths()
        self._home = home

    async def start(self) -> None:
        """Keep it alive from now on."""
        self._log = await Log.open(self.server.log)
        self._life = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """End it, and whatever it left behind."""
        self._life.cancel()
        await asyncio.wait({self._life})
        await self._clear()
        await self._log.close()

    async def _keep(self) -> None:
        while True:
            began = time.monotonic()
            ending = await self._live()
            wait = self.deaths.add(lived=time.monotonic() - began)
            again = f"starting it again{f' in {wait:.0f} s' if wait else ''}"
            console.print(f"{self.server.name} {ending}; {again}", style="yellow")
            await self._clear()
            await asyncio.sleep(self.deaths.again_at - time.monotonic())

    async def _live(self) -> str:
        """Run a process to its end; tell what that was."""
        try:
            process = await asyncio.create_subprocess_exec(
                *orphans.tied((*_nice(self.server.niceness), *self.server.command)),
                cwd=ROOT,
                env=dict(self.server.env),
                stdin=DEVNULL,
                stdout=self._log.inlet,
                stderr=self._log.inlet,
                start_new_session=True,  # Ctrl-C is ours to pass on
            )
        except OSError as error:
            self._log.note(str(error))
            return f"cannot start ({error})"
        _yield_to_others(process, self.server.niceness)
        try:
            code = await process.wait()
        finally:
            if process.returncode is None:
                await _end(process)
        return f"ended ({f'signal {-code}' if code < 0 else f'exit code {code}'})"

    async def _clear(self) -> None:
        """A killed parent leaves children that hold its port."""
        await asyncio.to_thread(orphans.end, self._home, self.server.name)


class Supervisor:
    """Keeps servers alive, and ends them all."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._kept: list[Kept] = []

    async def launch(self, server: Server) -> None:
        """Start a server and keep it alive from now on."""
        kept = Kept(server, self.home)
        await kept.start()
        self._kept.append(kept)

    def failing(self) -> list[Server]:
        """The servers that died again and again of late."""
        return [kept.server for kept in self._kept if kept.deaths.often]

    async def shut_down(self) -> None:
        """Stop every server, the last one first, and whatever is left."""
        while self._kept:
            await self._kept.pop().stop()
        await asyncio.to_thread(orphans.end, self.home)


async def _end(process: Process) -> None:
    """Ask it and its group to end, and make them after a while."""
    _send(process, signal.SIGTERM)
    try:
        await asyncio.wait_for(process.wait(), STOP_SECONDS)
    except TimeoutError:
        _send(process, signal.SIGKILL)
        await process.wait()


def _nice(niceness: int) -> tuple[str, ...]:
    """What a command begins with that yields, with all that it starts."""
    return ("nice", "-n", str(niceness)) if niceness else ()


def _yield_to_others(process: Process, niceness: int) -> None:
    """Linux shares by sessions, and counts niceness within them only."""
    with suppress(OSError):  # it ended, or the system does not share so
        Path(f"/proc/{process.pid}/autogroup").write_text(str(niceness))


def _send(process: Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
