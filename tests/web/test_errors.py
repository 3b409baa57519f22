import json
import logging
import re

import anyio
import httpx
import msgspec
import pytest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from bentos.web.errors import (
    BodyTooLarge,
    HTTPError,
    NotReady,
    Overloaded,
    Problem,
    Problems,
    UnprocessableBody,
    handlers,
    unexpected,
)

UNREADABLE = Problem(["body", 3, "presion"], "Field required", "missing")


def get(path: str, *routes: BaseRoute, method: str = "GET") -> httpx.Response:
    app = Starlette(
        routes=[Mount("/contugas", Starlette(routes=routes, exception_handlers=handlers()))]
    )
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)

    async def call() -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.request(method, f"/contugas{path}")

    return anyio.run(call)


def failing(error: Exception) -> Route:
    async def endpoint(request: Request) -> Response:
        raise error

    return Route("/predict", endpoint, methods=["POST", "GET"])


@pytest.mark.parametrize(
    ("error", "status", "detail"),
    [
        (HTTPError(401, "Wrong token"), 401, "Wrong token"),
        (BodyTooLarge(1_000_000), 413, "The body is larger than 1,000,000 bytes"),
        (UnprocessableBody(UNREADABLE), 422, [msgspec.to_builtins(UNREADABLE)]),
        (NotReady("No release of contugas-anomaly serves yet"), 503, "No release of"),
        (Overloaded("64 rows wait"), 503, "64 rows wait"),
    ],
)
def test_an_error_renders_the_same_through_both_doors(
    error: HTTPError, status: int, detail: object
) -> None:
    answer = get("/predict", failing(error))
    raw_status, raw_headers, raw_body = error.render()
    assert answer.status_code == raw_status == status
    assert answer.content == raw_body
    assert sorted(answer.headers.raw) == sorted(raw_headers)
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()["detail"]
    assert body.startswith(detail) if isinstance(detail, str) else body == detail


def test_a_422_has_the_shape_of_fastapi() -> None:
    body = UnprocessableBody(UNREADABLE).render()[2]
    assert json.loads(body) == {
        "detail": [{"loc": ["body", 3, "presion"], "msg": "Field required", "type": "missing"}]
    }
    assert msgspec.json.decode(body, type=Problems).detail == [UNREADABLE]


def test_retry_after_and_own_headers_are_sent() -> None:
    assert get("/predict", failing(NotReady("Soon", retry_after=7))).headers["retry-after"] == "7"
    error = HTTPError(401, "Who are you?", {"www-authenticate": "Bearer"})
    assert get("/predict", failing(error)).headers["www-authenticate"] == "Bearer"
    assert (b"www-authenticate", b"Bearer") in error.render()[1]


def test_unknown_path_and_wrong_method_name_what_was_asked() -> None:
    route = Route("/predict", lambda request: Response("ok"), methods=["POST"])
    nothing = get("/nowhere", route)
    assert nothing.status_code == 404
    assert nothing.json() == {"detail": "Nothing answers at GET /contugas/nowhere"}
    wrong = get("/predict", route)
    assert wrong.status_code == 405
    assert wrong.headers["allow"] == "POST"
    assert wrong.json() == {"detail": "GET /contugas/predict is not allowed; use POST"}
    assert len(get("/" + "x" * 10_000, route).content) < 400
    assert get("/%ff%ed%a0%80%00", route).status_code == 404


def test_an_unexpected_error_stands_in_the_log_only(
    caplog: pytest.LogCaptureFixture,
) -> None:
    answer = get("/predict", failing(KeyError("secret column")))
    assert answer.status_code == 500
    body = re.fullmatch(
        r"Internal error; see the service's log, id ([0-9a-f]{8})", answer.json()["detail"]
    )
    assert body is not None
    assert "secret" not in answer.text
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert body[1] in record.getMessage()
    assert "GET /contugas/predict" in record.getMessage()
    assert "Traceback" in caplog.text
    assert "KeyError: 'secret column'" in caplog.text


def test_every_unexpected_error_has_its_own_id(caplog: pytest.LogCaptureFixture) -> None:
    errors = [unexpected(ValueError("no"), "POST /predict") for _ in range(2)]
    assert errors[0].detail != errors[1].detail
    assert [record.exc_info is not None for record in caplog.records] == [True, True]


def test_a_client_that_left_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    assert get("/predict", failing(ClientDisconnect())).status_code == 499
    assert not caplog.records
