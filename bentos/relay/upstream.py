"""MLflow, to which everything is passed on that a relay does not answer itself."""

from collections.abc import AsyncIterator

import httpx
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from bentos.registry.access import verified
from bentos.registry.address import without_password
from bentos.registry.changes import VIA
from bentos.relay import metrics

# Of one connection alone: https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1
HOP = {
    b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization",
    b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade",
}  # fmt: skip
TIMEOUT = httpx.Timeout(10, read=300, write=300, pool=60)
LIMITS = httpx.Limits(max_connections=256, max_keepalive_connections=32, keepalive_expiry=3)
Pairs = list[tuple[bytes, bytes]]


def refusal(status: int, message: str) -> JSONResponse:
    """An error as MLflow writes its own."""
    codes = {401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 508: "INVALID_STATE"}
    code = codes.get(status, "TEMPORARILY_UNAVAILABLE")
    return JSONResponse({"error_code": code, "message": message}, status)


class Upstream:
    """The server at `uri`; callers are passed on with their own credentials."""

    def __init__(self, uri: str) -> None:
        self.uri = without_password(uri)  # as messages may show it
        self._base = httpx.URL(self.uri)
        self._http = httpx.AsyncClient(verify=verified(), timeout=TIMEOUT, limits=LIMITS)

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def pass_on(self, request: Request) -> Response:
        """A request as it came, and MLflow's answer as that comes."""
        if VIA in request.headers.get("via", ""):
            return refusal(
                508, f"{self.uri} is a relay itself: start the relay with MLflow's own address"
            )
        metrics.PASSED.inc()
        has_body = {"content-length", "transfer-encoding"} & set(request.headers.keys())
        target = request.scope["raw_path"]
        if query := request.scope["query_string"]:
            target += b"?" + query
        headers = [*_end_to_end(request.headers.raw), (b"via", VIA.encode())]
        body = request.stream() if has_body else None
        try:
            answer = await self.send(request.method, target, headers, body)
        except httpx.TransportError as error:
            return refusal(502, f"MLflow at {self.uri} does not answer: {error!r}")
        passed = StreamingResponse(
            _raw(answer), answer.status_code, background=BackgroundTask(answer.aclose)
        )
        passed.raw_headers = _end_to_end(answer.headers.raw)
        return passed

    async def send(
        self,
        method: str,
        target: bytes,
        headers: Pairs,
        body: AsyncIterator[bytes] | None = None,
    ) -> httpx.Response:
        """Ask for a path; the answer's body is still to be read. Raises httpx.TransportError."""
        url = self._base.copy_with(raw_path=self._base.raw_path.rstrip(b"/") + target)
        request = httpx.Request(method, url, headers=headers, content=body)
        request.extensions = {"timeout": TIMEOUT.as_dict()}
        return await self._http.send(request, stream=True, auth=None, follow_redirects=False)


async def _raw(answer: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for chunk in answer.aiter_raw():
            yield chunk
    finally:
        await answer.aclose()


def _end_to_end(headers: Pairs) -> Pairs:
    """Headers that mean the other end; names in small letters, as ASGI has them."""
    small = [(name.lower(), value) for name, value in headers]
    named = {
        token.strip().lower() for name, value in small if name == b"connection"
        for token in value.split(b",")
    }  # fmt: skip
    return [pair for pair in small if pair[0] not in HOP | named | {b"host"}]
