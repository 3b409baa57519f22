"""How often somebody may do something: a moving window, in each process or in Redis for all.

In a process the counts are its own: with `workers: 4` up to four times as much gets through.
"""

import ipaddress
import logging
import math
import time
from typing import Any

from limits import RateLimitItem, parse_many
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter
from redis.asyncio import ConnectionPool
from redis.exceptions import RedisError
from starlette.types import Scope

from bentos.web.errors import HTTPError
from bentos.web.remote import Outage, options

log = logging.getLogger(__name__)

PREFIX = "ascenso:rates"


class TooMany(HTTPError):
    """Too often; `retry_after` seconds from now it may be tried again."""

    def __init__(self, detail: str, retry_after: int) -> None:
        super().__init__(429, detail, {"retry-after": str(retry_after)})


class Throttle:
    """Counts in Redis, and in the process while that does not answer. Of one event loop."""

    def __init__(self, url: str = "") -> None:
        self._near = MovingWindowRateLimiter(MemoryStorage())
        self._pool = ConnectionPool.from_url(url, **options()) if url else None
        self._far = _far(url, self._pool) if self._pool else None
        self._outage = Outage(log, "rates are counted in each process")

    async def hit(self, rate: RateLimitItem, *who: str) -> None:
        """Count once. Raises TooMany, uncounted, when the rate is reached."""
        if not await self._ask("hit", rate, *who):
            raise await self._too_many(rate, *who)

    async def count(self, rate: RateLimitItem, *who: str) -> None:
        """Count once, up to the rate; for a call that is answered in any case."""
        await self._ask("hit", rate, *who)

    async def check(self, rate: RateLimitItem, *who: str) -> None:
        """Raise TooMany when the rate is reached; count nothing."""
        if not await self._ask("test", rate, *who):
            raise await self._too_many(rate, *who)

    async def close(self) -> None:
        """Let go of the connections."""
        if self._pool:
            await self._pool.disconnect()

    async def _too_many(self, rate: RateLimitItem, *who: str) -> TooMany:
        reset = (await self._ask("get_window_stats", rate, *who)).reset_time
        wait = max(1, math.ceil(reset - time.time()))
        return TooMany(f"{' '.join(who)}: {rate} at most; wait {wait} s", wait)

    async def _ask(self, what: str, rate: RateLimitItem, *who: str) -> Any:
        if self._far and not self._outage.pausing:
            try:
                answer = await getattr(self._far, what)(rate, *who)
            except (RedisError, OSError) as error:
                self._outage.begin(error)
            else:
                self._outage.end()
                return answer
        return await getattr(self._near, what)(rate, *who)


def rate(text: str, setting: str) -> RateLimitItem:
    """A rate as `5/minute` or `100 per 2 hours` says it. Raises ValueError naming the setting."""
    try:
        (item,) = parse_many(text)
    except ValueError:
        raise ValueError(f"{setting} is {text!r}: write a rate such as 5/minute") from None
    return item


def address(scope: Scope) -> str:
    """Where a request comes from; of IPv6 the network, as each caller has 2**64 addresses there.

    It is the socket's, or what a proxy tells that uvicorn trusts (FORWARDED_ALLOW_IPS).
    """
    client = scope.get("client")
    if not client:
        return "unknown"
    try:
        found = ipaddress.ip_address(client[0].partition("%")[0])
    except ValueError:
        return str(client[0])
    if isinstance(found, ipaddress.IPv6Address):
        return str(found.ipv4_mapped or ipaddress.ip_network((found, 64), strict=False))
    return str(found)


def _far(url: str, pool: ConnectionPool) -> MovingWindowRateLimiter:
    made: Any = {"connection_pool": pool}  # limits tells options as texts and numbers only
    storage = RedisStorage(f"async+{url}", implementation="redispy", key_prefix=PREFIX, **made)
    return MovingWindowRateLimiter(storage)
