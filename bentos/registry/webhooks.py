"""The webhooks that MLflow keeps."""

from collections.abc import Iterator
from typing import Any, TypeVar

import httpx
import msgspec

from bentos.registry.client import Registry, RegistryRefused, RegistryUnavailable

NAME = "ascenso"
PATH = "/hooks/mlflow"  # of a service, where it takes them
PAGE = 1000
DELIVERY_SECONDS = 60.0  # MLflow tries a test delivery up to four times, with pauses
LETS_HTTP = (
    "Give an https address with --url, or start MLflow with MLFLOW_WEBHOOK_ALLOWED_SCHEMES="
    "http,https"
)
LETS_PRIVATE = (
    "Give a public address with --url, or start MLflow with MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS="
    "true, where everyone who may add webhooks may also reach your private network"
)

T = TypeVar("T")


class Event(msgspec.Struct, frozen=True):
    """Something that happens in the registry, by MLflow's names."""

    entity: str
    action: str

    def __str__(self) -> str:
        return f"{self.entity}.{self.action}".lower()


# No tag events: the services write tags themselves, and would wake themselves without end.
EVENTS = (
    Event("MODEL_VERSION_ALIAS", "CREATED"),  # also when an alias moves
    Event("MODEL_VERSION_ALIAS", "DELETED"),
    Event("MODEL_VERSION", "CREATED"),
)


class Webhook(msgspec.Struct, frozen=True):
    """A webhook that MLflow keeps; its secret never comes back."""

    webhook_id: str
    name: str
    url: str
    events: tuple[Event, ...] = ()
    status: str = ""


class Delivery(msgspec.Struct, frozen=True):
    """How a test delivery went."""

    success: bool = False
    response_status: int | None = None
    response_body: str = ""
    error_message: str = ""


class _Page(msgspec.Struct):
    webhooks: list[Webhook] = []
    next_page_token: str = ""


class _One(msgspec.Struct):
    webhook: Webhook


class _Tested(msgspec.Struct):
    result: Delivery


class Webhooks:
    """MLflow's webhooks over its REST API.

    Calls raise RegistryUnavailable when MLflow does not answer, RegistryRefused when it refuses.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def all(self) -> Iterator[Webhook]:
        """Every webhook, whoever installed it."""
        query: dict[str, Any] = {"max_results": PAGE}
        while True:
            page = self._call("GET", "", _Page, params=query)
            yield from page.webhooks
            if not page.next_page_token:
                return
            query["page_token"] = page.next_page_token

    def to(self, url: str) -> list[Webhook]:
        """The webhooks that are sent to `url`."""
        return [webhook for webhook in self.all() if webhook.url == url]

    def install(self, url: str, secret: str) -> Webhook:
        """Send events to `url`, signed with `secret`: one webhook, however often it is called."""
        body: dict[str, Any] = {
            "name": NAME,
            "url": url,
            "events": msgspec.to_builtins(EVENTS),
            "secret": secret,
            "status": "ACTIVE",
        }
        known = self.to(url)
        if known:
            return self._call("PATCH", f"/{known[0].webhook_id}", _One, json=body).webhook
        return self._call("POST", "", _One, json=body).webhook

    def remove(self, webhook: Webhook) -> None:
        """Delete one."""
        self._call("DELETE", f"/{webhook.webhook_id}", dict[str, Any])

    def test(self, webhook: Webhook) -> Delivery:
        """Have MLflow send an example, and wait for the answer."""
        path = f"/{webhook.webhook_id}/test"
        try:
            return self._call("POST", path, _Tested, json={}, timeout=DELIVERY_SECONDS).result
        except RegistryUnavailable as error:
            if isinstance(error.__cause__, httpx.ReadTimeout):  # MLflow itself still waits
                return Delivery(error_message=f"No answer within {DELIVERY_SECONDS:.0f} s")
            raise

    def _call(self, method: str, path: str, kind: type[T], **options: Any) -> T:
        uri = self._registry.uri
        try:
            answer = self._registry.http.request(method, f"mlflow/webhooks{path}", **options)
        except httpx.HTTPError as error:
            raise RegistryUnavailable(f"MLflow at {uri} does not answer: {error!r}") from error
        if answer.status_code != httpx.codes.OK:
            raise RegistryRefused(_refusal(uri, answer))
        try:
            return msgspec.json.decode(answer.content, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise RegistryUnavailable(f"{uri} is no MLflow with webhooks: {error}") from error


def _refusal(uri: str, answer: httpx.Response) -> str:
    said = answer.text[:300]
    if "Invalid webhook URL scheme" in said:
        advice = LETS_HTTP
    elif "non-public IP" in said:
        advice = LETS_PRIVATE
    elif answer.is_server_error:
        advice = (
            "If its log tells of InvalidToken, give it the MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY "
            "again that it had when the webhooks were made"
        )
    else:
        advice = "Webhooks need a database behind MLflow, and the right to change them"
    return f"MLflow at {uri} answered {answer.status_code}: {said}. {advice}"
