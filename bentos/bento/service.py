"""What every BentoML service shares: its quiet configuration, slots, start and readiness."""

import logging
import sys
from collections.abc import Sequence
from typing import Any, ClassVar, cast

import bentoml
import click
from _bentoml_sdk import Service
from starlette.types import ASGIApp

from bentos.promotion.watcher import Watcher
from bentos.serving.batching import Answer, Row, Run
from bentos.serving.rack import Rack
from bentos.serving.release import Contract
from bentos.serving.slot import Slot
from bentos.serving.table import Table
from bentos.settings import settings
from bentos.web.app import App
from bentos.web.logs import log_as_json
from bentos.web.metrics import Metrics

log = logging.getLogger(__name__)

# A call takes the interpreter's lock several times, and while a version is loaded in another
# thread each time takes this long: of Python's own 5 ms a promotion would make a quarter second.
SWITCH_SECONDS = 0.0001


class Checked(Service[Any]):  # type: ignore[misc]
    """A BentoML service that serves only where its apps may; it is built anywhere."""

    __slots__ = ()

    def inject_config(self) -> None:
        """What BentoML calls before it serves, and before it builds."""
        command = click.get_current_context(silent=True)
        if command and command.info_name == "serve":
            self.check()
        super().inject_config()

    def to_asgi(self, is_main: bool = True) -> ASGIApp:
        """What BentoML calls in each worker."""
        self.check()
        return cast("ASGIApp", super().to_asgi(is_main))

    def check(self) -> None:
        """Raise ClickException, which ends the command in one line, where an app may not serve."""
        for app in self.inner.apps:
            try:
                app.check()
            except ValueError as error:
                raise click.ClickException(str(error)) from None


def quiet() -> dict[str, Any]:
    """The options of `@bentoml.service`, with what costs most per request turned off.

    Access log, metrics and tracing of BentoML halve the throughput; `/metrics` is ours.
    """
    return {
        "service_class": Checked,
        "workers": settings().services.workers,
        "logging": {"access": {"enabled": False}},
        "metrics": {"enabled": False},
        "tracing": {"excluded_urls": ".*"},
        # Hot has its own, shorter timeout; this one keeps a timer for each past request.
        "traffic": {"timeout": settings().services.request_timeout_seconds + 5},
    }


def tracked(model: str, contract: Contract, run: Run[Row, Answer]) -> Slot[Row, Answer]:
    """The slot of a registered model: its channel and limits are those of the settings."""
    return Slot(model, contract, run, settings().channel(model), settings().limits, Metrics(model))


def racked(prefix: str, run: Run[Row, Answer]) -> Rack[Row, Answer]:
    """The slots of every registered model of a prefix, whatever its signature."""

    def make(model: str) -> Slot[Row, Answer]:
        channel, limits = settings().channel(model), settings().limits
        return Slot(model, Contract(None, None), run, channel, limits, Metrics(), vacates=True)

    return Rack(prefix, make)


def tabled(run: Run[dict[str, Any], dict[str, Any]]) -> Rack[dict[str, Any], dict[str, Any]]:
    """The slots of every registered model that has no service of its own."""

    def make(model: str) -> Slot[dict[str, Any], dict[str, Any]]:
        contract = Contract(None, None, by_schema=True)
        channel, limits = settings().channel(model), settings().limits
        return Slot(
            model, contract, run, channel, limits, Metrics(), vacates=True, join=Table.join
        )

    return Rack(settings().models.prefix, make, settings().models.exclude)


class Served:
    """A BentoML service whose slots follow the registry while it runs."""

    apps: ClassVar[Sequence[App]] = ()
    _watcher: Watcher

    @bentoml.on_startup
    def follow(self) -> None:
        """Begin to follow the channels of all slots."""
        log_as_json()
        sys.setswitchinterval(SWITCH_SECONDS)
        slots = [slot for app in self.apps for slot in app.fixed]
        racks = [rack for app in self.apps for rack in app.racks]
        self._watcher = Watcher(slots, settings(), Metrics(), racks)
        for app in self.apps:
            app.watcher = self._watcher
            for feed in app.feeds:
                feed.start()
        self._watcher.start()
        for app in self.apps:
            log.info("%s", app.openness)

    @bentoml.on_shutdown
    def unfollow(self) -> None:
        """Stop following."""
        self._watcher.stop()
        for app in self.apps:
            for feed in app.feeds:
                feed.stop()

    async def __is_ready__(self) -> bool:
        return all(app.ready for app in self.apps)
