"""Bodies that mean harm: each door's own error, and a caller beside them keeps its answers."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event, Thread

import grpc
import httpx
import pytest
from pydantic import SecretStr

from bentos.settings import SecuritySettings, ServiceSettings
from bentos.tensors import Batch
from tests.protocols import standing
from tests.protocols.doors import INFER, LENGTH, Caller
from tests.protocols.hostile import (
    BODIES,
    FORMS,
    GOOD,
    LARGEST,
    MESSAGE,
    MESSAGES,
    PLACES,
    ROWS,
    SCHEMA,
    V2,
    WRONG,
    add,
    binary,
    raw_message,
)
from tests.web.serving import serving


@pytest.fixture(scope="module")
def caller() -> Iterator[Caller]:
    app = standing.app()
    standing.put(app, "sums", SCHEMA, add)
    with standing.asked(app) as caller:
        yield caller


@pytest.fixture(scope="module")
def url(caller: Caller) -> str:
    return str(caller.http.base_url)


@pytest.fixture(scope="module", autouse=True)
def beside(url: str) -> Iterator[None]:
    """Somebody else, who asks all the while and must never be failed or kept waiting."""
    stop, answers, slowest = Event(), set[tuple[int, bytes]](), 0.0

    def ask() -> None:
        nonlocal slowest
        with httpx.Client(base_url=url, timeout=60) as client:
            while not stop.wait(0.01):
                started = time.monotonic()
                said = client.post(ROWS, content=GOOD[ROWS])
                answers.add((said.status_code, said.content))
                slowest = max(slowest, time.monotonic() - started)

    caller = Thread(target=ask)
    caller.start()
    yield
    stop.set()
    caller.join()
    assert answers == {(200, b'{"sum":3.5}')}
    assert slowest < 10


def test_each_door_has_an_error_of_its_own(url: str) -> None:
    with httpx.Client(base_url=url, timeout=60) as client:
        for door, body in BODIES:
            assert client.post(door, content=GOOD[door]).status_code == 200
            said = client.post(door, content=body)
            assert said.status_code == WRONG[door], (door, body[:80], said.text[:200])
            assert said.json().keys() == FORMS[door]
            assert len(said.content) < 2000


@pytest.mark.parametrize(("shape", "size", "given"), [
    ([1], 8, 7), ([1], 8, 9), ([2**31], 8, 8), ([1], 2**31, 8), ([1], -8, 8), ([1], 4, 4),
    ([2**62, 4], 0, 0),
])  # fmt: skip
def test_binary_tensors_that_lie(url: str, shape: list[int], size: int, given: int) -> None:
    body = binary(shape, size, given)
    with httpx.Client() as client:
        for length in ("200", "0", "-1", "1e3", "199999999999999999999", str(len(body) + 1)):
            said = client.post(f"{url}{V2}", content=body, headers={LENGTH: length})
            assert (said.status_code, list(said.json())) == (400, ["error"]), length


@pytest.mark.parametrize("door", FORMS)
def test_of_two_keys_the_last_holds(url: str, door: str) -> None:
    twice = GOOD[door].replace(b'"x": 1.5', b'"x": 0, "x": 1.5')
    assert httpx.post(f"{url}{door}", content=twice).status_code == 200


@pytest.mark.parametrize("door", FORMS)
def test_a_body_that_is_too_large_is_cut_off(url: str, door: str) -> None:
    said = httpx.post(f"{url}{door}", content=GOOD[door].ljust(LARGEST + 1))
    assert (said.status_code, said.json().keys()) == (413, FORMS[door])
    packed = httpx.post(f"{url}{door}", content=b"x", headers={"content-encoding": "br"})
    assert (packed.status_code, packed.json().keys()) == (415, FORMS[door])


@pytest.mark.parametrize("door", FORMS)
def test_a_stream_that_stalls_or_lies_of_its_length_costs_nobody_else(url: str, door: str) -> None:
    place = httpx.URL(url)
    head = f"POST {door} HTTP/1.1\r\nhost: {place.host}:{place.port}\r\ncontent-length: "
    stalled = [socket.create_connection((place.host, place.port)) for _ in range(20)]
    try:
        for connection in stalled:
            connection.sendall(head.encode() + b"1000\r\n\r\n" + GOOD[door][:9])
        assert httpx.post(f"{url}{door}", content=GOOD[door]).status_code == 200
        short = stalled[0]
        short.sendall(b" " * 991)  # the rest comes late, and is no JSON
        assert short.recv(12).startswith(b"HTTP/1.1 4")
    finally:
        for connection in stalled:
            connection.close()
    assert httpx.post(f"{url}{door}", content=GOOD[door]).status_code == 200


def test_what_a_door_refuses_before_and_after_has_its_form_too(tmp_path: Path) -> None:
    go_on = Event()

    def slow(batch: Batch) -> Batch:
        assert go_on.wait(60)
        return add(batch)

    secret = SecretStr("a secret of 32 bytes or more, for tests")
    guarded = standing.app(
        home=tmp_path, security=SecuritySettings(guarded=["models"], secret=secret)
    )
    stuck = standing.app(services=ServiceSettings(request_timeout_seconds=1))
    for app in (guarded, stuck):
        standing.put(app, "sums", SCHEMA, slow, cost=0.01)
    with serving(guarded) as no, serving(stuck) as late, ThreadPoolExecutor(len(FORMS)) as pool:
        try:
            for url, status in ((no, 401), (late, 504)):
                calls = {
                    door: pool.submit(httpx.post, f"{url}{door}", content=GOOD[door], timeout=60)
                    for door in FORMS
                }
                for door, call in calls.items():
                    said = call.result()
                    assert (said.status_code, said.json().keys()) == (status, FORMS[door])
            for place, keys in PLACES.items():
                said = httpx.get(f"{no}{place}")
                assert (said.status_code, said.json().keys()) == (401, keys)
        finally:
            go_on.set()


def test_the_id_of_a_call_comes_back(url: str) -> None:
    for given in ("abc-1", "a b", "x" * 129):
        for door, body in (*GOOD.items(), *((door, b"{") for door in FORMS)):
            said = httpx.post(f"{url}{door}", content=body, headers={"x-request-id": given})
            assert said.headers.get("x-request-id") == (given if given == "abc-1" else None)
        for place in PLACES:
            said = httpx.get(f"{url}{place}", headers={"x-request-id": given})
            assert said.headers.get("x-request-id") == (given if given == "abc-1" else None)


@pytest.mark.parametrize(
    "place", ["models/sums/trace/setting", "models/sums/versions/1/2/infer", "x"]
)
def test_what_is_not_of_the_protocol_is_named_in_its_form(url: str, place: str) -> None:
    for ask in (httpx.get, httpx.post):
        said = ask(f"{url}/v2/{place}")
        assert (said.status_code, list(said.json())) == (404, ["error"])
        assert place in said.json()["error"]


def test_another_method_or_packing_is_refused_in_the_form_of_its_place(url: str) -> None:
    for place, keys in (PLACES | FORMS).items():
        said = httpx.put(f"{url}{place}")
        assert (said.status_code, said.json().keys()) == (405, keys), place
    index = f"{url}/v2/repository/index"
    for body, packing, status in ((b" " * 70_000, "", 413), (b"x", "br", 415), (b"[]", "", 400)):
        said = httpx.post(index, content=body, headers={"content-encoding": packing})
        assert (said.status_code, list(said.json())) == (status, ["error"])


def _refused(caller: Caller, message: bytes) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as raised:
        caller.grpc.unary_unary(INFER)(message)
    return raised.value.code(), raised.value.details()


def test_wrong_messages_of_grpc_have_its_code(caller: Caller) -> None:
    ask = caller.grpc.unary_unary(INFER)
    good = ask(MESSAGE)
    for message in MESSAGES:
        code, said = _refused(caller, message)
        assert code == grpc.StatusCode.INVALID_ARGUMENT, (message[:80], said)
        assert len(said) < 2000
        assert ask(MESSAGE) == good


def test_a_message_of_grpc_over_the_limit(caller: Caller) -> None:
    code, said = _refused(caller, raw_message(b"\0" * (LARGEST + 1)))
    assert (code, str(LARGEST) in said) == (grpc.StatusCode.RESOURCE_EXHAUSTED, True)


@pytest.mark.parametrize("method", ["ModelInfer", "ModelStreamInfer"])
def test_a_stream_of_grpc_that_stalls_costs_nobody_else(caller: Caller, method: str) -> None:
    ended = Event()

    def nothing() -> Iterator[bytes]:
        ended.wait(60)
        yield from ()

    place = INFER.replace("ModelInfer", method)
    stalled = [caller.grpc.stream_stream(place)(nothing()) for _ in range(20)]
    try:
        for _ in range(5):
            assert caller.grpc.unary_unary(INFER)(MESSAGE)
        assert not any(call.done() for call in stalled)
    finally:
        ended.set()
        for call in stalled:
            call.cancel()
