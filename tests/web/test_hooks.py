import socket
import time
import uuid
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Router

from bentos.registry.webhooks import PATH
from bentos.web.endpoint import routes
from bentos.web.hooks import LARGEST, OLDEST, Deliveries, endpoint
from tests.web.hooked import BODY, SECRET, Service, Sleeper, sign, signed
from tests.web.serving import serving


@pytest.fixture
def service() -> Iterator[Service]:
    service = Service(Deliveries(SECRET))
    # As the stack does: a router alone, which turns no exception into an answer.
    with serving(Router(routes([endpoint(lambda: service.watcher, service.deliveries)]))) as url:
        service.url = url + PATH
        yield service


def said(answer: httpx.Response) -> str:
    return str(answer.json()["detail"])


def test_a_delivery_wakes_the_watcher(service: Service) -> None:
    answer = httpx.post(service.url, content=BODY, headers=signed())
    assert (answer.status_code, answer.content) == (202, b"")
    assert service.woken == 1
    httpx.post(service.url, content=BODY, headers=signed())
    assert service.woken == 2


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\x00", b"[" * 100_000, b"x" * LARGEST])
def test_the_content_is_not_read(service: Service, body: bytes) -> None:
    assert httpx.post(service.url, content=body, headers=signed(body)).status_code == 202
    assert service.woken == 1


@pytest.mark.parametrize("name", ["X-MLflow-Delivery-Id", "X-MLflow-Timestamp"])
@pytest.mark.parametrize("left", [None, ""])
def test_a_missing_header_is_named(service: Service, name: str, left: str | None) -> None:
    headers = signed()
    del headers[name]
    answer = httpx.post(
        service.url, content=BODY, headers=headers | ({} if left is None else {name: left})
    )
    assert answer.status_code == 401
    assert said(answer).startswith(f"The header {name.lower()} is missing")
    assert service.woken == 0


def test_unsigned(service: Service) -> None:
    headers = signed()
    del headers["X-MLflow-Signature"]
    answer = httpx.post(service.url, content=BODY, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"]
    assert "x-mlflow-signature is missing" in said(answer)
    assert httpx.post(service.url, content=BODY).status_code == 401
    assert service.woken == 0


SIGNATURES: dict[str, Callable[[str], str | bytes]] = {
    "of another version": lambda good: good.replace("v1", "v2"),
    "of no version": lambda good: good.removeprefix("v1,"),
    "cut": lambda good: good[:-1],
    "begun": lambda good: good[:4],
    "extended": lambda good: f"{good}=",
    "repeated": lambda good: f"{good} {good}",
    "lower case": str.lower,
    "changed": lambda good: good[:-2] + ("A" if good[-2] != "A" else "B") + good[-1],
    "nothing": lambda good: "v1,",
    "a word": lambda good: "garbage",
    "not ASCII": lambda good: "v1,é".encode("latin-1"),
    "bytes": lambda good: b"v1,\xff\xfe\x80",
    "long": lambda good: "v1," + "A" * 20_000,
}


@pytest.mark.parametrize("kind", SIGNATURES)
def test_forged(service: Service, kind: str) -> None:
    headers = httpx.Headers(signed())
    headers.pop("X-MLflow-Signature")
    forged = SIGNATURES[kind](sign(headers["X-MLflow-Delivery-Id"], headers["X-MLflow-Timestamp"]))
    raw = forged.encode() if isinstance(forged, str) else forged
    answer = httpx.post(
        service.url, content=BODY, headers=[*headers.raw, (b"X-MLflow-Signature", raw)]
    )
    assert answer.status_code == 401
    assert said(answer) == "The delivery is not signed with the secret of this service"
    assert service.woken == 0


def test_signed_with_another_secret(service: Service) -> None:
    for secret in ("", "another", SECRET + " ", SECRET[:-1]):
        answer = httpx.post(service.url, content=BODY, headers=signed(secret=secret))
        assert answer.status_code == 401
    assert service.woken == 0


@pytest.mark.parametrize(
    "change",
    [
        {"X-MLflow-Delivery-Id": str(uuid.uuid4())},
        {"X-MLflow-Timestamp": str(int(time.time()) - 1)},
        {"X-MLflow-Delivery-Id": "é"},
    ],
)
def test_the_signature_covers_the_headers(service: Service, change: dict[str, str]) -> None:
    headers = httpx.Headers(signed() | change, encoding="latin-1")
    answer = httpx.post(service.url, content=BODY, headers=headers)
    assert answer.status_code == 401
    assert "not signed" in said(answer)
    assert service.woken == 0


def test_the_signature_covers_the_body(service: Service) -> None:
    answer = httpx.post(service.url, content=BODY + b" ", headers=signed())
    assert answer.status_code == 401
    assert service.woken == 0


@pytest.mark.parametrize("seconds", [OLDEST + 2, 3600, 10**9, -OLDEST - 60, -(10**9)])
def test_stale_and_early(service: Service, seconds: int) -> None:
    headers = signed(timestamp=str(int(time.time()) - seconds))
    answer = httpx.post(service.url, content=BODY, headers=headers)
    assert answer.status_code == 401
    assert "s old, and 300 s either way are allowed: compare the clocks" in said(answer)
    assert service.woken == 0


@pytest.mark.parametrize("seconds", [OLDEST - 60, -OLDEST + 60])
def test_clocks_may_differ_a_little(service: Service, seconds: int) -> None:
    headers = signed(timestamp=str(int(time.time()) - seconds))
    assert httpx.post(service.url, content=BODY, headers=headers).status_code == 202


@pytest.mark.parametrize("text", ["soon", "-1", "1e9", "nan", "0x10", "1.5", "²", "9" * 5_000])
def test_signed_garbage_for_a_timestamp(service: Service, text: str) -> None:
    headers = httpx.Headers(signed(timestamp=text), encoding="latin-1")
    answer = httpx.post(service.url, content=BODY, headers=headers)
    assert answer.status_code == 401
    assert said(answer) == "x-mlflow-timestamp must be whole seconds since 1970"
    assert service.woken == 0


def test_replayed(service: Service) -> None:
    headers = signed()
    assert httpx.post(service.url, content=BODY, headers=headers).status_code == 202
    for _ in range(3):
        answer = httpx.post(service.url, content=BODY, headers=headers)
        assert answer.status_code == 401
        assert "taken before" in said(answer)
    assert service.woken == 1


def test_replayed_with_its_parts_shifted(service: Service) -> None:
    """What is signed is id.timestamp.body: no other three parts may make up the same."""
    body = b"1.5"
    headers = signed(body)
    assert httpx.post(service.url, content=body, headers=headers).status_code == 202
    identity, timestamp = headers["X-MLflow-Delivery-Id"], headers["X-MLflow-Timestamp"]
    shifted = headers | {
        "X-MLflow-Delivery-Id": f"{identity}.{timestamp}",
        "X-MLflow-Timestamp": "1",
    }
    assert httpx.post(service.url, content=b"5", headers=shifted).status_code == 401
    assert service.woken == 1


def test_a_forger_cannot_spend_an_id(service: Service) -> None:
    headers = signed()
    forged = headers | {"X-MLflow-Signature": "v1,AAAA"}
    assert httpx.post(service.url, content=BODY, headers=forged).status_code == 401
    assert httpx.post(service.url, content=BODY, headers=headers).status_code == 202


def test_too_large(service: Service) -> None:
    body = b"x" * (LARGEST + 1)
    answer = httpx.post(service.url, content=body, headers=signed(body))
    assert answer.status_code == 413
    assert service.woken == 0


def test_too_large_without_a_length(service: Service) -> None:
    chunks = (b"x" * 65536 for _ in range(LARGEST // 65536 + 1))
    assert httpx.post(service.url, content=chunks, headers=signed()).status_code == 413
    assert service.woken == 0


def test_a_sender_that_goes_away(service: Service) -> None:
    address = urlsplit(service.url)
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.sendall(
            b"POST /hooks/mlflow HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{"
        )
    assert httpx.post(service.url, content=BODY, headers=signed()).status_code == 202
    assert service.woken == 1


def test_before_the_service_has_started(service: Service) -> None:
    """MLflow tries again, with the same id: that is no replay."""
    headers = signed()
    service.started = False
    answer = httpx.post(service.url, content=BODY, headers=headers)
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    service.started = True
    assert httpx.post(service.url, content=BODY, headers=headers).status_code == 202


@pytest.mark.parametrize("secret", ["", SECRET])
def test_without_a_secret_it_is_off(secret: str) -> None:
    sleeper = Sleeper()
    with serving(Starlette(routes=routes([endpoint(lambda: sleeper, Deliveries(""))]))) as url:
        answer = httpx.post(url + PATH, content=BODY, headers=signed(secret=secret))
        assert answer.status_code == 404
        assert "ASCENSO_WEBHOOK_SECRET" in said(answer)
        assert httpx.post(url + PATH, content=BODY).status_code == 404
    assert sleeper.woken == 0


def test_only_posts(service: Service) -> None:
    assert httpx.get(service.url, headers=signed(b"")).status_code == 405
    assert service.woken == 0
