import gzip
import json
import logging
import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from urllib.parse import unquote, urlsplit

import httpx
import pytest
from starlette.routing import Mount, Router

from bentos.registry.client import Version
from bentos.settings import LimitSettings
from bentos.web.endpoint import Endpoint
from bentos.web.hot import Hot
from bentos.web.query import query
from tests.memory import THREADED, release
from tests.stack import wait_for
from tests.web.serving import serving
from tests.web.small import Gated, Matrix, Point, gated_slot, small_app, small_slot, total

POINT = {"x": 1.5, "y": 2}


@pytest.fixture(scope="module", params=["", "/small"], ids=["alone", "mounted"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A small service, alone and mounted under a prefix."""
    prefix: str = request.param
    app = small_app(small_slot(version="3"))
    with serving(Router([Mount(prefix, app)]) if prefix else app) as url:
        yield url + prefix


def test_answers_one_row(url: str) -> None:
    answer = httpx.post(f"{url}/add", json=POINT)
    assert answer.status_code == 200
    assert answer.json() == {"total": 3.5}
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-model-version"] == "adder/3"


def test_answers_a_list_in_its_order(url: str) -> None:
    points = [{"x": number, "y": 0.5} for number in range(100)]  # two batches' worth in one call
    answer = httpx.post(f"{url}/add", json=points)
    assert answer.json() == [{"total": number + 0.5} for number in range(100)]
    assert answer.headers["x-model-version"] == "adder/3"
    assert httpx.post(f"{url}/add", json=[POINT]).json() == [{"total": 3.5}]
    assert httpx.post(f"{url}/add", json=[]).json() == []


@pytest.mark.parametrize(
    ("body", "loc"),
    [
        (b'{"x": 1}', ["body", "y"]),
        (b'{"x": 1, "y": 2, "z": 3}', ["body", "z"]),
        (b'[{"x": 1, "y": 2}, {"x": null, "y": 2}]', ["body", 1, "x"]),
        (b'{"x": NaN, "y": 2}', ["body", "x"]),
        (b'{"x": 1e7, "y": 2}', ["body", "x"]),
        (b"", ["body"]),
        (b"[" + b'{"x":1,"y":2},' * 100 + b'{"x":1,"y":2}]', ["body"]),
    ],
)
def test_names_the_field_that_is_wrong(url: str, body: bytes, loc: list[str | int]) -> None:
    answer = httpx.post(f"{url}/add", content=body)
    assert answer.status_code == 422
    assert [problem["loc"] for problem in answer.json()["detail"]] == [loc]
    assert "x-model-version" not in answer.headers


@pytest.mark.parametrize("chunked", [False, True])
def test_refuses_a_body_that_is_too_large(url: str, chunked: bool) -> None:
    body = b" " * 20_000
    answer = httpx.post(f"{url}/add", content=iter([body[:5_000]] * 4) if chunked else body)
    assert answer.status_code == 413
    assert "10,000 bytes" in answer.json()["detail"]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_takes_posts_only(url: str, method: str) -> None:
    answer = httpx.request(method, f"{url}/add")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"
    assert "use POST" in answer.json()["detail"]


def test_a_connection_stays_open_after_errors(url: str) -> None:
    address = urlsplit(f"{url}/add")
    connection = HTTPConnection(address.netloc, timeout=60)
    connection.connect()
    sock = connection.sock
    statuses = []
    good, bad = b'{"x": 1, "y": 2}', b'{"x": "?"}'
    for method, body in [("POST", bad), ("POST", b""), ("GET", None), ("POST", good)]:
        connection.request(method, address.path, body)
        answer = connection.getresponse()
        answer.read()
        statuses.append(answer.status)
        assert connection.sock is sock
    connection.close()
    assert statuses == [422, 422, 405, 200]


def test_a_client_that_leaves_amid_its_body_harms_nobody(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    address = urlsplit(f"{url}/add")
    with socket.create_connection((address.hostname, address.port)) as client:
        head = f"POST {address.path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n"
        client.sendall(head.encode() + b'{"x": 1')
    assert httpx.post(f"{url}/add", json=POINT).status_code == 200
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_before_a_promotion_it_is_not_ready() -> None:
    slot = small_slot(predict=None)
    slot.empty("")
    with serving(small_app(slot)) as url:
        answer = httpx.post(f"{url}/add", json=POINT)
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert answer.json()["detail"] == (
            "No version of adder serves yet: promote one to the stage Production"
        )
        slot.swap(release("1", total))
        assert httpx.post(f"{url}/add", json=POINT).status_code == 200


def test_while_a_version_is_on_its_way_a_call_waits_and_then_learns_why() -> None:
    slot = small_slot(predict=None)
    slot.promise()
    slot.consider(Version("adder", "1"))
    with serving(small_app(slot, timeout=0.2)) as url:
        answer = httpx.post(f"{url}/add", json=POINT)
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert answer.json()["detail"] == (
            "No version of adder serves yet: version 1 is being checked"
        )


def test_a_call_that_takes_too_long_ends() -> None:
    gated = Gated()
    with serving(small_app(gated_slot(gated), timeout=0.1)) as url:
        answer = httpx.post(f"{url}/add", json=POINT)
        assert answer.status_code == 504
        assert "adder took longer than" in answer.json()["detail"]
        gated.go_on.set()
        wait_for(lambda: httpx.post(f"{url}/add", json=POINT).json() == {"total": 3.5}, 60)


def test_what_the_queue_does_not_take_is_refused_at_once() -> None:
    gated = Gated()
    slot = gated_slot(gated, LimitSettings(queue_rows=1))
    with serving(small_app(slot)) as url, ThreadPoolExecutor(2) as pool:
        first = pool.submit(httpx.post, f"{url}/add", json=POINT, timeout=60)
        assert gated.begun.wait(60)
        second = pool.submit(httpx.post, f"{url}/add", json=POINT, timeout=60)
        wait_for(lambda: slot.batcher.queued_rows == 1, 60)
        refused = httpx.post(f"{url}/add", json=POINT)
        gated.go_on.set()
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) > 0
        assert "adder is overloaded" in refused.json()["detail"]
        assert [call.result().status_code for call in (first, second)] == [200, 200]


def fragile(rows: Matrix) -> Matrix:
    if (rows == 13).any():
        raise ZeroDivisionError("the model's own secret")
    return total(rows)


@pytest.mark.parametrize("row_seconds", [0.0, THREADED], ids=["inline", "threaded"])
def test_of_a_failing_model_callers_get_an_id_only(
    caplog: pytest.LogCaptureFixture, row_seconds: float
) -> None:
    with serving(small_app(small_slot(fragile, row_seconds=row_seconds))) as url:
        called = {"x-request-id": "abc-1"}
        answer = httpx.post(f"{url}/add", json={"x": 13, "y": 0}, headers=called)
        assert httpx.post(f"{url}/add", json=POINT).status_code == 200
    assert answer.status_code == 500
    found = re.fullmatch(
        r'\{"detail":"Internal error; see the service\'s log, id (\w+)"\}', answer.text
    )
    assert found
    (record,) = (record for record in caplog.records if found[1] in record.getMessage())
    assert "POST /add abc-1" in record.getMessage()
    assert record.exc_info
    assert isinstance(record.exc_info[1], ZeroDivisionError)


def test_one_bad_row_among_many_calls_fails_alone() -> None:
    gated = Gated()

    def gated_and_fragile(rows: Matrix) -> Matrix:
        gated(rows)
        return fragile(rows)

    slot = small_slot(gated_and_fragile, row_seconds=THREADED)
    numbers = range(20)
    with (
        serving(small_app(slot)) as url,
        httpx.Client(base_url=url, timeout=60) as client,
        ThreadPoolExecutor(len(numbers)) as pool,
    ):
        points = [{"x": number, "y": 0} for number in numbers]
        calls = [pool.submit(client.post, "/add", json=points[0])]
        assert gated.begun.wait(60)
        calls += [pool.submit(client.post, "/add", json=point) for point in points[1:]]
        wait_for(lambda: slot.batcher.queued_rows == 19, 60)
        gated.go_on.set()
        answers = [call.result() for call in calls]
    assert [a.status_code for a in answers] == [500 if n == 13 else 200 for n in numbers]
    assert all(a.json() == {"total": n} for n, a in enumerate(answers) if n != 13)


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("keras-房价", "keras-%E6%88%BF%E4%BB%B7/3"),
        ("gás", "g%C3%A1s/3"),
        ("100% ours", "100%25 ours/3"),
        ("a\r\nset-cookie: b", "a%0D%0Aset-cookie: b/3"),
    ],
)
@pytest.mark.parametrize("path", ["add", "query"])
def test_any_name_stands_in_the_header_as_ascii(name: str, header: str, path: str) -> None:
    slot = small_slot(version="3", name=name)
    hot = Hot("small", "/add", slot, Point, 60)
    with serving(small_app(slot, endpoints=[Endpoint("GET", "/query", query(hot))])) as url:
        if path == "add":
            answer = httpx.post(f"{url}/add", json=POINT)
        else:
            answer = httpx.get(f"{url}/query", params=POINT)
    assert answer.status_code == 200
    assert answer.headers["x-model-version"] == header
    assert unquote(header) == f"{name}/3"
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(("packing", "status"), [("gzip", 200), ("br", 415), ("identity", 422)])
def test_a_gzip_is_unpacked(url: str, packing: str, status: int) -> None:
    body = gzip.compress(json.dumps(POINT).encode())
    answer = httpx.post(f"{url}/add", content=body, headers={"content-encoding": packing})
    assert answer.status_code == status
    assert status != 200 or answer.json() == {"total": 3.5}
