import asyncio
import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY
from pydantic import SecretStr
from redis import Redis

from bentos.keras_api.answers import Answers
from bentos.registry.client import DIGEST_TAG, Tag, Version
from bentos.settings import AnswerSettings
from bentos.web.errors import Unavailable
from bentos.web.remote import PAUSE_SECONDS
from tests.stack import free_ports, until
from tests.web.redis_server import redis_server

ONE = Version("keras-cached", "1", run_id="a" * 32)
INPUT, ANSWER = b"[[1.0, 2.0]]", b'{"predictions": [[42.57]]}'


@asynccontextmanager
async def opened(home: Path, url: str = "", **limits: float) -> AsyncIterator[Answers]:
    answers = Answers(AnswerSettings(url=SecretStr(url), **limits), home)  # type: ignore[arg-type]
    try:
        yield answers
    finally:
        await answers.close()


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 240))


async def kept(answers: Answers, version: Version = ONE, content: bytes = INPUT) -> bytes | None:
    return await answers.get(await answers.key(version, content))


async def put(answers: Answers, content: bytes = INPUT, answer: bytes = ANSWER) -> None:
    await answers.put(await answers.key(ONE, content), answer)


def count(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"ascenso_cache_{name}_total", labels) or 0


@pytest.mark.parametrize("answer", [ANSWER, b"12345", b"", b"bytes:1", bytes(range(256))])
def test_gives_back_the_very_bytes(tmp_path: Path, url: str, answer: bytes) -> None:
    async def test() -> None:
        async with opened(tmp_path, url) as answers:
            assert await kept(answers) is None
            await put(answers, answer=answer)
            assert await kept(answers) == answer
            assert await kept(answers, content=b"[[1.0, 2.5]]") is None

    run(test())


@pytest.mark.parametrize(
    "other",
    [
        Version("keras-other", "1", run_id="a" * 32),
        Version("keras-cached", "2", run_id="a" * 32),
        Version("keras-cached", "1", run_id="b" * 32),
        Version("keras-cached", "1", run_id="a" * 32, tags=(Tag(DIGEST_TAG, "sha256:0"),)),
    ],
    ids=["model", "version", "run", "digest"],
)
def test_another_version_has_other_answers(tmp_path: Path, url: str, other: Version) -> None:
    async def test() -> None:
        async with opened(tmp_path, url) as answers:
            await put(answers)
            assert await kept(answers, other) is None

    run(test())


def test_counts_hits_and_misses_by_model(tmp_path: Path, url: str) -> None:
    async def test() -> None:
        async with opened(tmp_path, url) as answers:
            before = [count(what, model="keras-cached") for what in ("hits", "misses")]
            await kept(answers)
            await put(answers)
            await kept(answers)
            await kept(answers)
            now = [count(what, model="keras-cached") for what in ("hits", "misses")]
            assert [a - b for a, b in zip(now, before, strict=True)] == [2, 1]

    run(test())


def test_keeps_the_latest_asked_only(tmp_path: Path) -> None:
    async def test() -> None:
        async with opened(tmp_path, entries=3) as answers:
            for content in (b"a", b"b", b"c"):
                await put(answers, content)
            assert await kept(answers, content=b"a")
            await put(answers, b"d")
            assert [await kept(answers, content=c) for c in (b"a", b"b", b"c", b"d")] == [
                ANSWER,
                None,
                ANSWER,
                ANSWER,
            ]

    run(test())


def test_keeps_no_large_answer(tmp_path: Path, url: str) -> None:
    async def test() -> None:
        async with opened(tmp_path, url, value_bytes=len(ANSWER)) as answers:
            await put(answers, b"small")
            await put(answers, b"large", ANSWER + b" ")
            assert await kept(answers, content=b"small") == ANSWER
            assert await kept(answers, content=b"large") is None

    run(test())


