import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from bentos.web.auth.throttle import Throttle, TooMany, address, rate
from tests.stack import free_ports, until

THREE = rate("3/minute", "test")
ANA = ("Calls of", "ana")


@asynccontextmanager
async def opened(url: str = "") -> AsyncIterator[Throttle]:
    throttle = Throttle(url)
    try:
        yield throttle
    finally:
        await throttle.close()


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 120))


def test_lets_so_many_through(url: str) -> None:
    async def test() -> None:
        async with opened(url) as throttle:
            for who in (("Calls of", "eva"), ("Calls of", "ines")):
                began = asyncio.get_running_loop().time()
                hits = [throttle.hit(THREE, *who) for _ in range(10)]
                outcomes = await asyncio.gather(*hits, return_exceptions=True)
                assert outcomes.count(None) == 3
                refused = [outcome for outcome in outcomes if isinstance(outcome, TooMany)]
                assert len(refused) == 7
                took = asyncio.get_running_loop().time() - began
                assert 59 - took <= int(refused[0].headers["retry-after"]) <= 60
                assert str(refused[0].detail).startswith(f"Calls of {who[1]}: 3 per 1 minute at")

    run(test())


def test_the_window_moves(url: str) -> None:
    two = rate("2/second", "test")

    async def test() -> None:
        async with opened(url) as throttle:
            loop = asyncio.get_running_loop()
            passed: list[tuple[float, float]] = []  # before and after

            async def passes() -> bool:
                before = loop.time()
                if len(passed) == 1 and before < passed[0][1] + 0.7:
                    return False  # so that windows that do not move let three through at once
                with suppress(TooMany):
                    await throttle.hit(two, "Calls of", "moving")
                    passed.append((before, loop.time()))
                return len(passed) == 6

            await until(passes)
            pairs = zip(passed, passed[2:], strict=False)
            assert min(later - earlier for (earlier, _), (_, later) in pairs) > 0.9

    run(test())


def test_a_check_counts_nothing(url: str) -> None:
    async def test() -> None:
        async with opened(url) as throttle:
            who = ("Calls of", "checked")
            for _ in range(5):
                await throttle.check(THREE, *who)
            for _ in range(5):
                await throttle.count(THREE, *who)
            with pytest.raises(TooMany):
                await throttle.check(THREE, *who)

    run(test())


def test_workers_count_together_in_redis(redis: str) -> None:
    async def test() -> None:
        async with opened(redis) as one, opened(redis) as other:
            for throttle in (one, other, one):
                await throttle.hit(THREE, "Calls of", "shared")
            with pytest.raises(TooMany):
                await other.hit(THREE, "Calls of", "shared")

    run(test())


def test_a_redis_that_is_down_leaves_each_process_its_count(
    caplog: pytest.LogCaptureFixture,
) -> None:
    (port,) = free_ports(1)

    async def test() -> None:
        async with opened(f"redis://127.0.0.1:{port}/0") as throttle:
            hits = [throttle.hit(THREE, *ANA) for _ in range(10)]
            outcomes = await asyncio.gather(*hits, return_exceptions=True)
            assert outcomes.count(None) == 3
            assert sum(isinstance(outcome, TooMany) for outcome in outcomes) == 7

    run(test())
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "counted in each process" in record.getMessage()


@pytest.mark.parametrize("text", ["5", "many", "5/fortnight", "-1/minute"])
def test_a_wrong_rate_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=f"security.login_rate is '{text}': write a rate such as"):
        rate(text, "security.login_rate")


@pytest.mark.parametrize(
    ("client", "expected"),
    [
        (("10.1.2.3", 4000), "10.1.2.3"),
        (("2001:db8:1:2:3:4:5:6", 4000), "2001:db8:1:2::/64"),
        (("2001:db8:1:2::9", 4000), "2001:db8:1:2::/64"),
        (("fe80::1%eth0", 4000), "fe80::/64"),
        (("::ffff:10.1.2.3", 4000), "10.1.2.3"),
        (("testclient", 0), "testclient"),
        (None, "unknown"),
    ],
)
def test_the_address_of_a_request(client: tuple[str, int] | None, expected: str) -> None:
    assert address({"type": "http", "client": client}) == expected
