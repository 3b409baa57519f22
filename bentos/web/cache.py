"""Answers that are given again for the same input of the same version.

They lie in the process, or in Redis for all; nothing but bytes is kept, so nothing is unpickled.
An answer of another version is another key, and so is one from before the last `clear`.
"""

import hashlib
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cashews.backends.memory import Memory
from cashews.backends.redis import Redis
from cashews.exceptions import CacheBackendInteractionError
from cashews.picklers import PicklerType
from cashews.serialize import get_serializer
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from bentos.serving.registry import Version
from bentos.settings import AnswerSettings
from bentos.web.errors import Unavailable
from bentos.web.metrics import CACHE_FAILURES, CACHE_HITS, CACHE_MISSES

log = logging.getLogger(__name__)

PREFIX = "ascenso:answers"
GENERATION = f"{PREFIX}:generation"
TIMEOUT_SECONDS = 0.25
PAUSE_SECONDS = 1.0  # after a failure Redis is left alone, so that few calls wait for it
FAILURES = (CacheBackendInteractionError, RedisError, OSError, ValueError)


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
        self._redis = _redis(url) if url else None
        self._backend = self._redis or Memory(size=settings.entries, check_interval=0)
        self._well = True
        self._again_at = 0.0

    async def key(self, version: Version, content: bytes) -> Key:
        """The place of an answer of `version` to `content`.

        Version numbers begin again when a model is deleted, so the run and digest are in it.
        """
        generation = await self._generation()
        if generation is None:
            return Key(version.name, "")
        told = (version.name, version.version, version.run_id, version.digest)
        hashed = hashlib.sha256(generation + b"\0" + "\0".join(told).encode() + b"\0")
        hashed.update(content)
        return Key(version.name, f"{PREFIX}:{hashed.hexdigest()}")

    async def get(self, key: Key) -> bytes | None:
        """What is kept, or None; a cache that cannot be asked has nothing."""
        kept = await self._ask(self._backend.get, key.place) if key.place else None
        if not isinstance(kept, bytes):
            CACHE_MISSES.labels(key.model).inc()
            return None
        CACHE_HITS.labels(key.model).inc()
        return kept

    async def put(self, key: Key, answer: bytes) -> None:
        """Keep an answer, unless it is too large. Put no errors."""
        if key.place and len(answer) <= self._settings.value_bytes:
            await self._ask(self._backend.set, key.place, answer, self._settings.seconds)

    async def clear(self) -> None:
        """Forget all answers: of all workers of this machine, or of all that share the Redis.

        Raises Unavailable when they cannot be told.
        """
        if self._redis:
            if not await self._ask(self._redis.set, GENERATION, secrets.token_bytes(8)):
                raise Unavailable("The cache cannot be cleared: Redis does not answer")
            return
        await self._backend.clear()
        try:
            _renew(self._cleared)
        except OSError as error:
            raise Unavailable(f"The other workers' caches cannot be cleared: {error}") from None

    async def close(self) -> None:
        """Let go of the connections."""
        if self._redis:
            await self._redis.close()  # type: ignore[no-untyped-call]

    async def _generation(self) -> bytes | None:
        """What changes with every `clear`; None when Redis cannot tell."""
        if not self._redis:
            return _stamp(self._cleared)
        known = await self._ask(self._redis.get, GENERATION)
        if known is None:  # none yet, or evicted: what was kept under it must not come back
            await self._ask(self._redis.set, GENERATION, secrets.token_bytes(8), None, False)
            known = await self._ask(self._redis.get, GENERATION)
        return known if isinstance(known, bytes) else None

    async def _ask(self, command: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
        """What the backend answers; None while it cannot be asked."""
        if time.monotonic() < self._again_at:
            return None
        try:
            if not self._backend.is_init:
                await self._backend.init()
            answer = await command(*arguments)
        except FAILURES as error:
            self._fail(error)
            return None
        if not self._well:
            log.info("the cache answers again")
        self._well = True
        return answer

    def _fail(self, error: Exception) -> None:
        CACHE_FAILURES.inc()
        self._again_at = time.monotonic() + PAUSE_SECONDS
        if self._well:
            log.warning("the cache cannot be asked, calls go on without: %s", cause(error))
        self._well = False


def cause(error: BaseException) -> str:
    """What happened first, told by its type where it says nothing."""
    while error.__cause__:
        error = error.__cause__
    return str(error) or type(error).__name__


def _redis(url: str) -> Redis:
    return Redis(
        url,
        suppress=False,
        serializer=get_serializer(pickle_type=PicklerType.NULL, check_repr=False),
        client_name="ascenso",
        retry=Retry(NoBackoff(), 0),  # redis-py's own waits for seconds
        socket_timeout=TIMEOUT_SECONDS,
        socket_connect_timeout=TIMEOUT_SECONDS,
        wait_for_connection_timeout=TIMEOUT_SECONDS,
    )


def _stamp(file: Path) -> bytes:
    """What `_renew` changes: a few bytes, read in microseconds."""
    try:
        found = file.stat()
    except OSError:
        return b""
    return b"%d.%d" % (found.st_mtime_ns, found.st_ino)


def _renew(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(f".{secrets.token_hex(8)}")
    draft.touch()
    draft.replace(file)
