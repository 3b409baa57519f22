"""Files of versions, fetched once from MLflow and kept on disk as long as there is room.

A file is kept by its place, which MLflow makes anew for each run and each logged model. Whoever
gets it checks its digest as ever; where that is wrong, it asks past what is kept.
"""

import asyncio
import logging
import shutil
from itertools import count
from pathlib import Path

import httpx

from bentos.relay import metrics
from bentos.relay.caller import Caller
from bentos.relay.download import CHUNK, BrokenOff, Download
from bentos.relay.upstream import Upstream

log = logging.getLogger(__name__)


class Files:
    """Files by the path that MLflow is asked for; those used longest ago go first.

    What an earlier process left in `folder` is removed: nobody knows where it was from.
    """

    def __init__(self, upstream: Upstream, folder: Path, most_bytes: int) -> None:
        self._upstream = upstream
        self._folder = folder
        self._most = most_bytes
        self._kept: dict[bytes, Download] = {}  # used longest ago first
        self._tasks: set[asyncio.Task[None]] = set()
        self._numbers = count()
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)

    async def get(self, target: bytes, caller: Caller, fresh: bool) -> Download | None:
        """A file, `fresh` from MLflow or kept; None where MLflow does not give it."""
        held = self._kept.get(target)
        if held and (held.failed or (fresh and held.digest)):
            self._drop(target)
            held = None
        metrics.FILES.labels("kept" if held else "fetched").inc()
        made = held or self._begun(target, caller)
        self._kept.pop(target, None)
        self._kept[target] = made
        return made if await asyncio.shield(made.begun) else None

    def forget(self, target: bytes) -> None:
        """Drop what is at a path, or below it: it was changed."""
        for path in [p for p in self._kept if p == target or p.startswith(target + b"/")]:
            self._drop(path)

    async def stop(self) -> None:
        """End what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begun(self, target: bytes, caller: Caller) -> Download:
        made = Download(self._folder / str(next(self._numbers)))
        task = asyncio.create_task(self._fetch(target, caller, made))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return made

    async def _fetch(self, target: bytes, caller: Caller, made: Download) -> None:
        try:
            answer = await self._upstream.send("GET", target, caller.headers)
            try:
                if answer.status_code == httpx.codes.OK:
                    made.length = _length(answer)
                    await made.fill(answer.aiter_bytes(CHUNK))
            finally:
                await answer.aclose()
        except (httpx.HTTPError, OSError, BrokenOff) as error:
            log.warning("%s did not come whole: %r", target.decode("latin-1"), error)
        finally:
            made.failed = not made.digest
            if not made.begun.done():
                made.begun.set_result(False)
            if made.failed and self._kept.get(target) is made:
                self._drop(target)
            self._make_room()

    def _make_room(self) -> None:
        sizes = {path: held.size for path, held in self._kept.items()}
        used = sum(sizes.values())
        for path, held in list(self._kept.items()):
            if used > self._most and held.digest:
                used -= sizes[path]
                self._drop(path)
        metrics.KEPT.set(used)

    def _drop(self, target: bytes) -> None:
        self._kept.pop(target).path.unlink(missing_ok=True)


def _length(answer: httpx.Response) -> int | None:
    told = answer.headers.get("content-length", "")
    return int(told) if told.isdecimal() and "content-encoding" not in answer.headers else None
