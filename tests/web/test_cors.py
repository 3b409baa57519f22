import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp

from bentos.web.cors import open_to
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
    with serving(open_to(ORIGINS, app)) as url:
        asked = {"origin": page, "access-control-request-method": "POST"}
        preflight = httpx.options(url, headers=asked)
        answer = httpx.get(url, headers={"origin": page})
    assert preflight.status_code == (200 if may else 400)
    told = page if may else None
    assert preflight.headers.get("access-control-allow-origin") == told
    assert answer.headers.get("access-control-allow-origin") == told


@pytest.mark.parametrize(("method", "may"), [("GET", 200), ("DELETE", 200), ("PUT", 400)])
def test_methods(method: str, may: int) -> None:
    asked = {"origin": ORIGINS[0], "access-control-request-method": method}
    with serving(open_to(ORIGINS, app)) as url:
        assert httpx.options(url, headers=asked).status_code == may


def test_a_star_is_everybody() -> None:
    with serving(open_to(["*"], app)) as url:
        answer = httpx.get(url, headers={"origin": "https://anybody.example"})
    assert answer.headers["access-control-allow-origin"] == "*"


def test_without_origins_nothing_comes_between() -> None:
    assert open_to([], app) is app
