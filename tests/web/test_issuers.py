"""Tokens of a company's own issuer."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm
from pydantic import ValidationError
from starlette.types import Scope

from bentos.settings import SecuritySettings, Settings
from bentos.web.auth import issuers
from bentos.web.auth.gate import Gate
from bentos.web.auth.guard import Guard
from bentos.web.auth.tokens import Unauthorized
from bentos.web.errors import HTTPError, Unavailable
from tests.openid import EC, ED, RSA, Provider, providing
from tests.stack import wait_for
from tests.web.guarded import secured
from tests.web.serving import serving
from tests.web.small import small_app, small_slot


@pytest.fixture
def provider() -> Iterator[Provider]:
    with providing() as made:
        yield made


def known(provider: Provider, **settings: Any) -> issuers.Issuers:
    """The issuer, whose keys were fetched."""
    said = {"audience": "ascenso", "name": "email"} | settings
    made = issuers.Issuers(SecuritySettings.model_validate({"issuers": {provider.url: said}}))
    made.start()
    return made


def member(made: issuers.Issuers, token: str) -> issuers.Member:
    """Whose a token is, once the keys are there."""
    found: list[issuers.Member | None] = []

    def asked() -> bool:
        try:
            found.append(made.member(token))
        except Unavailable:
            return False
        return True

    wait_for(asked, 60)
    assert found[0]
    return found[0]


@pytest.mark.parametrize(
    ("key", "algorithm", "kid"),
    [(RSA, "RS256", "rsa"), (RSA, "PS512", "rsa"), (EC, "ES256", "ec"), (ED, "EdDSA", "ed")],
)
def test_its_tokens_hold(provider: Provider, key: Any, algorithm: str, kid: str) -> None:
    made = known(provider)
    found = member(made, provider.token(key, algorithm, kid))
    assert (found.name, found.admin) == ("ana@example.com", False)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"aud": "payroll"}, "Audience"),
        ({"exp": 1}, "expired"),
        ({"exp": None}, '"exp"'),
        ({"nbf": 4_000_000_000}, "not yet valid"),
        ({"email": None}, "email names nobody"),
        ({"email": ["ana"]}, "email names nobody"),
        ({"email": "ana\nroot"}, "email names nobody"),
        ({"email": "a" * 300}, "email names nobody"),
    ],
)
def test_what_does_not_hold(provider: Provider, changed: dict[str, Any], why: str) -> None:
    made = known(provider)
    member(made, provider.token())
    with pytest.raises(Unauthorized, match=why):
        made.member(provider.token(**changed))


def test_what_is_forged(provider: Provider) -> None:
    made = known(provider)
    member(made, provider.token())
    other = rsa.generate_private_key(65537, 2048)
    secret = b"0123456789abcdef0123456789abcdef"
    forged = [
        provider.token(other),
        provider.token(RSA, kid="ec"),
        jwt.encode(provider.claims(), secret, "HS256", {"kid": "shared"}),
        jwt.encode(provider.claims(), "", "none", {"kid": "rsa"}),
        provider.token(RSA, kid="no-such-key"),
        provider.token(RSA, kid=""),
    ]
    for token in forged:
        with pytest.raises(Unauthorized):
            made.member(token)
    assert made.member("no.token.atall") is None
    assert made.member(provider.token(iss="https://elsewhere.example.com")) is None


def test_who_may_call_and_who_is_admin(provider: Provider) -> None:
    made = known(
        provider,
        callers={"groups": ["gas", "data"], "scope": ["models"]},
        admins={"realm_access.roles": ["ml-admin"], "https://example.com/roles": ["boss"]},
    )
    assert not member(made, provider.token(groups=["gas"])).admin
    assert not member(made, provider.token(scope="openid models")).admin
    roles: dict[str, Any] = {"realm_access": {"roles": ["ml-admin"]}}
    assert member(made, provider.token(groups=["data"], **roles)).admin
    named: dict[str, Any] = {"https://example.com/roles": "boss"}
    assert member(made, provider.token(groups=["data"], **named)).admin
    with pytest.raises(HTTPError, match=r"ana@example\.com may not call") as refused:
        made.member(provider.token(groups=["heat"], realm_access="ml-admin"))
    assert refused.value.status == 403


def test_a_new_key_is_fetched_once_a_token_names_it(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(issuers, "SOON", 0.0)
    made = known(provider)
    member(made, provider.token())
    new = rsa.generate_private_key(65537, 2048)
    provider.keys = {"new": RSAAlgorithm.to_jwk(new.public_key(), as_dict=True)}

    def holds() -> bool:
        try:
            return made.member(provider.token(new, kid="new")) is not None
        except Unauthorized:
            return False

    wait_for(holds, 60)
    with pytest.raises(Unauthorized, match="publishes no key 'rsa'"):
        made.member(provider.token(exp=int(time.time()) + 61))


def test_many_unknown_keys_do_not_flood_it(provider: Provider) -> None:
    made = known(provider)
    member(made, provider.token())
    for number in range(50):
        with pytest.raises(Unauthorized):
            made.member(provider.token(kid=f"k{number}"))
    assert provider.asked == 1


def test_while_it_is_away_its_tokens_wait(provider: Provider) -> None:
    provider.status = 500
    made = known(provider)
    wait_for(lambda: "500" in _refused(made, provider.token()), 60)
    provider.status = 200
    assert member(made, provider.token()).name == "ana@example.com"


def test_another_issuer_at_its_address_is_not_believed(provider: Provider) -> None:
    provider.says = "https://elsewhere.example.com"
    made = known(provider)
    wait_for(lambda: "elsewhere" in _refused(made, provider.token()), 60)


def test_addresses_that_anybody_could_answer_for_are_no_setting() -> None:
    for values in (
        {"http://login.example.com": {"audience": "ascenso"}},
        {"https://login.example.com": {"audience": "ascenso", "keys_url": "http://example.com/k"}},
    ):
        with pytest.raises(ValidationError, match="must begin with https://"):
            SecuritySettings.model_validate({"issuers": values})


def test_a_guarded_service_takes_both_kinds(provider: Provider, tmp_path: Path) -> None:
    said = {"audience": "ascenso", "admins": {"groups": ["ml"]}}
    settings: Settings = secured(tmp_path, issuers={provider.url: said})
    gate = Gate(settings)
    token = provider.token(groups=["ml"])
    wait_for(lambda: gate.is_admin(_request(token)), 60)
    assert gate.caller(_request(token)).username == "7f-1"
    with pytest.raises(Unauthorized, match="removed"):
        gate.caller(_request(gate.tokens.issue("ana", "mark", admin=True)))


def test_its_token_opens_the_console(provider: Provider, tmp_path: Path) -> None:
    settings = secured(tmp_path, issuers={provider.url: {"audience": "ascenso"}})
    app = small_app(small_slot(), settings=settings)
    wait_for(lambda: known_to(app.guard, provider.token()), 60)
    with serving(app) as url, httpx.Client(base_url=url, timeout=60) as client:
        answer = client.post("/console/login", data={"token": provider.token()})
        assert answer.status_code == 303
        assert "7f-1" in client.get("/", headers={"accept": "text/html"}).text
        long = client.post("/console/login", data={"token": provider.token(groups=["g" * 4000])})
        assert (long.status_code, "makes no session" in long.text) == (413, True)


def known_to(guard: Guard, token: str) -> bool:
    """Whether the issuer's keys are there."""
    try:
        return guard._gate.issuers.member(token) is not None
    except Unavailable:
        return False


def _refused(made: issuers.Issuers, token: str) -> str:
    try:
        made.member(token)
    except Unavailable as error:
        return str(error)
    return ""


def _request(token: str) -> Scope:
    return {"type": "http", "headers": [(b"authorization", f"Bearer {token}".encode())]}
