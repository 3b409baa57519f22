import asyncio
import os
import random
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from deploy.local import log, orphans, supervisor
from deploy.local.servers import Server
from deploy.local.supervisor import Deaths, Supervisor
from tests.itransformer.bench import ended
from tests.stack import marked, until

STAYS = "import time; print('up', flush=True); time.sleep(600)"
LEAVES_A_CHILD = f"""
import subprocess, sys
subprocess.Popen([sys.executable, "-c", {STAYS!r}], start_new_session=True)
{STAYS}
"""
TELLS_ITS_END = f"""
import signal, sys, time
def end(*_):
    print(time.monotonic(), flush=True)
    sys.exit()
signal.signal(signal.SIGTERM, end)
{STAYS}
"""
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {STAYS}"


def python(home: Path, name: str, code: str = STAYS) -> Server:
    env = dict(os.environ) | orphans.mark(home, name)
    return Server(name, (sys.executable, "-c", code), env, home / f"{name}.log", "")


def family(home: Path, name: str, size: int = 1) -> Callable[[], list[psutil.Process]]:
    """Its processes, parents first, once there are so many and each of them is up."""

    def found() -> list[psutil.Process]:
        processes = marked(f"{home}:{name}")
        said = (home / f"{name}.log").read_text().count("up")
        return processes if len(processes) == size and said >= size else []

    return found


async def kill(home: Path, name: str) -> None:
    """Kill it once it is there, and wait until it is no more."""
    await until(lambda: marked(f"{home}:{name}"))
    process = marked(f"{home}:{name}")[0]
    process.kill()
    await until(lambda: ended(process))


@asynccontextmanager
async def supervised(home: Path, servers: Sequence[Server]) -> AsyncIterator[Supervisor]:
    keeper = Supervisor(home)
    try:
        for server in servers:
            await keeper.launch(server)
        yield keeper
    finally:
        await keeper.shut_down()


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "LONGEST_WAIT", 0.05)


def test_waits_grow() -> None:
    deaths = Deaths()
    began = time.monotonic()
    assert [deaths.add(lived=1) for _ in range(8)] == [0, 1, 2, 4, 8, 16, 30, 30]
    assert began + 30 <= deaths.again_at <= time.monotonic() + 30


def test_one_that_lived_long_starts_again_at_once() -> None:
    deaths = Deaths()
    for _ in range(5):
        deaths.add(lived=1)
    assert deaths.often
    assert deaths.add(lived=61) == 0
    assert not deaths.often


def test_one_that_stays_up_since_is_not_failing(monkeypatch: pytest.MonkeyPatch) -> None:
    deaths = Deaths()
    for _ in range(5):
        deaths.add(lived=1)
    monkeypatch.setattr(supervisor, "STEADY_SECONDS", -10.0)  # a minute after its last start
    assert not deaths.often


@pytest.mark.usefixtures("hurried")
def test_all_come_back_however_often_they_are_killed(tmp_path: Path) -> None:
    async def go() -> None:
        async with supervised(tmp_path, [python(tmp_path, name, code) for name in names]):
            for _ in range(60):
                await until(lambda: len(found := orphans.of(tmp_path)) > 1 and kill_one(found))
            await until(lambda: all(marked(f"{tmp_path}:{name}") for name in names))

    def kill_one(found: list[psutil.Process]) -> bool:
        with suppress(psutil.NoSuchProcess):  # ended with another one since
            order.choice(found).kill()
            return True
        return False

    names = ["s3", "mlflow", "services"]
    order = random.Random(7)
    code = LEAVES_A_CHILD  # which holds what its parent wrote into
    asyncio.run(go())


def test_after_a_steady_minute_the_next_start_is_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def go() -> None:
        async with supervised(tmp_path, [python(tmp_path, "s3")]) as keeper:
            for seconds in (60.0, 60.0, 0.0):  # the third has lived for a minute
                await until(family(tmp_path, "s3"))
                monkeypatch.setattr(supervisor, "STEADY_SECONDS", seconds)
                await kill(tmp_path, "s3")
            await until(family(tmp_path, "s3"))
            assert not keeper.failing()

    asyncio.run(go())
    first, second, third = capsys.readouterr().out.splitlines()
    assert first == third == "s3 ended (signal 9); starting it again"
    assert second == "s3 ended (signal 9); starting it again in 1 s"


def test_what_a_dead_parent_left_is_ended_before_the_next_start(
    tmp_path: Path,
) -> None:
    async def go() -> None:
        server = replace(python(tmp_path, "mlflow", LEAVES_A_CHILD), niceness=7)
        async with supervised(tmp_path, [server]):
            await until(found := family(tmp_path, "mlflow", 2))
            parent, child = found()
            assert parent.nice() == child.nice() == 7
            parent.kill()
            await until(lambda: ended(child))
            await until(found)
            assert not {parent, child} & set(found())

    asyncio.run(go())


def test_a_stop_ends_the_last_one_first_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "STOP_SECONDS", 0.2)
    names = ["s3", "mlflow", "services"]

    async def go() -> None:
        servers = [python(tmp_path, name, TELLS_ITS_END) for name in names]
        async with supervised(tmp_path, [*servers, python(tmp_path, "deaf", DEAF)]):
            for name in (*names, "deaf"):
                await until(family(tmp_path, name))

    asyncio.run(go())
    times = [float((tmp_path / f"{name}.log").read_text().split()[-1]) for name in names]
    assert times == sorted(times, reverse=True)
    assert not orphans.of(tmp_path)


@pytest.mark.usefixtures("hurried")
def test_one_that_cannot_start_is_failing_and_its_log_tells_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = Server("s3", (str(tmp_path / "none"),), {}, tmp_path / "s3.log", "")

    async def go() -> None:
        async with supervised(tmp_path, [nothing]) as keeper:
            await until(lambda: keeper.failing() == [nothing])

    for tie in (orphans._tie(), ()):
        monkeypatch.setattr(orphans, "_tie", lambda tie=tie: tie)
        asyncio.run(go())
    assert (tmp_path / "s3.log").read_text().count("No such file or directory") >= 6


def test_logs_are_turned_over_and_keep_every_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "BYTES", 1000)
    text = b"\xff\xc3\xa1%s\r\n" * 50

    async def go() -> None:
        kept = await log.Log.open(tmp_path / "a.log")
        for _ in range(6):
            os.write(kept.inlet, text)
            await asyncio.sleep(0)
        await kept.close()

    asyncio.run(go())
    files = sorted(tmp_path.glob("a.log*"), reverse=True)
    assert len(files) > 1
    assert b"".join(file.read_bytes() for file in files) == 6 * text


@pytest.mark.skipif(not orphans._tie(), reason="only Linux tells of a parent's death")
def test_nothing_outlives_a_killed_supervisor(tmp_path: Path) -> None:
    code = (
        "import asyncio, sys; from pathlib import Path\n"
        "from tests.deploy.test_supervisor import python, supervised\n"
        "async def go(home):\n"
        "    async with supervised(home, [python(home, 's3')]): await asyncio.sleep(600)\n"
        "asyncio.run(go(Path(sys.argv[1])))"
    )

    async def go() -> None:
        keeper = await asyncio.create_subprocess_exec(sys.executable, "-c", code, str(tmp_path))
        await until(family(tmp_path, "s3"))
        keeper.send_signal(signal.SIGKILL)
        await keeper.wait()
        await until(lambda: not orphans.of(tmp_path))

    (tmp_path / "s3.log").touch()
    asyncio.run(go())
