from contextlib import nullcontext

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp

from bentos.web.cors import Origins
from bentos.web.errors import HTTPError
from tests.web.serving import serving

ORIGINS = ["https://app.example.com", "http://localhost:*", "http://127.0.0.1:*"]
app: ASGIApp = PlainTextResponse("ok")


@pytest.mark.parametrize(
    ("page", "may"),
    [
        ("https://app.example.com", True),
        ("http://localhost", True),
        ("http://localhost:8080", True),
        ("http://127.0.0.1:5173", True),
        ("http://app.example.com", False),
        ("https://app.example.com:8080", False),
        ("https://localhost:8080", False),
        ("http://localhost:8080.evil.example", False),
        ("http://localhost.evil.example", False),
        ("http://127a0b0c1:80", False),
        ("null", False),
    ],
)
def test_pages_of_the_origins_may_call(page: str, may: bool) -> None:
    with serving(Origins(ORIGINS).open_to(app)) as url:
        asked = {"origin": page, "access-control-request-method": "POST"}
        preflight = httpx.options(url, headers=asked)
        answer = httpx.get(url, headers={"origin": page})
    assert preflight.status_code == (200 if may else 400)
    expected = page if may else None
    assert preflight.headers.get("access-control-allow-origin") == expected
    assert answer.headers.get("access-control-allow-origin") == expected


@pytest.mark.parametrize(("method", "may"), [("GET", 200), ("DELETE", 200), ("PUT", 400)])
def test_methods(method: str, may: int) -> None:
    asked = {"origin": ORIGINS[0], "access-control-request-method": method}
    with serving(Origins(ORIGINS).open_to(app)) as url:
        assert httpx.options(url, headers=asked).status_code == may


def test_a_star_is_everybody() -> None:
    with serving(Origins(["*"]).open_to(app)) as url:
        answer = httpx.get(url, headers={"origin": "https://anybody.example"})
    assert answer.headers["access-control-allow-origin"] == "*"


def test_without_origins_nothing_comes_between() -> None:
    assert Origins([]).open_to(app) is app


OWN, CROSS = {"sec-fetch-site": "same-origin"}, {"sec-fetch-site": "cross-site"}


@pytest.mark.parametrize(
    ("headers", "may"),
    [
        ({}, True),  # no browser
        ({"origin": "https://here.example"}, True),  # its own page, by a browser of before 2023
        ({"origin": "http://HERE.example"}, True),  # a proxy took the s away
        (OWN | {"origin": "https://public.example"}, True),  # a proxy gave it another Host
        ({"sec-fetch-site": "none"}, True),
        ({"origin": "https://app.example.com"}, True),
        (CROSS | {"origin": "https://app.example.com"}, True),
        (CROSS | {"origin": "http://localhost:5173"}, True),
        ({"origin": "https://evil.example"}, False),
        (CROSS | {"origin": "https://evil.example"}, False),
        (CROSS | {"origin": "https://here.example"}, False),
        ({"origin": "https://here.example.evil.example"}, False),
        ({"origin": "http://localhost.evil.example"}, False),
        ({"origin": "null"}, False),
        (CROSS, False),  # an image's address
        ({"sec-fetch-site": "same-site"}, False),
    ],
)
def test_what_changes_something_is_closed_to_pages_of_others(
    headers: dict[str, str], may: bool
) -> None:
    sent = {"host": "here.example"} | headers
    scope = {
        "method": "POST",
        "path": "/drop",
        "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
    }
    with nullcontext() if may else pytest.raises(HTTPError, match="403: POST /drop is closed"):
        Origins(ORIGINS).check(scope)
