"""An OpenID provider of the tests: it publishes keys, and signs tokens."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from bentos.web.auth import issuers

RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()
PUBLISHED = {
    "rsa": RSAAlgorithm.to_jwk(RSA.public_key(), as_dict=True),
    "ec": ECAlgorithm.to_jwk(EC.public_key(), as_dict=True),
    "ed": OKPAlgorithm.to_jwk(ED.public_key(), as_dict=True),
    "shared": {"kty": "oct", "k": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"},
}


@dataclass
class Provider:
    """An OpenID provider, as far as services look at it."""

    url: str = ""
    keys: dict[str, dict[str, Any]] = field(default_factory=lambda: dict(PUBLISHED))
    status: int = 200
    asked: int = 0
    says: str = ""

    def answer(self, path: str) -> dict[str, Any]:
        if path == issuers.DISCOVERY:
            return {"issuer": self.says or self.url, "jwks_uri": f"{self.url}/keys"}
        self.asked += 1
        return {"keys": [{"kid": kid, **key} for kid, key in self.keys.items()]}

    def claims(self, **changed: object) -> dict[str, object]:
        now = int(time.time())
        said: dict[str, object] = {"iss": self.url, "aud": "ascenso", "sub": "7f-1"}
        said |= {"email": "ana@example.com", "iat": now, "exp": now + 60}
        return {name: value for name, value in (said | changed).items() if value is not None}

    def token(
        self, key: Any = RSA, algorithm: str = "RS256", kid: str = "rsa", **more: Any
    ) -> str:
        return jwt.encode(self.claims(**more), key, algorithm, {"kid": kid})


@contextmanager
def providing() -> Iterator[Provider]:
    """A provider that answers."""
    made = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(made.status)
            self.end_headers()
            self.wfile.write(json.dumps(made.answer(self.path)).encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made.url = f"http://127.0.0.1:{server.server_port}"
        Thread(target=server.serve_forever, daemon=True).start()
        yield made
        server.shutdown()
