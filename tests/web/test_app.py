import logging
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Router

from bentos.promotion.watcher import Watcher
from bentos.refusal import Refusal
from bentos.registry.client import Version
from bentos.settings import ServiceSettings, Settings
from bentos.web.endpoint import Endpoint
from bentos.web.observing import Metrics
from tests.memory import release
from tests.stack import free_ports
from tests.web.scrape import value
from tests.web.serving import serving
from tests.web.small import small_app, small_slot

POINT = {"x": 1.5, "y": 2}


@pytest.fixture(scope="module", params=["", "/small"], ids=["alone", "mounted"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A small service, alone and mounted under a prefix."""
    prefix: str = request.param
    app = small_app(small_slot(version="3"))
    with serving(Router([Mount(prefix, app)]) if prefix else app) as url:
        yield url + prefix


@pytest.mark.parametrize(("path", "text"), [("livez", "alive\n"), ("readyz", "ready\n")])
def test_tells_that_it_is_well(url: str, path: str, text: str) -> None:
    answer = httpx.get(f"{url}/{path}")
    assert (answer.status_code, answer.text) == (200, text)


def test_is_alive_but_not_ready_before_a_promotion() -> None:
    slot = small_slot(predict=None)
    with serving(small_app(slot)) as url:
        assert httpx.get(f"{url}/livez").status_code == 200
        answer = httpx.get(f"{url}/readyz")
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert answer.json() == {"detail": "No version serves yet of: adder"}
        slot.swap(release("1"))
        assert httpx.get(f"{url}/readyz").status_code == 200


def test_releases_tells_what_serves_and_who_was_refused() -> None:
    slot = small_slot(version="3")
    slot.refuse(Version("adder", "4"), Refusal("samples", "row 2 differs"))
    with serving(small_app(slot)) as url:
        answer = httpx.get(f"{url}/releases")
    assert answer.headers["content-type"] == "application/json"
    report = answer.json()
    assert report["service"] == "small"
    assert report["degraded"] == "the service is still starting"
    (reported,) = report["releases"]
    assert (reported["model"], reported["channel"]) == ("adder", "stage Production")
    assert reported["live"]["version"] == "3"
    assert reported["refused"]["version"] == "4"
    assert reported["refused"]["message"] == "row 2 differs"


def test_reload_waits_for_the_start(url: str) -> None:
    answer = httpx.post(f"{url}/reload")
    assert answer.status_code == 503
    assert answer.json() == {"detail": "The service is still starting"}
    assert httpx.get(f"{url}/reload").status_code == 405


def test_reload_tells_that_the_registry_is_down_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (port,) = free_ports(1)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://ana:hunter2@127.0.0.1:{port}")
    app = small_app(small_slot())
    app.following.watcher = Watcher(app.following.slots, Settings(home=tmp_path), Metrics())
    with serving(app) as url:
        answer = httpx.post(f"{url}/reload")
        assert answer.status_code == 503
        assert f"MLflow at http://127.0.0.1:{port} does not answer" in answer.json()["detail"]
        assert "hunter2" not in answer.text + httpx.get(f"{url}/releases").text + caplog.text
        assert httpx.post(f"{url}/add", json=POINT).json() == {"total": 3.5}


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("GET", "/nothing", 404, "Nothing answers at GET "),
        ("DELETE", "/releases", 405, "is not allowed; use "),
    ],
)
def test_a_wrong_address_is_named_in_json(
    url: str, method: str, path: str, status: int, message: str
) -> None:
    answer = httpx.request(method, url + path)
    assert answer.status_code == status
    assert message in answer.json()["detail"]


def test_a_slash_too_many_is_led_back(url: str) -> None:
    answer = httpx.post(f"{url}/add/", json=POINT, follow_redirects=True)
    assert answer.url == f"{url}/add"
    assert answer.json() == {"total": 3.5}


def test_of_a_route_that_fails_callers_get_an_id_only(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(request: Request) -> Response:
        raise ZeroDivisionError("the route's own secret")

    with serving(small_app(small_slot(), endpoints=[Endpoint("GET", "/broken", broken)])) as url:
        answer = httpx.get(f"{url}/broken")
        assert httpx.get(f"{url}/livez").status_code == 200
    assert answer.status_code == 500
    assert "secret" not in answer.text
    found = re.search(r"id (\w+)", answer.json()["detail"])
    assert found
    assert any(found[1] in record.getMessage() and record.exc_info for record in caplog.records)
    assert {record.levelno for record in caplog.records} >= {logging.ERROR}


def test_metrics_count_requests_and_rows_of_batches() -> None:
    with serving(small_app(small_slot(name="counted"))) as url:
        ok = {"service": "small", "route": "/add", "status": "200"}
        bad = ok | {"status": "422"}
        before = value(url, "ascenso_requests_total", **ok)
        before_bad = value(url, "ascenso_requests_total", **bad)
        httpx.post(f"{url}/add", json=POINT)
        httpx.post(f"{url}/add", json=[POINT] * 7)
        httpx.post(f"{url}/add", json={})
        assert value(url, "ascenso_requests_total", **ok) - before == 2
        assert value(url, "ascenso_requests_total", **bad) - before_bad == 1
        assert value(url, "ascenso_batch_rows_count", model="counted") == 2
        assert value(url, "ascenso_batch_rows_sum", model="counted") == 8
        assert value(url, "ascenso_batch_rows_bucket", model="counted", le="1.0") == 1
        assert value(url, "ascenso_batch_seconds_count", model="counted") == 2
        seen = {"service": "small", "route": "livez", "status": "200"}
        before = value(url, "ascenso_requests_total", **seen)
        httpx.get(f"{url}/livez")
        assert value(url, "ascenso_requests_total", **seen) - before == 1


def preflight(url: str, origin: str) -> httpx.Response:
    return httpx.options(
        f"{url}/add", headers={"origin": origin, "access-control-request-method": "POST"}
    )


def test_pages_of_named_origins_may_call() -> None:
    settings = Settings(services=ServiceSettings(cors_origins=["https://app.example.com"]))
    with serving(small_app(small_slot(version="3"), settings=settings)) as url:
        page = "https://app.example.com"
        assert preflight(url, page).headers["access-control-allow-origin"] == page
        for body, status in [(POINT, 200), ({}, 422)]:
            answer = httpx.post(f"{url}/add", json=body, headers={"origin": page})
            assert answer.status_code == status
            assert answer.headers["access-control-allow-origin"] == page
            assert answer.headers["access-control-expose-headers"] == "x-model-version"
        other = httpx.post(f"{url}/add", json=POINT, headers={"origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers
        assert preflight(url, "https://evil.example").status_code == 400


def test_without_origins_no_page_may_call(url: str) -> None:
    answer = preflight(url, "https://app.example.com")
    assert answer.status_code == 405
    posted = httpx.post(f"{url}/add", json=POINT, headers={"origin": "https://app.example.com"})
    assert posted.status_code == 200
    for headers in (answer.headers, posted.headers):
        assert not [name for name in headers if name.startswith("access-control")]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_pages_of_others_may_not_change_anything(method: str) -> None:
    async def drop(request: Request) -> Response:
        return Response()

    drops = [
        Endpoint(one, "/drop", drop, access="admins" if one == method else "callers")
        for one in ("GET", "POST")
    ]
    page = {"origin": "https://evil.example", "content-type": "text/plain"}
    with serving(small_app(small_slot(), endpoints=drops)) as url:
        assert httpx.request(method, f"{url}/drop").status_code == 200
        own = page | {"origin": url}
        assert httpx.request(method, f"{url}/drop", headers=own).status_code == 200
        assert httpx.request(method, f"{url}/drop", headers=page).status_code == 403
        assert httpx.post(f"{url}/reload", headers=page).status_code == 403
        assert httpx.post(f"{url}/add", json=POINT, headers=page).status_code == 200
