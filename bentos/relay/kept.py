"""What one account may see of the registry, looked at again and again, and told as it changes."""

import asyncio
import logging
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from anyio.to_thread import run_sync

from bentos.promotion.pauses import LONGEST_NEARBY, longest, pause
from bentos.promotion.view import View
from bentos.registry.changes import Changes
from bentos.registry.client import CallFailed, Model, Registry, RegistryUnavailable
from bentos.relay import metrics
from bentos.relay.caller import Caller
from bentos.settings import Settings

log = logging.getLogger(__name__)

IDLE_SECONDS = 60.0  # without anyone who asks; then nobody looks
DENIED = (401, 403)


@dataclass(frozen=True)
class Said:
    """What there is at an entity tag; `base` is the tag that the changes are to, if any."""

    etag: str
    changes: Changes | None
    base: str = ""


class Kept:
    """The models that a caller may see, from `run` to its end."""

    def __init__(self, caller: Caller, uri: str, settings: Settings) -> None:
        self._settings = settings
        self._registry = Registry(uri, settings.registry.timeout_seconds, caller=caller.headers)
        self._view = View(self._registry, [], [""], longest(settings), settings.relay.share)
        self._epoch = secrets.token_hex(8)
        self._generation = 0
        self._models: Mapping[str, Model] = {}
        self._changed_in: dict[str, int] = {}  # which generation changed a name last
        self._begun = self._ended = 0  # looks
        self._failures = 0
        self._trouble: RegistryUnavailable | None = None
        self._looked = asyncio.Condition()
        self._hurry = asyncio.Event()
        self._expired = False
        self._over = False
        self._used = time.monotonic()
        self.waiters = 0

    async def run(self) -> None:
        """Look until nobody asks any more, or MLflow does not let this caller in."""
        try:
            while self.waiters or time.monotonic() - self._used < IDLE_SECONDS:
                await self._look()
                if self._is_denied:
                    return
                seconds = pause(self._settings.registry, self._failures, LONGEST_NEARBY)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._hurry.wait(), seconds)
        finally:
            self._over = True
            self._registry.http.close()
            async with self._looked:
                self._looked.notify_all()

    async def after(self, etag: str, wait: float, fresh: bool) -> Said:
        """What there is once it is not as at `etag`, or after `wait` seconds.

        `fresh`: as of a look that begins now. Raises RegistryUnavailable.
        """
        self.waiters += 1
        self._used = time.monotonic()
        try:
            async with self._looked:
                await self._first_look(fresh)
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await self._looked.wait_for(lambda: self._is_news(etag))
                if self._trouble:
                    raise self._trouble
                if self._over:
                    raise RegistryUnavailable("nobody looks at MLflow any more: ask again")
                return self._said(etag)
        finally:
            self.waiters -= 1
            self._used = time.monotonic()

    async def _first_look(self, fresh: bool) -> None:
        """Wait for a look that begins now if it is to be `fresh`, or else for any good one."""
        target = self._begun + 1 if fresh or self._trouble else 1
        if fresh:
            self._expired = True
            self._hurry.set()
        await self._looked.wait_for(lambda: self._ended >= target or self._over)

    def _is_news(self, etag: str) -> bool:
        return bool(self._trouble) or self._over or self._tag != etag

    @property
    def _tag(self) -> str:
        return f'"{self._epoch}.{self._generation}"'

    @property
    def _is_denied(self) -> bool:
        return isinstance(self._trouble, CallFailed) and self._trouble.status in DENIED

    def _said(self, etag: str) -> Said:
        if etag == self._tag:
            return Said(etag, None)
        epoch, _, since = etag.strip('"').partition(".")
        if epoch != self._epoch or not since.isdecimal():
            return Said(self._tag, Changes(list(self._models.values())))
        names = [name for name, at in self._changed_in.items() if at > int(since)]
        new = [self._models[name] for name in names if name in self._models]
        return Said(
            self._tag, Changes(new, [n for n in names if n not in self._models]), base=etag
        )

    async def _look(self) -> None:
        self._begun += 1
        self._hurry.clear()
        if self._expired:
            self._expired = False
            self._view.expire()
        try:
            models = await run_sync(self._view.look, abandon_on_cancel=True)
        except RegistryUnavailable as error:
            self._fail(error)
        else:
            self._failures, self._trouble = 0, None
            self._see(models)
        metrics.LOOKS.labels("failed" if self._trouble else "well").inc()
        async with self._looked:
            self._ended = self._begun
            self._looked.notify_all()

    def _fail(self, error: RegistryUnavailable) -> None:
        self._failures += 1
        if self._trouble is None:
            log.warning("%s; the replicas serve what they have", error)
        self._trouble = error

    def _see(self, models: Mapping[str, Model]) -> None:
        before, self._models = self._models, models
        if models is before:
            return
        changed = [n for n in models.keys() | before.keys() if models.get(n) is not before.get(n)]
        self._generation += 1
        self._changed_in |= dict.fromkeys(changed, self._generation)
