"""Keeps servers alive, through circus (kept by BentoML's authors under the name kantoku)."""

import asyncio
import shlex
import time
from dataclasses import dataclass
from pathlib import Path

from circus.arbiter import Arbiter
from circus.stream import FileStream
from circus.watcher import Watcher
from tornado.ioloop import IOLoop

from deploy.local import orphans
from deploy.local.console import console
from deploy.local.servers import Server
from deploy.local.settings import ROOT

LOG_BYTES = 10 * 1024 * 1024
LOG_BACKUPS = 3
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
        """Whether this is no accident."""
        return self.count > DEATHS_ALLOWED

    def add(self, lived: float) -> float:
        """Note one more; give the seconds to wait: none, then 1, 2, 4, ... up to half a minute.

        A server that lived for a minute starts with a clean slate.
        """
        self.count = 1 if lived > STEADY_SECONDS else self.count + 1
        wait = 0.0 if self.count == 1 else min(2.0 ** (self.count - 2), LONGEST_WAIT)
        self.again_at = time.monotonic() + wait
        return wait


class Supervisor(Arbiter):  # type: ignore[misc]  # circus is untyped
    """Starts what died again, later and later.

    circus's own loop would stop everything while one server waits for its next start, and would
    reap children that are not its own.
    """

    def __init__(self, home: Path) -> None:
        super().__init__(
            [],
            # Commands to circus are not authenticated: no socket for them leaves the process.
            endpoint="inproc://ascenso-control",
            pubsub_endpoint="inproc://ascenso-events",
            loop=IOLoop.current(),
            check_delay=0.5,
            proc_name="ascenso",
        )
        self.ctrl.sys_hdl.stop()  # signals are handled by whoever runs the loop
        self.home = home
        self._deaths: dict[str, Deaths] = {}
        self._servers: dict[str, Server] = {}
        self._closed = asyncio.Event()

    async def launch(self, server: Server) -> None:
        """Start a server and keep it alive from now on."""
        log = {"stream": FileStream(str(server.log), LOG_BYTES, LOG_BACKUPS)}
        self._servers[server.name] = server
        self._deaths[server.name] = Deaths()
        watcher = self.add_watcher(
            server.name,
            shlex.quote(server.command[0]),
            args=list(server.command[1:]),
            working_dir=str(ROOT),
            env=dict(server.env),
            graceful_timeout=STOP_SECONDS,
            max_retry=1,
            stdout_stream=log,
            stderr_stream=log,
        )
        await self.start_watcher(watcher)

    def failing(self) -> list[Server]:
        """The servers that died again and again of late, or could not be started at all."""
        names = [w.name for w in self.watchers if self._deaths[w.name].often or w.is_stopped()]
        return [self._servers[name] for name in names]

    async def manage_watchers(self) -> None:
        """Look at every server once; circus calls this twice a second."""
        for watcher in self.watchers:
            if watcher.is_active():
                await self._look_at(watcher)

    async def shut_down(self) -> None:
        """Stop every server, the last one first, and whatever they left behind."""
        for watcher in reversed(self.watchers):
            await watcher.stop()
        await self.stop()
        await self._closed.wait()  # circus closes its sockets in a later turn of the loop
        await asyncio.to_thread(orphans.end, self.home)

    def stop_controller_and_close_sockets(self) -> None:
        """The last thing that circus does when it stops."""
        super().stop_controller_and_close_sockets()
        self._closed.set()

    async def _look_at(self, watcher: Watcher) -> None:
        for process in list(watcher.processes.values()):
            if not process.is_alive():
                watcher.reap_process(process.pid)
                wait = self._deaths[watcher.name].add(lived=process.age())
                console.print(
                    f"{watcher.name} ended ({_ending(process.returncode())}); "
                    f"starting it again{f' in {wait:.0f} s' if wait else ''}",
                    style="yellow",
                )
                # A killed parent leaves children that hold its port.
                await asyncio.to_thread(orphans.end, self.home, watcher.name)
        if not watcher.processes and time.monotonic() >= self._deaths[watcher.name].again_at:
            await watcher.manage_processes()


def _ending(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
