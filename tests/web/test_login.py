import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import jwt
import pytest

from bentos.web.auth.login import Credentials
from tests.web.guarded import PASSWORD, login, secured, users_of
from tests.web.serving import serving
from tests.web.small import small_app, small_slot


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A small guarded service with the users ana (an admin) and eva."""
    home = tmp_path_factory.mktemp("home")
    settings = secured(home, login_rate="1000/minute")
    users_of(settings).add("ana", PASSWORD, admin=True)
    users_of(settings).add("eva", PASSWORD)
    with serving(small_app(small_slot(), settings=settings)) as url:
        yield url


@pytest.mark.parametrize(("name", "scope"), [("ana", "admin"), ("eva", "")])
def test_a_user_gets_a_token(url: str, name: str, scope: str) -> None:
    answer = login(url, name)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json().keys() == {"access_token", "token_type"}
    assert answer.json()["token_type"] == "bearer"
    claims = jwt.decode(answer.json()["access_token"], options={"verify_signature": False})
    assert (claims["sub"], claims["scope"]) == (name, scope)
    assert claims["exp"] - claims["iat"] == 30 * 60
    assert abs(claims["iat"] - time.time()) < 60


@pytest.mark.parametrize(
    ("name", "password"),
    [("ana", "not her password"), ("ana", ""), ("nobody", PASSWORD), ("", ""), ("ANA", PASSWORD)],
)
def test_wrong_credentials_answer_all_the_same(url: str, name: str, password: str) -> None:
    answer = login(url, name, password)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json() == {"detail": "The user name or the password is wrong"}


@pytest.mark.parametrize(
    ("body", "status", "loc"),
    [
        (b"", 422, ["body"]),
        (b"[]", 422, ["body"]),
        (b'{"username": "ana"}', 422, ["body", "password"]),
        (b'{"username": "ana", "password": 7}', 422, ["body", "password"]),
        (b'{"username": "ana", "password": "x", "role": "admin"}', 422, ["body", "role"]),
        (b'{"username": "%s", "password": "x"}' % (b"a" * 65), 422, ["body", "username"]),
        (b'{"username": "ana", "password": "%s"}' % (b"a" * 1025), 422, ["body", "password"]),
        (b" " * 9000, 413, None),
    ],
)
def test_a_malformed_login_is_refused(
    url: str, body: bytes, status: int, loc: list[str] | None
) -> None:
    answer = httpx.post(f"{url}/auth/login", content=body)
    assert answer.status_code == status
    if loc:
        assert answer.json()["detail"][0]["loc"] == loc
    assert httpx.get(f"{url}/auth/login").status_code == 405


def test_guesses_made_at_once_are_counted(tmp_path: Path) -> None:
    settings = secured(tmp_path, login_rate="3/minute")
    users_of(settings).add("ana", PASSWORD)
    app = small_app(small_slot(), settings=settings)
    with serving(app) as url, ThreadPoolExecutor(12) as pool:
        assert [login(url).status_code for _ in range(4)] == [200] * 4  # these do not count
        guesses = list(pool.map(lambda n: login(url, "ana", f"guess {n}"), range(12)))
        statuses = [answer.status_code for answer in guesses]
        assert set(statuses) == {401, 429}
        assert 3 <= statuses.count(401) <= 4  # two are looked at at a time
        refused = next(answer for answer in guesses if answer.status_code == 429)
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert re.match("Failed logins of ana: 3 per 1 minute", refused.json()["detail"])
        assert login(url).status_code == 429  # with the right password, too
        other = login(url, "eva", PASSWORD)
        assert other.status_code == 429
        assert other.json()["detail"].startswith("Failed logins from 127.0.0.1: 3 per 1 min")


def test_a_password_shows_in_no_trace() -> None:
    assert PASSWORD not in repr(Credentials("ana", PASSWORD))
