"""Three replicas behind nginx: a promotion reaches all, and no restart drops a call."""

import json
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest

from tests.e2e.caller import Caller, p99
from tests.e2e.conftest import Tell
from tests.e2e.replicas import CONF, Replica, configured, proxy, replicas
from tests.e2e.service import serves
from tests.e2e.versions import Versions
from tests.stack import Stack, free_ports, wait_for
from tests.web.scrape import value

RATE = 100
PASSED_OVER = 10.0  # seconds: fail_timeout
READING = {"presion": 1.2, "temperatura": 25.5, "volumen": 100.0}


@pytest.fixture(scope="module")
def three(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Replica]]:
    """The first two share a home, the third has its own."""
    folder = tmp_path_factory.mktemp("replicas")
    homes = [folder / "shared", folder / "shared", folder / "own"]
    with replicas(homes, stack.mlflow, folder) as running:
        yield running


@pytest.fixture(scope="module")
def url(three: list[Replica], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with proxy(tmp_path_factory.mktemp("nginx"), [replica.port for replica in three]) as url:
        yield url


def test_nginx_takes_the_configuration(tmp_path: Path) -> None:
    command = configured(tmp_path, free_ports(1)[0], free_ports(3))
    done = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "warn" not in done.stderr
    assert f"fail_timeout={PASSED_OVER:g}s" in CONF.read_text()


def test_all_replicas_answer_and_a_promotion_reaches_each(
    three: list[Replica], url: str, versions: Versions
) -> None:
    def served() -> Counter[str]:
        with httpx.Client(timeout=60) as client:
            answers = [client.post(f"{url}/predict", json=READING) for _ in range(30)]
        return Counter(answer.headers["x-model-version"] for answer in answers)

    def all_answer() -> bool:
        answering = set(served()) == {f"contugas-anomaly/{versions.old}"}
        return answering and all(map(called, three, before))

    before = [calls(replica) for replica in three]
    wait_for(all_answer, 120)  # nginx passes over one that was late for a while
    versions.promote(versions.new)
    for replica in three:
        wait_for(partial(serves, replica.url, versions.new), 120)
    assert set(served()) == {f"contugas-anomaly/{versions.new}"}


def called(replica: Replica, often: float) -> bool:
    return calls(replica) > often


def calls(replica: Replica) -> float:
    """How many calls a replica has answered."""
    url, route = replica.url, "/predict"
    return value(url, "ascenso_requests_total", service="contugas", route=route)


def test_a_replica_that_ends_answers_the_call_in_flight(three: list[Replica]) -> None:
    """Its body is only half there when the signal comes."""
    replica, body = three[0], json.dumps(READING).encode()
    head = f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    with (
        socket.create_connection(("127.0.0.1", replica.port), timeout=120) as idle,
        socket.create_connection(("127.0.0.1", replica.port), timeout=120) as call,
    ):
        assert not let_go(idle)
        call.sendall(f"{head}Expect: 100-continue\r\n\r\n".encode() + body[:5])
        assert call.recv(4096).startswith(b"HTTP/1.1 100")  # it has begun to read
        replica.end()
        wait_for(lambda: let_go(idle), 120)
        call.sendall(body[5:])
        answer = call.recv(65536)
        assert answer.startswith(b"HTTP/1.1 200"), answer
        assert b"x-model-version: contugas-anomaly/" in answer
    replica.wait()
    replica.start()
    replica.wait_ready()


def let_go(idle: socket.socket) -> bool:
    """Whether a replica that ends has closed a connection which is never quiet for long."""
    try:
        idle.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return not idle.recv(4096)
    except ConnectionError:
        return True


@pytest.mark.timeout(900)
def test_restarting_one_after_another_drops_nothing(
    three: list[Replica], url: str, versions: Versions, tell: Tell
) -> None:
    with Caller(f"{url}/predict", versions, RATE) as caller:
        wait_for(lambda: len(caller.calls) > RATE, 120)
        for replica in three:
            replica.end()
            replica.wait()
            down = time.monotonic()
            replica.start()
            replica.wait_ready()
            # The next may only go once nginx sends calls to this one again.
            wait_for(partial(called, replica, calls(replica) + 5), 120)
            tell(f"{replica.port} back after {time.monotonic() - down:.1f} s")
    tell(f"{len(caller.calls)} calls, p99 {p99(caller.calls):.1f} ms")
    assert caller.errors == []
    assert caller.wrong == []
