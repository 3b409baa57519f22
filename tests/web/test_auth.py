import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import jwt
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Router

from bentos.settings import ServiceSettings, Settings
from bentos.web.app import App
from bentos.web.auth.tokens import Insecure
from bentos.web.auth.users import UserFile
from bentos.web.endpoint import Endpoint
from tests.web.guarded import PASSWORD, bearer, secured, users_of
from tests.web.scrape import value
from tests.web.serving import serving
from tests.web.small import small_app, small_slot

SECRET = "0123456789abcdef" * 4
POINT = {"x": 1.5, "y": 2}


async def whoami(request: Request) -> Response:
    return PlainTextResponse(f"{request.user.display_name} {request.user.admin}")


async def changed(request: Request) -> Response:
    return PlainTextResponse("changed")


def guarded_app(settings: Settings) -> App:
    """Two numbers are added for users; only admins drop things."""
    drop = Endpoint("POST", "/things/{id}/drop", changed, "Drop", access="admins")
    empty = Endpoint("GET", "/empty", changed, "Empty", access="admins")
    endpoints = [Endpoint("GET", "/whoami", whoami), drop, empty]
    return small_app(small_slot(), endpoints=endpoints, settings=settings)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    opened = ["/docs", "/docs/assets/*", "/livez", "/metrics", "/auth/login"]
    return secured(
        tmp_path_factory.mktemp("home"),
        secret=SECRET,
        open={"default": opened, "small": ["/releases"]},
    )


@pytest.fixture(scope="module")
def users(settings: Settings) -> UserFile:
    users = users_of(settings)
    users.add("ana", PASSWORD, admin=True)
    users.add("eva", PASSWORD)
    return users


@pytest.fixture(scope="module", params=["", "/small"], ids=["alone", "mounted"])
def url(request: pytest.FixtureRequest, settings: Settings, users: UserFile) -> Iterator[str]:
    """The guarded service, alone and mounted under a prefix."""
    prefix: str = request.param
    app = guarded_app(settings)
    with serving(Router([Mount(prefix, app)]) if prefix else app) as url:
        yield url + prefix


@pytest.fixture(scope="module")
def ana(url: str) -> dict[str, str]:
    return bearer(url, "ana")


@pytest.fixture(scope="module")
def eva(url: str) -> dict[str, str]:
    return bearer(url, "eva")


def with_claims(header: dict[str, str], **changes: object) -> dict[str, str]:
    """The same token with other claims, signed as well as the service does."""
    token = header["authorization"].removeprefix("Bearer ")
    claims = jwt.decode(token, SECRET, ["HS256"], audience="ascenso")
    return {"authorization": f"Bearer {jwt.encode(claims | changes, SECRET)}"}


def test_a_token_opens_every_route(url: str, eva: dict[str, str]) -> None:
    assert httpx.post(f"{url}/add", json=POINT, headers=eva).json() == {"total": 3.5}
    assert httpx.get(f"{url}/whoami", headers=eva).text == "eva False"
    lower = {"authorization": eva["authorization"].replace("Bearer", "bearer")}
    assert httpx.get(f"{url}/whoami", headers=lower).text == "eva False"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/add"),
        ("POST", "/add/"),
        ("GET", "/whoami"),
        ("GET", "//whoami"),
        ("GET", "/docs/../whoami"),
        ("GET", "/docsandmore"),
        ("POST", "/reload"),
        ("GET", "/history"),
        ("GET", "/nothing"),
        ("HEAD", "/whoami"),
        ("OPTIONS", "/whoami"),
        ("GET", "/openapi.json"),
    ],
)
def test_without_a_token_nothing_opens(url: str, method: str, path: str) -> None:
    answer = httpx.request(method, url + path)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("header", [None, "", "Bearer", "Basic YW5hOmFuYQ==", "Token x"])
def test_a_token_is_asked_for(url: str, header: str | None) -> None:
    headers = {} if header is None else {"authorization": header}
    answer = httpx.get(f"{url}/whoami", headers=headers)
    assert answer.status_code == 401
    assert answer.json() == {"detail": "A token is needed: POST /auth/login gives one"}


@pytest.mark.parametrize(
    "path", ["/docs", "/docs/assets/swagger-ui.css", "/livez", "/metrics", "/releases"]
)
def test_open_paths_need_none(url: str, path: str) -> None:
    assert httpx.get(url + path).status_code == 200


def test_a_bad_token_is_named(url: str, eva: dict[str, str]) -> None:
    cases = [
        (with_claims(eva, exp=int(time.time()) - 60), "The token has expired: log in again"),
        (with_claims(eva, aud="others"), "The token is not good here: Audience doesn't match"),
        (with_claims(eva, sub="nobody"), "nobody was removed or has another password now"),
        (with_claims(eva, mark="0" * 16), "eva was removed or has another password now"),
        ({"authorization": "Bearer a.b.c"}, "The token is not good here: "),
        ({"authorization": "Bearer \xe9"}, "The token is not good here: "),
    ]
    for headers, message in cases:
        raw = {name.encode(): text.encode("latin-1") for name, text in headers.items()}
        answer = httpx.post(f"{url}/add", json=POINT, headers=raw)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'
        assert answer.json()["detail"].startswith(message)


