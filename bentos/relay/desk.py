"""The search for all models that waits for a change: a look for all callers of one account."""

import asyncio
import logging
import re

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from bentos.registry.changes import FORMAT, IM_USED, WAIT
from bentos.registry.client import CallFailed, RegistryUnavailable
from bentos.relay import metrics
from bentos.relay.caller import Caller
from bentos.relay.kept import DENIED, Kept, Said
from bentos.relay.upstream import refusal
from bentos.settings import Settings

log = logging.getLogger(__name__)

MOST_ACCOUNTS = 64
MOST_SECONDS = 30.0
NO_CACHE = re.compile(r"\bno-cache\b", re.I)


def wants_fresh(request: Request) -> bool:
    """Whether a caller wants nothing that was kept."""
    return bool(NO_CACHE.search(request.headers.get("cache-control", "")))


class Desk:
    """Answers those who wait, from one look for each account."""

    def __init__(self, uri: str, settings: Settings) -> None:
        self._uri = uri
        self._settings = settings
        self._kept: dict[Caller, Kept] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def takes(self, request: Request) -> bool:
        """Whether it answers a request: a search that waits, of an account that it takes."""
        waits = WAIT.search(request.headers.get("prefer", ""))
        known = Caller.of(request) in self._kept or len(self._kept) < MOST_ACCOUNTS
        return bool(waits and FORMAT in request.headers.get("a-im", "") and known)

    async def answer(self, request: Request) -> Response:
        """Every model, those that changed, or that none did."""
        found = WAIT.search(request.headers.get("prefer", ""))
        wait = min(float(found[1]), MOST_SECONDS) if found else 0.0
        kept = self._of(Caller.of(request))
        metrics.WAITERS.inc()
        try:
            etag = request.headers.get("if-none-match", "")
            said = await kept.after(etag, wait, wants_fresh(request))
        except RegistryUnavailable as error:
            denied = isinstance(error, CallFailed) and error.status in DENIED
            status = error.status if isinstance(error, CallFailed) and denied else 502
            return refusal(status, str(error))
        finally:
            metrics.WAITERS.dec()
        return _response(said)

    async def stop(self) -> None:
        """End all looks; who waits is told to ask again."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _of(self, caller: Caller) -> Kept:
        if caller not in self._kept:
            self._kept[caller] = kept = Kept(caller, self._uri, self._settings)
            task = asyncio.create_task(self._run(caller, kept))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return self._kept[caller]

    async def _run(self, caller: Caller, kept: Kept) -> None:
        try:
            await kept.run()
        except Exception:
            log.exception("the looks of an account broke off")
        finally:
            del self._kept[caller]


def _response(said: Said) -> Response:
    headers = {"etag": said.etag, "cache-control": "private, no-store", "vary": "authorization"}
    if said.changes is None:
        return Response(status_code=304, headers=headers)
    if said.base:
        headers |= {"im": FORMAT, "delta-base": said.base}
    body = msgspec.json.encode(said.changes)
    metrics.BYTES.labels("models").inc(len(body))
    status = IM_USED if said.base else 200
    return Response(body, status, headers, "application/json")
