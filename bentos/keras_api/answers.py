"""Answers that are given again for the same input of the same version.

They lie in the process, or in Redis for all; nothing but bytes is kept, so nothing is unpickled.
An answer of another version is another key, and so is one from before the last `clear`.
"""

import hashlib
import logging
import math
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cachetools import TTLCache
from redis.asyncio import Redis
from redis.exceptions import RedisError

from bentos.files import written
from bentos.registry.client import Version
from bentos.settings import AnswerSettings
from bentos.web.errors import Unavailable
from bentos.web.metrics import CACHE_FAILURES, CACHE_HITS, CACHE_MISSES
from bentos.web.remote import Outage, options

log = logging.getLogger(__name__)

PREFIX = "ascenso:answers"
GENERATION = f"{PREFIX}:generation"
MARK = b"answer:"  # before each answer in Redis: what others put there is none


@dataclass(frozen=True)
class Key:
    """Where an answer lies; `place` is empty while the cache cannot be asked."""

    model: str
    place: str


class Answers:
    """Keeps answers, bounded in number, size and age. Of one event loop.

    Ask with the release that is live, and put under the one that answered:

        key = await answers.key(live.version, content)
        kept = await answers.get(key)
        ...
        if answered.release is live:
            await answers.put(key, body)
    """

    def __init__(self, settings: AnswerSettings, home: Path) -> None:
        self._settings = settings
        self._cleared = home / "answers.cleared"
        url = settings.url.get_secret_value()
        self._redis = Redis.from_url(url, client_name="ascenso", **options()) if url else None
        self._kept: TTLCache[str, bytes] = TTLCache(settings.entries, settings.seconds)
        self._outage = Outage(log, "calls go on without kept answers")

    async def key(self, version: Version, content: bytes) -> Key:
        """The place of an answer of `version` to `content`.

        Version numbers begin again when a model is deleted, so the run and digest are in it.
        """
        generation = await self._generation()
        if generation is None:
            return Key(version.name, "")
        identity = (version.name, version.version, version.run_id, version.digest)
        hashed = hashlib.sha256(generation + b"\0" + "\0".join(identity).encode() + b"\0")
        hashed.update(content)
        return Key(version.name, f"{PREFIX}:{hashed.hexdigest()}")

    async def get(self, key: Key) -> bytes | None:
        """What is kept, or None; a cache that cannot be asked has nothing."""
        kept = await self._get(key.place) if key.place else None
        if kept is None:
            CACHE_MISSES.labels(key.model).inc()
            return None
        CACHE_HITS.labels(key.model).inc()
        return kept

    async def put(self, key: Key, answer: bytes) -> None:
        """Keep an answer, unless it is too large. Put no errors."""
        if not key.place or len(answer) > self._settings.value_bytes:
            return
        if self._redis:
            milliseconds = math.ceil(1000 * self._settings.seconds)
            await self._ask(self._redis.psetex, key.place, milliseconds, MARK + answer)
        else:
            self._kept[key.place] = answer

    async def clear(self) -> None:
        """Forget all answers: of all workers of this machine, or of all that share the Redis.

        Raises Unavailable when others would not know.
        """
        if self._redis:
            if not await self._ask(self._redis.set, GENERATION, secrets.token_bytes(8)):
                raise Unavailable("The cache cannot be cleared: Redis does not answer")
            return
        self._kept.clear()
        try:
            with written(self._cleared):
                pass  # another file of that name: what `_stamp` looks at
        except OSError as error:
            raise Unavailable(f"The other workers' caches cannot be cleared: {error}") from None

    async def close(self) -> None:
        """Let go of the connections."""
        if self._redis:
            await self._redis.aclose()

    async def _get(self, place: str) -> bytes | None:
        if not self._redis:
            return self._kept.get(place)
        found = await self._ask(self._redis.get, place)
        is_ours = isinstance(found, bytes) and found.startswith(MARK)
        return found.removeprefix(MARK) if is_ours else None

    async def _generation(self) -> bytes | None:
        """What changes with every `clear`; None when Redis cannot tell."""
        if not self._redis:
            return _stamp(self._cleared)
        known = await self._ask(self._redis.get, GENERATION)
        if known is None:  # none yet, or evicted: what was kept under it must not come back
            await self._ask(self._redis.setnx, GENERATION, secrets.token_bytes(8))
            known = await self._ask(self._redis.get, GENERATION)
        return known if isinstance(known, bytes) else None

    async def _ask(self, command: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
        """What Redis answers; None while it cannot be asked."""
        if self._outage.pausing:
            return None
        try:
            answer = await command(*arguments)
        except (RedisError, OSError) as error:
            CACHE_FAILURES.inc()
            self._outage.begin(error)
            return None
        self._outage.end()
        return answer


def _stamp(file: Path) -> bytes:
    """What tells one file of a name from the next: a few bytes, read in microseconds."""
    try:
        found = file.stat()
    except OSError:
        return b""
    return b"%d.%d" % (found.st_mtime_ns, found.st_ino)
