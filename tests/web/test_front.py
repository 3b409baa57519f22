"""The short way past BentoML's middlewares: what they did holds on it, after each upgrade too."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import bentoml
import httpx
import pytest
import uvicorn
from bentoml._internal.configuration.containers import BentoMLContainer
from opentelemetry.util.http import ExcludeList
from starlette.types import ASGIApp

from bentos.bento.front import Front
from bentos.bento.service import OPTIONS
from bentos.settings import SecuritySettings, Settings
from bentos.web.app import App, Site
from bentos.web.auth.gate import Gate
from bentos.web.index import Index
from tests.stack import wait_for
from tests.web.scrape import value
from tests.web.serving import serving
from tests.web.small import Gated, gated_slot, small_app, small_slot

POINT = {"x": 1.5, "y": 2}


def bento(site: Site) -> ASGIApp:
    """What BentoML serves of a site, with the options of our services."""

    @bentoml.service(name="small", **OPTIONS)
    class Small:
        @staticmethod
        def build(settings: Settings) -> Site:
            return site

    service: Any = Small
    app: ASGIApp = service.to_asgi()
    return app


@contextmanager
def fronted(app: App) -> Iterator[str]:
    with serving(bento(app), lifespan="on") as url:
        yield url


def test_no_middleware_of_bentoml_is_needed() -> None:
    """Where this fails after an upgrade, see what the new middleware does: calls go through it."""
    assert isinstance(bento(small_app(small_slot())), Front)


def test_an_upload_may_take_as_long_as_its_setting_says() -> None:
    front: Any = bento(small_app(small_slot()))
    given = [one.kwargs for one in front._app.user_middleware]
    timeouts = [kwargs["timeout"] for kwargs in given if "timeout" in kwargs]
    assert timeouts == [Settings().uploads.seconds + 5]


@pytest.fixture(params=["tracing", "access log"])
def switched_on(request: pytest.FixtureRequest) -> Iterator[None]:
    """As BENTOML_CONFIG or its like may do, which a process reads once."""
    if request.param == "tracing":
        BentoMLContainer.tracing_excluded_urls.set(ExcludeList([]))
        yield
        BentoMLContainer.tracing_excluded_urls.reset()
    else:
        with pytest.MonkeyPatch.context() as patch:
            option = '{"services": {"small": {"logging": {"access": {"enabled": true}}}}}'
            patch.setenv("BENTOML_CONFIG_OVERRIDES", option)
            yield


@pytest.mark.usefixtures("switched_on")
def test_what_is_switched_on_sees_every_call() -> None:
    app = bento(small_app(small_slot()))
    assert not isinstance(app, Front)
    with serving(app, lifespan="on") as url:
        assert httpx.post(f"{url}/add", json=POINT).json() == {"total": 3.5}


def test_only_calls_of_hot_routes_take_it() -> None:
    seen: list[str] = []
    small = small_app(small_slot())
    open_to_all = Settings(security=SecuritySettings(guarded=[]))
    app = bento(Index([small], Gate(open_to_all)))
    assert isinstance(app, Front)
    inner = app._app

    async def spied(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"] if scope["type"] == "lifespan" else scope["path"])
        await inner(scope, receive, send)

    app._app = spied
    with serving(app, lifespan="on") as url:
        assert httpx.post(f"{url}/small/add", json=POINT).json() == {"total": 3.5}
        assert httpx.get(f"{url}/small/releases").status_code == 200
        assert httpx.post(f"{url}/small/nothing").status_code == 404
        assert httpx.post(f"{url}/other/add").status_code == 404
        evil = {"host": "evil.example"}
        assert httpx.post(f"{url}/small/add", json=POINT, headers=evil).status_code == 403
    paths = [path for path in seen if path != "lifespan"]
    assert paths == ["/small/releases", "/small/nothing", "/other/add"]


def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    with fronted(small_app(small_slot(), timeout=0.3)) as url:
        address = urlsplit(url)
        with socket.create_connection((address.hostname, address.port), timeout=60) as call:
            call.sendall(b"POST /add HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20\r\n\r\n{")
            assert call.recv(1000).startswith(b"HTTP/1.1 504 ")
        assert httpx.post(f"{url}/add", json=POINT).status_code == 200


def test_a_model_that_takes_too_long_is_not_waited_for() -> None:
    gated = Gated()
    slot = small_slot(gated, row_seconds=0.01)  # as it was measured: it is slower by now
    with fronted(small_app(slot, timeout=0.3)) as url:
        with ThreadPoolExecutor(3) as pool:
            calls = list(pool.map(lambda _: httpx.post(f"{url}/add", json=POINT), range(3)))
        gated.go_on.set()
        assert [call.status_code for call in calls] == [504] * 3
        assert "adder took longer than" in calls[0].json()["detail"]
        assert httpx.post(f"{url}/add", json=POINT).status_code == 200


def test_a_body_is_bounded_and_calls_are_counted() -> None:
    with fronted(small_app(small_slot())) as url:
        seen = {"service": "small", "route": "/add", "status": "413"}
        before = value(url, "ascenso_requests_total", **seen)
        assert httpx.post(f"{url}/add", content=b"[" + b" " * 20_000).status_code == 413
        assert value(url, "ascenso_requests_total", **seen) - before == 1


def test_the_end_waits_for_calls_in_flight() -> None:
    gated = Gated()
    app = bento(small_app(gated_slot(gated)))
    server = uvicorn.Server(uvicorn.Config(app, "127.0.0.1", 0, log_config=None))
    thread = Thread(target=server.run)
    thread.start()
    wait_for(lambda: server.started, 60)
    url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(httpx.post, f"{url}/add", json=POINT, timeout=60)
        assert gated.begun.wait(60)
        server.should_exit = True
        wait_for(lambda: not server.servers[0].sockets, 60)
        gated.go_on.set()
        assert call.result().json() == {"total": 3.5}
    thread.join(60)
    assert not thread.is_alive()
