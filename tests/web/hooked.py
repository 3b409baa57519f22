"""A service with a hook, a watcher that only counts what wakes it, and signed deliveries."""

import hashlib
import hmac
import time
import uuid
from base64 import b64encode
from dataclasses import dataclass, field

from bentos.promotion.watcher import Watcher
from bentos.web.hooks import Deliveries

SECRET = "not the one of any installation"
BODY = b'{"entity": "model_version_alias", "action": "created", "data": {"name": "contugas"}}'


class Sleeper(Watcher):
    """Counts how often it is woken, and does nothing else."""

    def __init__(self) -> None:
        self.woken = 0

    def wake(self) -> None:
        self.woken += 1


@dataclass
class Service:
    """A hook behind a real uvicorn, and its watcher, there once it has started."""

    deliveries: Deliveries
    sleeper: Sleeper = field(default_factory=Sleeper)
    started: bool = True
    url: str = ""

    @property
    def watcher(self) -> Watcher | None:
        return self.sleeper if self.started else None

    @property
    def woken(self) -> int:
        return self.sleeper.woken


def sign(identity: str, timestamp: str, body: bytes = BODY, secret: str = SECRET) -> str:
    """The signature of https://www.standardwebhooks.com, as MLflow writes it."""
    content = f"{identity}.{timestamp}.".encode("latin-1") + body
    digest = hmac.new(secret.encode(), content, hashlib.sha256).digest()
    return f"v1,{b64encode(digest).decode()}"


def signed(
    body: bytes = BODY,
    identity: str | None = None,
    timestamp: str | None = None,
    secret: str = SECRET,
) -> dict[str, str]:
    """The headers of a delivery, by MLflow's names."""
    identity = str(uuid.uuid4()) if identity is None else identity
    timestamp = str(int(time.time())) if timestamp is None else timestamp
    return {
        "X-MLflow-Delivery-Id": identity,
        "X-MLflow-Timestamp": timestamp,
        "X-MLflow-Signature": sign(identity, timestamp, body, secret),
        "Content-Type": "application/json",
    }