def test_an_answer_grows_old(tmp_path: Path, url: str) -> None:
    async def test() -> None:
        async def gone() -> bool:
            return await kept(answers) is None

        async with opened(tmp_path, url, seconds=0.5) as answers:
            began = asyncio.get_running_loop().time()
            await put(answers)
            await until(gone)
            assert asyncio.get_running_loop().time() - began > 0.45  # Redis has its own clock

    run(test())


def test_clear_reaches_the_other_workers(tmp_path: Path, url: str) -> None:
    async def test() -> None:
        async with opened(tmp_path, url) as mine, opened(tmp_path, url) as others:
            for answers in (mine, others):
                await put(answers)
                assert await kept(answers) == ANSWER
            begun = await others.key(ONE, b"begun before")
            await mine.clear()
            await others.put(begun, ANSWER)
            for answers in (mine, others):
                assert await kept(answers) is None
                assert await kept(answers, content=b"begun before") is None
            for answers in (mine, others):
                await put(answers)
                assert await kept(answers) == ANSWER

    run(test())


def test_clear_reaches_another_process(tmp_path: Path) -> None:
    code = (
        "import asyncio, sys, pathlib; from bentos.settings import AnswerSettings; "
        "from bentos.keras_api.answers import Answers; "
        "asyncio.run(Answers(AnswerSettings(), pathlib.Path(sys.argv[1])).clear())"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]

    async def test() -> None:
        async with opened(tmp_path) as answers:
            await put(answers)
            await asyncio.to_thread(subprocess.run, command, check=True, timeout=120)
            assert await kept(answers) is None

    run(test())


def test_workers_share_a_redis(tmp_path: Path, redis: str) -> None:
    async def test() -> None:
        async with opened(tmp_path / "a", redis) as one, opened(tmp_path / "b", redis) as other:
            await put(one)
            assert await kept(other) == ANSWER

    run(test())


def test_a_generation_that_redis_evicted_does_not_come_back(tmp_path: Path, redis: str) -> None:
    async def test() -> None:
        async with opened(tmp_path, redis) as answers:
            await put(answers)
            with Redis.from_url(redis) as client:
                client.delete("ascenso:answers:generation")
            assert await kept(answers) is None

    run(test())


def test_what_others_put_into_redis_is_no_answer(tmp_path: Path, redis: str) -> None:
    exploit = b"cos\nsystem\n(S'exit 1'\ntR."  # what a pickle would run

    async def test() -> None:
        async with opened(tmp_path, redis) as answers:
            key = await answers.key(ONE, INPUT)
            with Redis.from_url(redis) as client:
                for forged in (exploit, b"StreamingResponse:x", b"12", b"\xff", b""):
                    client.set(key.place, forged)
                    assert await answers.get(key) is None

    run(test())


def test_a_redis_that_is_down_fails_no_call(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "bentos")
    (port,) = free_ports(1)

    async def test() -> None:
        async with opened(tmp_path, f"redis://127.0.0.1:{port}/0") as answers:
            failures = count("failures")
            began = asyncio.get_running_loop().time()
            for _ in range(20):
                await put(answers)
                assert await kept(answers) is None
            pauses = (asyncio.get_running_loop().time() - began) / PAUSE_SECONDS
            assert 1 <= count("failures") - failures <= 1 + pauses
            with pytest.raises(Unavailable, match="Redis does not answer"):
                await answers.clear()

            async def back() -> bool:
                await put(answers)
                return await kept(answers) is not None

            with redis_server(tmp_path, port):
                await until(back)

    run(test())
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert f"connecting to 127.0.0.1:{port}" in caplog.records[0].getMessage()


def test_a_clear_that_others_cannot_see_is_reported(tmp_path: Path) -> None:
    async def test() -> None:
        (tmp_path / "file").touch()
        async with opened(tmp_path / "file") as answers:
            with pytest.raises(Unavailable, match="other workers"):
                await answers.clear()

    run(test())
