"""What every BentoML service shares: its options, and what is done where it is served.

Nothing is built when a service is imported, nor by `bentoml build`.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import cached_property
from math import ceil
from typing import TYPE_CHECKING, Any, ClassVar

import bentoml
import click
from _bentoml_sdk import Service
from anyio.to_thread import run_sync
from starlette.types import ASGIApp

from bentos import outward, tracing
from bentos.bento.front import fronted
from bentos.bento.native import Native
from bentos.process import collect_between, notice_the_end, switch_quickly, tidy
from bentos.promotion.watcher import Watcher
from bentos.serving.rack import Rack
from bentos.serving.slot import Slot
from bentos.settings import Settings, settings
from bentos.web.app import Site
from bentos.web.console.traffic import Traffic
from bentos.web.exposition import share
from bentos.web.logs import log_as_json
from bentos.web.metrics import RECORDED, RECORDING_LOST, called_out
from bentos.web.observing import Metrics
from bentos.web.traced import Traced

if TYPE_CHECKING:
    from bentos.recording.recorder import Recorder

log = logging.getLogger(__name__)

SERVE = ("serve", "serve-http")
TIDY_SECONDS = 1.0
GRACE_SECONDS = 5  # for what comes before and after the reading of an upload


class Built(Service[Any]):  # type: ignore[misc]
    """A BentoML service that is built in each worker, and once where `bentoml serve` begins."""

    __slots__ = ()

    def inject_config(self) -> None:
        """What BentoML calls before it serves, and before it builds a bento."""
        command = click.get_current_context(silent=True)
        if command and command.info_name in SERVE:
            self.build()  # so that what is wrong ends the command, and no worker begins
        super().inject_config()

    def to_asgi(self, is_main: bool = True) -> ASGIApp:
        """What BentoML calls in each worker."""
        tracing.begin(settings().tracing, self.name)  # before batchers are made
        self.inner.site = site = self.build()
        self.mount_asgi_app(site)
        app, tracer = fronted(site, super().to_asgi(is_main)), tracing.tracer()
        return Traced(site, app, tracer) if tracer else app

    def build(self) -> Site:
        """What is served, by the settings of this process.

        Raises ClickException, which ends the command in one line, where it may not be.
        """
        try:
            found = settings()
            found.check_recording()
            tracing.check(found.tracing)
            site: Site = self.inner.build(found)
            for app in site.apps:
                app.guard.check()
        except ValueError as error:
            raise click.ClickException(str(error)) from None
        self.config["workers"] = found.services.workers
        # Models have their own, shorter one; an upload may take longer.
        longest = max(found.services.longest_seconds, found.uploads.seconds + GRACE_SECONDS)
        self.config["traffic"] = {"timeout": ceil(longest)}
        return site


# Of BentoML's own, access log, metrics and tracing halve the throughput; `/metrics` is ours.
OPTIONS: dict[str, Any] = {
    "service_class": Built,
    "logging": {"access": {"enabled": False}},
    "metrics": {"enabled": False},
    "tracing": {"excluded_urls": ".*"},
}


def recorder(found: Settings) -> "Recorder | None":
    """What records calls, if a share of any is to be recorded."""
    if not any(record.share for record in found.recording.models.values()):
        return None
    from bentos.recording.recorder import Recorder  # which brings Arrow

    return Recorder(found, RECORDED.add, RECORDING_LOST.add)


class Served:
    """A BentoML service whose slots follow the registry while it runs."""

    build: ClassVar[Callable[[Settings], Site]]
    site: ClassVar[Site]
    _watcher: Watcher
    _tidying: asyncio.Task[None]
    _traffic: Traffic
    _recorder: "Recorder | None"

    def __init_subclass__(cls, build: Callable[[Settings], Site]) -> None:
        cls.build = staticmethod(build)

    @cached_property
    def native(self) -> Native[Any, Any]:
        """The native door to the first fast route of the app."""
        return Native(self.site.apps[0])

    @bentoml.on_startup
    async def follow(self) -> None:
        """Begin to follow the channels of all slots."""
        log_as_json()
        switch_quickly()
        collect_between()
        self._tidying = asyncio.create_task(_tidy())
        notice_the_end()
        outward.listen(called_out)
        followings = [app.following for app in self.site.apps]
        slots = [slot for following in followings for slot in following.fixed]
        racks = [rack for following in followings for rack in following.racks]
        self._record(slots, racks)
        self._watcher = Watcher(slots, settings(), Metrics(), racks)
        for following in followings:
            following.watcher = self._watcher
            for feed in following.feeds:
                feed.start()
        self._watcher.start()
        parts = [app.part for app in self.site.apps]
        self._traffic = Traffic(settings().home, parts)
        self._traffic.start()
        for part in parts:
            part.traffic = self._traffic
        for app in self.site.apps:
            app.guard.start()
            log.info("%s", app.guard.openness)
            for server in app.servers:
                await server.start()

    def _record(self, slots: Sequence[Slot[Any, Any]], racks: Sequence[Rack[Any, Any]]) -> None:
        """Keep calls that were answered, where that is wanted."""
        self._recorder = recorder(settings())
        if self._recorder:
            self._recorder.start()
            for slot in slots:
                slot.witnesses.add(slot.name, [self._recorder])
            for rack in racks:
                rack.witnesses.append(self._recorder)

    @bentoml.on_shutdown
    async def unfollow(self) -> None:
        """Stop following, once what is asked beside HTTP is answered."""
        servers = [server for app in self.site.apps for server in app.servers]
        await asyncio.gather(*(server.stop() for server in servers))
        self._watcher.stop()
        self._tidying.cancel()
        if self._recorder:
            await run_sync(self._recorder.stop)
        share()
        self._traffic.stop()
        await run_sync(tracing.end)
        for app in self.site.apps:
            for feed in app.following.feeds:
                feed.stop()

    async def __is_ready__(self) -> bool:
        return all(app.following.ready for app in self.site.apps)


async def _tidy() -> None:
    """Collect garbage of all that is no batch, too."""
    while True:
        await asyncio.sleep(TIDY_SECONDS)
        tidy()
