"""Questions that many replicas ask at one moment: MLflow answers one of them for all.

Those whose answer stays as it is: where a version lies, and what lies there. No answer is kept.
"""

import asyncio
from dataclasses import dataclass

import httpx

from bentos.relay.caller import Caller
from bentos.relay.upstream import Upstream


@dataclass(frozen=True)
class Found:
    """A good answer."""

    content: bytes
    kind: str


class Shared:
    """Answers that are under way, each by who asks and for what."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._asked: dict[tuple[Caller, bytes], asyncio.Task[Found | None]] = {}

    async def get(self, caller: Caller, target: bytes) -> Found | None:
        """What MLflow answers to a caller; None where it is no 200."""
        key = caller, target
        if key not in self._asked:
            self._asked[key] = task = asyncio.create_task(self._ask(caller, target))
            task.add_done_callback(lambda _: self._asked.pop(key, None))
        return await asyncio.shield(self._asked[key])

    async def _ask(self, caller: Caller, target: bytes) -> Found | None:
        try:
            answer = await self._upstream.send("GET", target, caller.headers)
            try:
                content = await answer.aread()
            finally:
                await answer.aclose()
        except httpx.HTTPError:
            return None
        kind = answer.headers.get("content-type", "application/json")
        return Found(content, kind) if answer.status_code == httpx.codes.OK else None
