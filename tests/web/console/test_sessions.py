"""Who sees the pages of a guarded service, and how a browser logs in."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from pathlib import Path

import httpx
import pytest

from bentos.settings import Settings
from bentos.web.app import App
from bentos.web.auth.gate import Gate
from bentos.web.console.places import back_to
from bentos.web.index import Index
from tests.web.guarded import PASSWORD, secured, users_of
from tests.web.serving import serving
from tests.web.small import small_app, small_slot

HTML = {"accept": "text/html"}


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[tuple[str, App]]:
    settings = secured(tmp_path, login_rate="3/minute")
    for name, admin in (("ana", True), ("bea", False)):
        users_of(settings).add(name, PASSWORD, admin)
    app = small_app(small_slot(), settings=settings)
    with serving(app) as url:
        yield url, app


@contextmanager
def logged_in(url: str, name: str = "ana", **fields: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, headers=HTML, timeout=60) as client:
        form = fields or {"username": name, "password": PASSWORD}
        answer = client.post("/console/login", data={**form, "next": "console/models/adder"})
        assert answer.status_code == 303, answer.text
        assert answer.headers["location"] == "../console/models/adder"
        yield client


def test_a_guarded_console_leads_to_the_login(guarded: tuple[str, App]) -> None:
    url, _ = guarded
    with httpx.Client(base_url=url, headers=HTML) as client:
        sent = client.get("/")
        assert (sent.status_code, sent.headers["location"]) == (303, "./console/login?next=")
        sent = client.get("/console/models/adder/rollback")
        wanted = "../../../console/login?next=console/models/adder"
        assert (sent.status_code, sent.headers["location"]) == (303, wanted)
        assert client.get("/console/login?next=console/models/adder").status_code == 200
        assert client.get("/", headers={"accept": "*/*"}).status_code == 401
        assert client.get("/console/events").status_code == 303, "no event without a token"


def test_a_session_opens_the_console_and_the_calls(guarded: tuple[str, App]) -> None:
    url, _ = guarded
    with logged_in(url) as client:
        cookie = next(iter(client.cookies.jar))
        assert (cookie.name, cookie.has_nonstandard_attr("HttpOnly")) == ("ascenso_session", True)
        assert cookie.get_nonstandard_attr("SameSite") == "strict"
        page = client.get("/console/models/adder")
        assert page.status_code == 200
        assert "ana (admin)" in page.text
        assert "Roll back" in page.text
        own = {"origin": url, "sec-fetch-site": "same-origin"}
        assert client.post("/add", json={"x": 1, "y": 2}, headers=own).status_code == 200
        near = {"origin": "http://127.0.0.1:5000", "sec-fetch-site": "same-site"}
        assert client.post("/add", json={"x": 1, "y": 2}, headers=near).status_code == 403

        assert client.post("/console/logout", data={"secret": "0" * 64}).status_code == 403
        secret = re.findall('name="secret" value="([0-9a-f]{64})"', page.text)[0]
        assert client.post("/console/logout", data={"secret": secret}).status_code == 303
        assert client.get("/").status_code == 303
    with logged_in(url, "bea") as client:
        page = client.get("/console/models/adder")
        assert "Roll back" not in page.text
        assert client.get("/console/models/adder/reload").status_code == 403


def test_a_token_becomes_a_session(guarded: tuple[str, App]) -> None:
    url, app = guarded
    gate: Gate = app.part.gate
    user = gate.users.get("ana")
    assert user
    with logged_in(url, token=gate.tokens.issue("ana", user.mark, True)) as client:
        assert client.get("/").status_code == 200
    wrong = httpx.post(f"{url}/console/login", data={"token": "a.b.c"})
    assert wrong.status_code == 401
    assert "The token is not good here" in unescape(wrong.text)


def test_guesses_are_counted_and_other_pages_log_nobody_in(guarded: tuple[str, App]) -> None:
    url, _ = guarded
    form = {"username": "ana", "password": "wrong horse battery"}
    statuses = [httpx.post(f"{url}/console/login", data=form).status_code for _ in range(4)]
    assert statuses == [401, 401, 401, 429]
    abroad = {"origin": "http://evil.example", "sec-fetch-site": "cross-site"}
    assert httpx.post(f"{url}/console/login", data=form, headers=abroad).status_code == 403
    assert httpx.post(f"{url}/console/login", json=form).status_code == 415
    unknown = httpx.post(f"{url}/console/login", data=form | {"admin": "true"})
    assert unknown.status_code == 422


def test_a_service_that_wants_no_token_shows_all_but_does_nothing_without_one() -> None:
    with serving(small_app(small_slot(), settings=Settings(home=Path("/nonexistent")))) as url:
        assert httpx.get(url, headers=HTML).status_code == 200
        page = httpx.get(f"{url}/console/models/adder/rollback", headers=HTML)
        assert page.status_code in (303, 403)
        acted = httpx.post(f"{url}/console/models/adder/rollback", data={"version": "1"})
        assert acted.status_code in (401, 403)


def test_a_stack_shows_of_guarded_services_their_names_alone(guarded: tuple[str, App]) -> None:
    _, app = guarded
    with serving(Index([app], app.part.gate)) as url:
        page = httpx.get(url, headers=HTML).text
        assert "wants a login" in page
        assert "version 1" not in page
        with httpx.Client(base_url=url, headers=HTML) as client:
            form = {"username": "ana", "password": PASSWORD}
            assert client.post("/console/login", data=form).status_code == 303
            page = client.get("/").text
            assert "version 1" in page
            assert 'href="small/console/models/adder"' in page
            below = client.get("/small/console/models/adder").text
            assert 'href="../../../console"' in below


@pytest.mark.parametrize(
    ("place", "kept"),
    [("console/models/a%20b", True), ("wine", True), ("//evil.example", False)]  # noqa: RUF005
    + [("console/models/..", False), ("https:x", False), ("..", False), ("a/b", False)],
)
def test_the_login_leads_back_to_pages_of_the_service_only(place: str, kept: bool) -> None:
    assert back_to(place) == (place if kept else "")
