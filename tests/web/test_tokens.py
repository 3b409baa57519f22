import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from pydantic import SecretStr

from bentos.settings import SecuritySettings
from bentos.web.auth.tokens import Insecure, Tokens, Unauthorized
from tests.stack import wait_for

SECRET = "0123456789abcdef" * 2
MARK = "0123456789abcdef"
Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def settings() -> SecuritySettings:
    return SecuritySettings(secret=SecretStr(SECRET), leeway_seconds=2)


def claims() -> dict[str, Any]:
    """What is in a good token."""
    now = int(time.time())
    times = {"iat": now, "nbf": now, "exp": now + 60}
    return times | {"iss": "ascenso", "aud": "ascenso", "sub": "ana", "scope": "", "mark": MARK}


def pem(folder: Path, key: Any) -> Path:
    path = folder / "key.pem"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


def encoded(part: object) -> bytes:
    text = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=")


def by_hand(header: dict[str, str], secret: bytes) -> str:
    """A token as no library would make it."""
    signed = encoded(header) + b"." + encoded(claims())
    mac = hmac.digest(secret, signed, hashlib.sha256) if secret else b""
    return (signed + b"." + encoded(mac)).decode()


@pytest.mark.parametrize("admin", [True, False])
def test_reads_what_it_issued(settings: SecuritySettings, admin: bool) -> None:
    tokens = Tokens(settings)
    said = tokens.read(tokens.issue("ana", MARK, admin))
    assert (said.sub, said.mark, said.admin) == ("ana", MARK, admin)
    assert abs(said.exp - time.time() - 30 * 60) < 60


def test_another_process_reads_it_too(settings: SecuritySettings) -> None:
    assert Tokens(settings).read(Tokens(settings).issue("ana", MARK, True)).sub == "ana"


def test_takes_what_pyjwt_makes(settings: SecuritySettings) -> None:
    assert Tokens(settings).read(jwt.encode(claims(), SECRET)).sub == "ana"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(exp=c["exp"] - 70), "has expired"),
        (lambda c: c.update(nbf=c["nbf"] + 30), "not yet valid"),
        (lambda c: c.update(iat=c["iat"] + 30), "not yet valid"),
        (lambda c: c.update(aud="others"), "[Aa]udience"),
        (lambda c: c.update(iss="others"), "[Ii]ssuer"),
        (lambda c: c.update(sub=7), "[Ss]ubject"),
        (lambda c: c.update(mark=7), "mark"),
        (lambda c: c.update(exp="soon"), "exp"),
        *(
            (lambda c, name=name: c.pop(name), f'"{name}" claim')
            for name in ("iss", "aud", "sub", "iat", "nbf", "exp", "mark")
        ),
    ],
)
def test_a_wrong_claim_is_named(settings: SecuritySettings, change: Change, message: str) -> None:
    said = claims()
    change(said)
    with pytest.raises(Unauthorized, match=message) as refused:
        Tokens(settings).read(jwt.encode(said, SECRET))
    assert refused.value.headers == {"www-authenticate": 'Bearer error="invalid_token"'}


def test_clocks_may_differ_by_the_leeway(settings: SecuritySettings) -> None:
    tokens = Tokens(settings.model_copy(update={"leeway_seconds": 60}))
    said = claims()
    said.update(exp=int(time.time()) - 30, nbf=int(time.time()) + 30)
    assert tokens.read(jwt.encode(said, SECRET)).sub == "ana"


@pytest.mark.parametrize(
    "token",
    [
        by_hand({"alg": "none", "typ": "JWT"}, b""),
        by_hand({"alg": "None"}, b""),
        by_hand({"alg": "HS256"}, b""),
        by_hand({"alg": "HS256"}, b"not the secret of this service, but as long"),
        by_hand({"alg": "HS512"}, SECRET.encode()),
        by_hand({"typ": "JWT"}, SECRET.encode()),
        jwt.encode(claims(), SECRET * 2, "HS512"),
        "",
        "a.b.c",
        "not a token",
        "x" * 5000,
        jwt.encode(claims(), SECRET)[:-4],
    ],
)
def test_a_forged_token_is_refused(settings: SecuritySettings, token: str) -> None:
    with pytest.raises(Unauthorized, match="not good here"):
        Tokens(settings).read(token)


@pytest.mark.parametrize("algorithm", ["RS256", "EdDSA"])
def test_signs_with_a_key_file(tmp_path: Path, algorithm: str) -> None:
    def made() -> Any:
        return generate_rsa(65537, 2048) if algorithm == "RS256" else Ed25519PrivateKey.generate()

    key = made()
    settings = SecuritySettings(algorithm=algorithm, key_file=pem(tmp_path, key))  # type: ignore[arg-type]
    tokens = Tokens(settings)
    assert tokens.read(tokens.issue("ana", MARK, True)).admin
    assert tokens.read(jwt.encode(claims(), key, algorithm)).sub == "ana"
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    confused = by_hand({"alg": "HS256", "typ": "JWT"}, public)  # the public key as a secret
    with pytest.raises(Unauthorized):
        tokens.read(confused)
    with pytest.raises(Unauthorized):
        tokens.read(jwt.encode(claims(), made(), algorithm))


def test_a_known_token_expires_too(settings: SecuritySettings) -> None:
    tokens = Tokens(settings.model_copy(update={"leeway_seconds": 0}))
    said = claims()
    said["exp"] = int(time.time()) + 5
    token = jwt.encode(said, SECRET)
    assert tokens.read(token) is tokens.read(token)
    wait_for(lambda: time.time() > said["exp"], 60)
    with pytest.raises(Unauthorized, match="expired"):
        tokens.read(token)


def test_a_forged_token_is_not_remembered(settings: SecuritySettings) -> None:
    tokens = Tokens(settings)
    forged = jwt.encode(claims(), SECRET[::-1])
    for _ in range(2):
        with pytest.raises(Unauthorized):
            tokens.read(forged)


@pytest.mark.parametrize("secret", ["", "short", "x" * 31])
def test_a_weak_secret_stops_the_start(secret: str) -> None:
    with pytest.raises(Insecure, match=f"has {len(secret)} bytes.*ASCENSO_SECURITY__SECRET") as no:
        Tokens(SecuritySettings(secret=SecretStr(secret)))
    assert not secret or secret not in str(no.value)


def test_a_key_that_does_not_fit_stops_the_start(tmp_path: Path) -> None:
    weak = generate_rsa(65537, 1024)
    path = tmp_path / "key.pem"
    cases: list[tuple[str, Any, str]] = [
        ("RS256", None, "key_file is not set"),
        ("RS256", b"nonsense", "cannot be used"),
        ("RS256", Ed25519PrivateKey.generate(), "is no key for RS256"),
        ("EdDSA", generate_private_key(SECP256R1()), "is no key for EdDSA"),
        ("RS256", weak, "has 1024 bits"),
    ]
    for algorithm, key, message in cases:
        if isinstance(key, bytes):
            path.write_bytes(key)
        elif key:
            pem(tmp_path, key)
        settings = SecuritySettings(
            algorithm=algorithm,  # type: ignore[arg-type]
            key_file=path if key else None,
        )
        with pytest.raises(Insecure, match=message):
            Tokens(settings)
    path.unlink()
    with pytest.raises(Insecure, match="No such file"):
        Tokens(SecuritySettings(algorithm="RS256", key_file=path))
