"""The running services, as `/releases` and `/history` tell of them."""

import os
from contextlib import suppress
from fnmatch import fnmatchcase
from typing import Any, TypeVar

import click
import httpx
import msgspec

from bentos.cli.errors import Failed, Unreachable
from bentos.promotion.event import Event
from bentos.registry.address import credentials, without_password

TIMEOUT_SECONDS = 10.0
NUDGE_SECONDS = 1.0
TOKEN = "ASCENSO_TOKEN"  # noqa: S105 - where it is, not what it is

T = TypeVar("T")


class ReleaseReport(msgspec.Struct, frozen=True):
    """A version that serves, or did until the last swap."""

    version: str
    run_id: str = ""
    since: str = ""


class RefusalReport(msgspec.Struct, frozen=True):
    """The last candidate that was turned down."""

    version: str
    reason: str
    message: str
    at: str


class Challenger(msgspec.Struct, frozen=True):
    """How a slot describes the trial of its challenger, in the process that was asked."""

    mode: str
    share: float
    compared: int
    errors: int
    live: ReleaseReport | None = None
    refused: RefusalReport | None = None
    agreement: float | None = None
    champion_ms: float | None = None
    challenger_ms: float | None = None


class SlotReport(msgspec.Struct, frozen=True):
    """A slot as `/releases` describes it."""

    model: str
    channel: str
    live: ReleaseReport | None = None
    previous: ReleaseReport | None = None
    candidate: str | None = None
    refused: RefusalReport | None = None
    trouble: str | None = None
    challenger: Challenger | None = None


class Member(msgspec.Struct, frozen=True):
    """A version that a replica serves; of a challenger, what calls showed."""

    replica: str
    model: str
    version: str
    compared: int | None = None
    agreed: int | None = None


class Service(msgspec.Struct, frozen=True):
    """A service as `/releases` describes it; `url` is where it was asked.

    `racks` are patterns: a model of such a name gets a slot once a version is promoted, unless
    it matches one of the patterns `excluded`. The `fleet` are all replicas that share its ledger.
    """

    service: str
    releases: list[SlotReport]
    racks: list[str] = []
    excluded: list[str] = []
    degraded: str | None = None
    url: str = ""
    fleet: list[Member] = []

    def has(self, model: str) -> bool:
        """Whether it has a slot of a model."""
        return any(slot.model == model for slot in self.releases)

    def makes(self, model: str) -> bool:
        """Whether it has none, but makes one once a version is promoted."""
        kept_out = any(fnmatchcase(model, pattern) for pattern in self.excluded)
        fits = any(fnmatchcase(model, pattern) for pattern in self.racks)
        return not self.has(model) and not kept_out and fits


class History(msgspec.Struct, frozen=True):
    """Events, oldest first."""

    model: str
    events: list[Event]


class Services:
    """A client of a stack, or of one service run alone.

    Every call raises Unreachable when nothing, or something else, answers at `url`.
    """

    def __init__(self, url: str) -> None:
        self.address = url.rstrip("/")
        self.url = without_password(self.address)  # as messages may show it
        token = os.environ.get(TOKEN)
        headers = {"authorization": f"Bearer {token}"} if token else {}
        auth = None if token else credentials(url)
        self.http = httpx.Client(timeout=TIMEOUT_SECONDS, headers=headers, auth=auth)

    def close(self) -> None:
        """Close its connections."""
        self.http.close()

    def described(self) -> list[Any]:
        """How every service describes itself, word for word."""
        answer = self._json("/releases")
        return answer if isinstance(answer, list) else [answer]

    def all(self) -> list[Service]:
        """Every service."""
        answer = self._json("/releases")
        if isinstance(answer, list):
            stack = self._convert(answer, list[Service])
            return [msgspec.structs.replace(s, url=f"{self.url}/{s.service}") for s in stack]
        alone = self._convert(answer, Service)
        return [msgspec.structs.replace(alone, url=self.url)]

    def of(self, model: str) -> list[Service]:
        """The services that have a slot of a model, or make one. Raises Failed without any."""
        services = self.all()
        found = [one for one in services if one.has(model) or one.makes(model)]
        if not found:
            raise self._unknown(model, services)
        return found

    def _unknown(self, model: str, services: list[Service]) -> Failed:
        known = sorted({slot.model for one in services for slot in one.releases})
        known += [pattern for one in services for pattern in one.racks]
        return Failed(
            f"No service at {self.url} has a slot of {model!r}; there is {', '.join(known)}"
        )

    def history(self, service: Service, model: str, limit: int, at: str = "") -> History:
        """The latest events of a model, or what served at a time.

        Raises Failed when the service refuses the question, or never had the model.
        """
        query = {"model": model, "limit": str(limit)} | ({"at": at} if at else {})
        answer = self._get(f"{service.url}/history", query)
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise self._unknown(model, self.all())
        if answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY:
            problem = answer.json()["detail"][0]
            raise Failed(f"--{problem['loc'][-1]}: {problem['msg']}")
        return self._convert(self._read(answer), History)

    def nudge(self, service: Service) -> None:
        """Have a service try its refused versions again; nobody waits for its answer."""
        with suppress(httpx.HTTPError):
            self.http.post(f"{service.url}/reload", timeout=NUDGE_SECONDS)

    def metrics(self) -> str:
        """The services' metrics, in the text format of Prometheus."""
        return self._get(f"{self.url}/metrics").text

    def _json(self, path: str) -> Any:
        return self._read(self._get(self.url + path))

    def _get(self, url: str, query: dict[str, str] | None = None) -> httpx.Response:
        try:
            return self.http.get(url, params=query)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._unreachable(f"No service answers at {self.url} ({error})") from error

    def _read(self, answer: httpx.Response) -> Any:
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            raise Failed(f"{answer.url} is guarded: {answer.text}. Put a token into {TOKEN}")
        if answer.status_code != httpx.codes.OK:
            raise self._unreachable(f"{answer.url} answers {answer.status_code}")
        try:
            return msgspec.json.decode(answer.content)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise self._unreachable(f"{answer.url} answers with no JSON") from error

    def _convert(self, value: Any, kind: type[T]) -> T:
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            raise self._unreachable(f"{self.url} is no service of Ascenso's ({error})") from error

    def _unreachable(self, what: str) -> Unreachable:
        return Unreachable(
            f"{what}. Start the services with `make up`, or give their address: --url, or the "
            "variable ASCENSO_URL"
        )


def _default_url() -> str:
    return f"http://127.0.0.1:{os.environ.get('ASCENSO_PORT', '3000')}"


def _connect(context: click.Context, option: click.Parameter, url: str) -> Services:
    services = Services(url)
    context.call_on_close(services.close)
    return services


services_option = click.option(
    "--url",
    "services",
    envvar="ASCENSO_URL",
    default=_default_url,
    callback=_connect,
    show_default="http://127.0.0.1:$ASCENSO_PORT",
    show_envvar=True,
    help="Address of the services.",
)
