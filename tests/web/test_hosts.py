from contextlib import nullcontext

import httpx
import pytest
from starlette.responses import PlainTextResponse

from bentos.settings import SecuritySettings, Settings
from bentos.web.auth.gate import Gate
from bentos.web.errors import HTTPError
from bentos.web.hosts import Hosts
from bentos.web.index import Index
from tests.web.serving import serving
from tests.web.small import small_app, small_slot


@pytest.mark.parametrize(
    ("host", "may"),
    [
        ("localhost", True),
        ("LOCALHOST:3000", True),
        ("app.localhost:3000", True),
        ("localhost.:3000", True),
        ("127.0.0.1:3000", True),
        ("[::1]:3000", True),
        ("192.0.2.7", True),  # no name, so nobody pointed it here
        ("api.example.com", True),
        ("API.example.com:443", True),
        ("evil.example", False),
        ("localhost.evil.example", False),
        ("evil.example:3000", False),
        ("api.example.com.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("notlocalhost", False),
    ],
)
@pytest.mark.parametrize("bound", ["127.0.0.1", "0.0.0.0"])
def test_a_service_on_loopback_goes_by_its_own_names(host: str, may: bool, bound: str) -> None:
    app = Hosts(["api.example.com"]).around(PlainTextResponse("ok"))
    with serving(app, host=bound) as url:
        answer = httpx.get(url, headers={"host": host})
    assert answer.status_code == (200 if may or bound == "0.0.0.0" else 403)
    assert answer.status_code == 200 or host.partition(":")[0] in answer.json()["detail"]


@pytest.mark.parametrize("server", [None, ("/run/ascenso.sock", None), ("192.0.2.7", 80)])
def test_other_machines_may_name_a_service_as_they_like(
    server: tuple[str, int | None] | None,
) -> None:
    Hosts([]).check({"server": server, "headers": [(b"host", b"evil.example")]})


@pytest.mark.parametrize(("names", "may"), [(["*"], True), ([], False)])
def test_a_star_is_any_name(names: list[str], may: bool) -> None:
    scope = {"server": ("127.0.0.1", 9), "headers": [(b"host", b"any.example")]}
    with nullcontext() if may else pytest.raises(HTTPError):
        Hosts(names).check(scope)


def test_every_door_of_a_service_is_closed_to_other_names() -> None:
    with serving(small_app(small_slot())) as url:
        for path in ("/add", "/releases", "/docs", "/nothing"):
            answer = httpx.post(url + path, headers={"host": "evil.example:80"})
            assert answer.status_code == 403, path


def test_so_is_every_place_of_the_stack() -> None:
    gate = Gate(Settings(security=SecuritySettings(guarded=[])))
    with serving(Index([small_app(small_slot())], gate)) as url:
        for path in ("/", "/releases", "/nothing", "/small", "/small/", "/small/releases"):
            answer = httpx.get(url + path, headers={"host": "evil.example:80"})
            assert (answer.status_code, list(answer.json())) == (403, ["detail"]), path
        assert httpx.get(f"{url}/small/releases").status_code == 200
        assert httpx.get(f"{url}/small").headers["location"].endswith("/small/")
