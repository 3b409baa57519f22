"""Who may call keras_api: those with a good token."""

import time
from typing import Any

import jwt
import pytest

from bentos.keras_api.client import CallFailed, KerasClient
from tests.keras_api.networks import ROW, SECONDS, SECRET, ask
from tests.stack import wait_for
from tests.web.guarded import bearer, login


def test_login(url: str) -> None:
    answer = login(url)
    assert answer.status_code == 200
    assert answer.json().keys() == {"access_token", "token_type"}
    assert answer.json()["token_type"] == "bearer"
    for wrong in (login(url, "ana", "not the password"), login(url, "nobody")):
        assert wrong.status_code == 401


def token(**changed: Any) -> str:
    """A token as the service makes them, but for what is changed."""
    now = int(time.time())
    claims: dict[str, Any] = {
        "iss": "ascenso",
        "aud": "ascenso",
        "sub": "ana",
        "scope": "",
        "mark": "0" * 16,
        "iat": now,
        "nbf": now,
        "exp": now + 86_400,
    } | changed
    return jwt.encode(claims, SECRET, "HS256")


@pytest.mark.parametrize(
    "bad",
    [
        "oops",
        token(exp=int(time.time()) - 60),
        token(aud="others"),
        token(iss="others"),
        token(),  # signed with the key, but for another password
        jwt.encode({"sub": "ana", "exp": 2**31}, "", "none"),
        jwt.encode({"sub": "ana", "exp": 2**31}, "x" * 32, "HS256"),
        jwt.encode({"sub": "ana", "exp": 2**31}, SECRET * 2, "HS512"),
    ],
    ids=["junk", "expired", "audience", "issuer", "mark", "alg-none", "forged", "hs512"],
)
def test_a_token_that_is_not_good_here(url: str, bad: str) -> None:
    for headers in ({"authorization": f"Bearer {bad}"}, {"authorization": bad}):
        answer = ask(url, {"data": [ROW], "model_id": "prueba"}, headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")


def test_no_token(url: str) -> None:
    answer = ask(url, {"data": [ROW], "model_id": "prueba"}, {"x-other": "1"})
    assert answer.status_code == 401
    assert answer.json() == {"detail": "A token is needed: POST /auth/login gives one"}


def test_a_token_ends_and_the_client_gets_another(url: str, client: KerasClient) -> None:
    headers = bearer(url)
    body = {"data": [ROW], "model_id": "prueba"}
    assert ask(url, body, headers).status_code == 200
    wait_for(lambda: ask(url, body, headers).status_code == 401, SECONDS)
    assert ask(url, body, headers).json()["detail"].startswith("The token has expired")
    assert client.predict([ROW], "prueba").predictions == [[6.0]]


def test_the_client_tells_what_is_wrong(url: str, client: KerasClient) -> None:
    with pytest.raises(CallFailed, match="404: No model 'nada'") as failed:
        client.predict([ROW], "nada")
    assert failed.value.status == 404
    with KerasClient(url, "ana", "not the password") as wrong, pytest.raises(CallFailed) as failed:
        wrong.predict([ROW], "prueba")
    assert failed.value.status == 401
    with KerasClient(url) as nobody, pytest.raises(CallFailed, match="A token is needed"):
        nobody.predict([ROW], "prueba")
