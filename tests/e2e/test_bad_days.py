"""Processes die, hang and talk nonsense, while a client goes on calling."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpx
import psutil
import pytest

from tests.e2e.caller import Caller, allowed
from tests.e2e.conftest import Tell
from tests.e2e.detour import Detour
from tests.e2e.service import Service, report, serves, status
from tests.e2e.versions import Versions
from tests.itransformer.bench import ended
from tests.stack import Stack, wait_for

RATE = 25
SERVERS = ("s3", "mlflow", "services")
FIRST_ANSWER = 5.0  # seconds from the start of a process whose registry and store are down
IN_FLIGHT = 0.5  # seconds after a kill in which a call may have been in the worker's hands
PATIENCE = 180.0


@contextmanager
def hanging(stack: Stack, name: str) -> Iterator[None]:
    """A server of the stack takes connections, and does nothing."""
    family = stack.processes(name)
    for process in family:
        process.suspend()
    try:
        yield
    finally:
        for process in family:
            process.resume()


def trouble(url: str) -> str:
    state = report(url)
    return str(state["degraded"] or state["trouble"] or "")


def well(stack: Stack, name: str) -> bool:
    urls = {
        "s3": stack.settings.s3,
        "mlflow": f"{stack.mlflow}/health",
        "services": f"{stack.api}/readyz",
    }
    return 0 < status(urls[name]) < httpx.codes.INTERNAL_SERVER_ERROR


@pytest.mark.parametrize("name", ["s3", "mlflow"])
def test_no_caller_notices_a_killed(
    name: str, stack: Stack, versions: Versions, tell: Tell
) -> None:
    api = f"{stack.api}/contugas"
    others = {other: stack.processes(other) for other in SERVERS if other != name}
    family = stack.processes(name)
    with Caller(f"{api}/predict", versions, RATE) as caller:
        caller.wait_for(versions.old)
        killed = time.monotonic()
        for process in family:
            with suppress(psutil.NoSuchProcess):  # the supervisor ends what a killed one left
                process.kill()
        wait_for(lambda: all(map(ended, family)) and well(stack, name), PATIENCE)
        tell(f"{name} is back {time.monotonic() - killed:.1f} s after kill -9")
        wait_for(lambda: httpx.post(f"{api}/reload", timeout=PATIENCE).is_success, PATIENCE)
    assert caller.errors == []
    assert caller.wrong == []
    assert {other: stack.processes(other) for other in others} == others
    wait_for(lambda: trouble(api) == "", PATIENCE)


def test_a_worker_killed_amid_a_swap(stack: Stack, versions: Versions, tell: Tell) -> None:
    """Its clients wait for the next worker, which serves the old version, then the new one."""
    api = f"{stack.api}/contugas"
    others = {other: stack.processes(other) for other in ("s3", "mlflow")}
    wanted = versions.copy(versions.new)
    with Caller(f"{api}/predict", versions, RATE) as caller:
        with hanging(stack, "s3"):
            versions.promote(wanted)
            wait_for(lambda: report(api)["candidate"] == wanted, PATIENCE)
            worker = stack.processes("services")[-1]
            worker.kill()
            wait_for(lambda: ended(worker), PATIENCE)  # it holds no connection any more
            killed = time.monotonic()
            wait_for(lambda: caller.answered_since(killed), PATIENCE)
            assert caller.version == versions.old
        caller.wait_for(wanted)
    later = [call for call in caller.calls if call.due > killed]
    tell(
        f"a worker is killed: {len(caller.errors)} of {len(caller.calls)} calls fail, the longest "
        f"takes {max(call.seconds for call in later):.1f} s"
    )
    assert caller.wrong == []
    assert [call.error for call in later if call.error and call.due > killed + IN_FLIGHT] == []
    assert {other: stack.processes(other) for other in others} == others


@pytest.mark.parametrize("name", ["s3", "mlflow"])
def test_a_promotion_waits_for_what_hangs(
    name: str, stack: Stack, service: Service, versions: Versions
) -> None:
    wanted = versions.copy(versions.new)
    with Caller(f"{service.url}/predict", versions, RATE) as caller:
        caller.wait_for(versions.old)
        if name == "s3":
            with hanging(stack, name):
                versions.point("steady", wanted)
                wait_for(lambda: trouble(service.url), PATIENCE)
        else:
            with hanging(stack, name):
                wait_for(lambda: trouble(service.url), PATIENCE)
            versions.point("steady", wanted)
        assert caller.version == versions.old
        caller.wait_for(wanted)
    assert caller.errors == []
    assert caller.wrong == []
    wait_for(lambda: trouble(service.url) == "", PATIENCE)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"error_code": "INTERNAL_ERROR", "message": "database is locked"}', 500),
        (b"<html>Please sign in</html>", 200),
        (b'{"registered_models": [{"name": 7}]}', 200),
        (b"{}", 200),
        (b"\xff\xfe\x00", 200),
    ],
)
def test_an_mlflow_that_talks_nonsense(
    body: bytes, code: int, service: Service, detour: Detour, versions: Versions
) -> None:
    wanted = versions.copy(versions.new)
    with Caller(f"{service.url}/predict", versions, RATE) as caller:
        caller.wait_for(versions.old)
        with detour.to_nonsense(body, code) as heard:
            versions.point("steady", wanted)
            # A connection that the detour broke is a trouble, too, before anything was heard.
            wait_for(lambda: heard and trouble(service.url), PATIENCE)
            assert caller.version == versions.old
        caller.wait_for(wanted)
    assert caller.errors == []
    assert caller.wrong == []


def test_a_start_with_everything_down(
    service: Service, detour: Detour, versions: Versions, tell: Tell
) -> None:
    wanted = versions.copy(versions.new)
    service.stop()
    versions.point("steady", wanted)
    with detour.to_nowhere():
        began = time.monotonic()
        service.start()
        with Caller(f"{service.url}/predict", versions, RATE) as caller:
            wait_for(lambda: caller.version, PATIENCE)
            first = caller.first(versions.old, began)
            wait_for(lambda: trouble(service.url), PATIENCE)
    wait_for(lambda: status(f"{service.url}/readyz") == httpx.codes.OK, PATIENCE)
    assert caller.wrong == []
    tell(f"the first answer comes {first:.2f} s after the start, from disk")
    wait_for(lambda: serves(service.url, wanted), PATIENCE)
    assert first < allowed(FIRST_ANSWER)
