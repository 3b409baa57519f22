"""A client of keras_api that logs in by itself, renews its token, and tries again.

with KerasClient("http://127.0.0.1:3000/keras_api", "ana", password) as client:
    answer = client.predict([[0.1, 0.2, 0.3]], model_id="house")
    answer.predictions, answer.confidence
"""

from collections.abc import Generator, Sequence
from typing import Any, Self, TypeVar

import httpx
import msgspec
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt
from tenacity.wait import wait_exponential_jitter

T = TypeVar("T")
PASSING = {429, 502, 503, 504}
LONGEST_WAIT = 30.0  # seconds


class CallFailed(Exception):
    """The service answered with an error; `status` is HTTP's, `detail` what it said."""

    def __init__(self, status: int, detail: Any, retry_after: float = 0.0) -> None:
        super().__init__(f"{status}: {detail}")
        self.status = status
        self.detail = detail
        self.retry_after = retry_after


class Prediction(msgspec.Struct, frozen=True):
    """Answers to rows, in their order; `confidence` falls to 0 far from the training's rows."""

    predictions: list[list[float]]
    confidence: list[float]
    model_id: str
    timestamp: str


class Record(msgspec.Struct, frozen=True):
    """One call that was answered."""

    timestamp: str
    model_id: str
    n_predicciones: int
    confianza_promedio: float | None


class Stats(msgspec.Struct, frozen=True):
    """What all workers have answered; `uptime` is in seconds."""

    timestamp: str
    modelos_activos: int
    predicciones_totales: int
    uptime: float
    historial_predicciones: list[Record]


class _Models(msgspec.Struct):
    modelos: list[str]


class _Token(msgspec.Struct):
    access_token: str


class Login(httpx.Auth):
    """Gets a token with the first call, and another one when that is refused."""

    requires_response_body = True

    def __init__(self, url: str, username: str, password: str) -> None:
        self._url = f"{url}/auth/login"
        self._credentials = {"username": username, "password": password}
        self._token = ""

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Send the request with a token. A login that is refused is the answer, as it came."""
        had = self._token
        if not had:
            yield from self._log_in()
        request.headers["authorization"] = f"Bearer {self._token}"
        response = yield request
        if had and response.status_code == httpx.codes.UNAUTHORIZED:
            yield from self._log_in()
            request.headers["authorization"] = f"Bearer {self._token}"
            yield request

    def _log_in(self) -> Generator[httpx.Request, httpx.Response, None]:
        self._token = ""
        answer = yield httpx.Request("POST", self._url, json=self._credentials)
        self._token = _read(answer, _Token).access_token


class KerasClient:
    """Calls keras_api at `url`. Use it as a context manager, or close it.

    Every method raises CallFailed for an error that stays after `attempts`, and httpx's
    TransportError when nobody answers. A call is tried again only where that may help: nobody
    answered, or the service said 429 or 503, after the time that it named.
    """

    def __init__(
        self,
        url: str,
        username: str = "",
        password: str = "",
        timeout: float = 30.0,
        attempts: int = 5,
    ) -> None:
        url = url.rstrip("/")
        auth = Login(url, username, password) if username else None
        self._http = httpx.Client(base_url=url, auth=auth, timeout=timeout)
        self._attempts = attempts

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def predict(self, data: Sequence[Sequence[float]], model_id: str = "default") -> Prediction:
        """Answer rows [n, inputs], in the units that the model was trained with."""
        rows = [[float(value) for value in row] for row in data]
        return self._call("POST", "/predict", Prediction, {"data": rows, "model_id": model_id})

    def models(self) -> list[str]:
        """The models that serve."""
        return self._call("GET", "/models", _Models).modelos

    def stats(self) -> Stats:
        """What was answered so far."""
        return self._call("GET", "/stats", Stats)

    def clear_cache(self) -> None:
        """Forget all kept answers; for admins."""
        self._call("POST", "/cache/clear", dict[str, str])

    def _call(self, method: str, path: str, kind: type[T], body: Any = None) -> T:
        retrying = Retrying(
            stop=stop_after_attempt(self._attempts),
            retry=retry_if_exception(_passes),
            wait=_pause,
            reraise=True,
        )
        return retrying(lambda: _read(self._http.request(method, path, json=body), kind))


def _read(response: httpx.Response, kind: type[T]) -> T:
    """The answer as `kind`. Raises CallFailed."""
    if response.is_success:
        return msgspec.json.decode(response.content, type=kind)
    try:
        detail = response.json()["detail"]
    except (ValueError, LookupError, TypeError):
        detail = response.text[:200]
    after = response.headers.get("retry-after", "")
    raise CallFailed(response.status_code, detail, float(after) if after.isdigit() else 0.0)


def _passes(error: BaseException) -> bool:
    if isinstance(error, CallFailed):
        return error.status in PASSING and error.retry_after <= LONGEST_WAIT
    return isinstance(error, httpx.TransportError)


def _pause(state: RetryCallState) -> float:
    """As long as the service asked for, or else longer with every attempt."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after if isinstance(error, CallFailed) else 0.0
    return asked or wait_exponential_jitter(initial=0.1, max=5.0)(state)