def test_what_changes_state_is_for_admins(
    url: str, ana: dict[str, str], eva: dict[str, str]
) -> None:
    for path, allowed in (("/things/7/drop", 200), ("/reload", 503)):  # 503: there is no watcher
        answer = httpx.post(url + path, headers=eva)
        assert answer.status_code == 403
        assert 'error="insufficient_scope", scope="admin"' in answer.headers["www-authenticate"]
        message = f"POST {path} needs the scope admin, which eva has not"
        assert answer.json() == {"detail": message}
        assert httpx.post(url + path, headers=ana).status_code == allowed
        forged = with_claims(eva, scope="admin")  # what she was before, say
        assert httpx.post(url + path, headers=forged).status_code == 403


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_a_get_changes_is_for_admins(
    url: str, ana: dict[str, str], eva: dict[str, str], method: str
) -> None:
    assert httpx.request(method, f"{url}/empty", headers=eva).status_code == 403
    assert httpx.request(method, f"{url}/empty", headers=ana).status_code == 200


def test_a_user_who_is_removed_or_demoted_is_so_at_once(url: str, users: UserFile) -> None:
    users.add("ines", PASSWORD, admin=True)
    header = bearer(url, "ines")
    assert httpx.get(f"{url}/whoami", headers=header).text == "ines True"
    text = users.path.read_text()
    users.path.write_text(text.replace("true", "false"))
    assert httpx.get(f"{url}/whoami", headers=header).text == "ines False"
    users.path.write_text(text)
    assert httpx.get(f"{url}/whoami", headers=header).text == "ines True"
    users.remove("ines")
    assert httpx.get(f"{url}/whoami", headers=header).status_code == 401
    users.add("ines", PASSWORD)
    assert httpx.get(f"{url}/whoami", headers=header).status_code == 401
    assert httpx.get(f"{url}/whoami", headers=bearer(url, "ines")).status_code == 200
    users.remove("ines")


def test_docs_tell_what_needs_a_token(url: str, eva: dict[str, str]) -> None:
    document = httpx.get(f"{url}/openapi.json", headers=eva).json()
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    paths = document["paths"]
    assert paths["/add"]["post"]["security"] == [{"bearer": []}]
    assert {"200", "401"} <= paths["/add"]["post"]["responses"].keys()
    assert "403" not in paths["/add"]["post"]["responses"]
    for path in ("/things/{id}/drop", "/reload"):
        assert {"401", "403"} <= paths[path]["post"]["responses"].keys()
    for path, method in (("/auth/login", "post"), ("/livez", "get"), ("/releases", "get")):
        assert "security" not in paths[path][method]
    assert {"200", "401", "422", "429"} == paths["/auth/login"]["post"]["responses"].keys()


def test_refusals_are_counted(url: str) -> None:
    seen = {"service": "small", "route": "refused", "status": "401"}
    before = value(url, "ascenso_requests_total", **seen)
    httpx.get(f"{url}/whoami")
    assert value(url, "ascenso_requests_total", **seen) - before == 1


@pytest.mark.parametrize("secret", ["", "short"])
def test_a_guarded_service_without_a_good_key_does_not_start(tmp_path: Path, secret: str) -> None:
    message = r"small must not run open \(security.guarded\): security.secret has \d bytes"
    with pytest.raises(Insecure, match=message):
        guarded_app(secured(tmp_path, secret=secret)).guard.check()


def test_other_services_need_neither_key_nor_token(tmp_path: Path) -> None:
    with serving(guarded_app(secured(tmp_path, secret="", guarded=["another"]))) as url:
        assert httpx.post(f"{url}/add", json=POINT).status_code == 200
        assert httpx.post(f"{url}/auth/login", json={}).status_code == 404


def test_pages_of_other_origins_see_the_refusal(tmp_path: Path) -> None:
    page = "https://app.example.com"
    services = ServiceSettings(cors_origins=[page])
    settings = secured(tmp_path).model_copy(update={"services": services})
    with serving(guarded_app(settings)) as url:
        asked = {"origin": page, "access-control-request-method": "POST"}
        assert httpx.options(f"{url}/add", headers=asked).status_code == 200
        answer = httpx.post(f"{url}/add", json=POINT, headers={"origin": page})
        assert answer.status_code == 401
        assert answer.headers["access-control-allow-origin"] == page


def test_calls_of_a_user_are_limited(tmp_path: Path) -> None:
    settings = secured(tmp_path, rate_limit="3/minute")
    for name in ("ana", "eva"):
        users_of(settings).add(name, PASSWORD)
    with serving(guarded_app(settings)) as url:
        ana, eva = bearer(url, "ana"), bearer(url, "eva")
        began = time.monotonic()
        answers = [httpx.post(f"{url}/add", json=POINT, headers=ana) for _ in range(5)]
        took = time.monotonic() - began
        assert [answer.status_code for answer in answers] == [200] * 3 + [429] * 2
        assert 59 - took <= int(answers[-1].headers["retry-after"]) <= 60
        assert answers[-1].json()["detail"].startswith("Calls of ana: 3 per 1 minute at most")
        assert httpx.post(f"{url}/add", json=POINT, headers=eva).status_code == 200
        assert {httpx.get(f"{url}/livez").status_code for _ in range(5)} == {200}


def test_calls_from_an_address_are_limited_where_nobody_logs_in(tmp_path: Path) -> None:
    settings = secured(tmp_path, rate_limit="2/minute", guarded=[])
    with serving(guarded_app(settings)) as url:
        answers = [httpx.post(f"{url}/add", json=POINT) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert answers[-1].json()["detail"].startswith("Calls from 127.0.0.1: 2 per 1 minute")


@pytest.mark.parametrize(
    ("setting", "text"), [("rate_limit", "often"), ("login_rate", "5/minute;9/hour")]
)
def test_a_wrong_rate_stops_the_start(tmp_path: Path, setting: str, text: str) -> None:
    with pytest.raises(ValueError, match=f"security.{setting} is '{text}'"):
        guarded_app(secured(tmp_path, **{setting: text}))
