"""What a relay says of the registry: every model at first, then those that changed.

A relay (bentos/relay) answers a search for all models that carries `Prefer: wait=N` (RFC 7240)
once they are other than those of `If-None-Match`: with the difference, as 226 IM Used (RFC 3229).
It shows itself by `Via`, in each answer.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import httpx
import msgspec

from bentos.registry.entities import Model
from bentos.registry.errors import RegistryUnavailable

VIA = "1.1 ascenso-relay"
FORMAT = "ascenso-models"  # of a difference
FRESH = {"cache-control": "no-cache"}  # past what a relay keeps
IM_USED = 226
WAIT = re.compile(r"(?:^|[,;\s])wait=(\d{1,4})(?:$|[,;\s])")


class Changes(msgspec.Struct):
    """The models that are new or other, and the names of those that are gone."""

    registered_models: Collection[Model] = ()
    gone: Collection[str] = ()


@dataclass(frozen=True)
class Seen:
    """The models by name, as of an entity tag."""

    etag: str
    models: Mapping[str, Model]

    def after(self, changes: Changes, etag: str) -> "Seen":
        """The same with these changes."""
        new = {model.name: model for model in changes.registered_models}
        kept = {name: self.models[name] for name in self.models.keys() - set(changes.gone)}
        return Seen(etag, kept | new)


NOTHING = Seen("", {})


def is_relay(http: httpx.Client) -> bool:
    """Whether a relay answers there. Raises RegistryUnavailable when nothing does."""
    try:
        health = http.base_url.join("../../health")  # beside the API
        return VIA in http.get(health).headers.get("via", "")
    except httpx.HTTPError as error:
        raise RegistryUnavailable(f"no relay answers at {http.base_url.host}: {error}") from error


def ask(http: httpx.Client, before: Seen, wait: float, fresh: bool = False) -> Seen:
    """What there is once it is not as `before`, or after `wait` seconds; `fresh`: MLflow is asked.

    Raises RegistryUnavailable.
    """
    headers = {"prefer": f"wait={wait:.0f}", "a-im": FORMAT} | (FRESH if fresh else {})
    if before.etag:
        headers["if-none-match"] = before.etag
    timeout = httpx.Timeout(http.timeout.read, read=(http.timeout.read or 0) + wait)
    try:
        answer = http.get("mlflow/registered-models/search", headers=headers, timeout=timeout)
        return _seen(before, answer)
    except (httpx.HTTPError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RegistryUnavailable(f"the relay does not say what there is: {error}") from error


def _seen(before: Seen, answer: httpx.Response) -> Seen:
    etag = answer.headers.get("etag", "")
    if answer.status_code == httpx.codes.NOT_MODIFIED and etag == before.etag:
        return before
    if answer.status_code not in (httpx.codes.OK, IM_USED) or not etag:
        raise RegistryUnavailable(f"a relay answered {answer.status_code}: {answer.text[:300]}")
    changes = msgspec.json.decode(answer.content, type=Changes)
    return (NOTHING if answer.status_code == httpx.codes.OK else before).after(changes, etag)
