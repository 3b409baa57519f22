"""Two ways to one server."""

import time

import httpx

from bentos.registry.address import without_password

AGAIN_SECONDS = 5.0  # until the first way is tried again


class Either(httpx.BaseTransport):
    """Sends a request the second way where the first takes no connection: so none is sent twice.

    Both lead to the same server, which knows the same callers.
    """

    def __init__(self, first: str, second: str, transport: httpx.BaseTransport) -> None:
        self._transport = transport
        self._first = httpx.URL(without_password(first))
        self._second = httpx.URL(without_password(second))
        self._until = 0.0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send it, as httpx asks for."""
        if time.monotonic() >= self._until:
            try:
                return self._transport.handle_request(request)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                self._until = time.monotonic() + AGAIN_SECONDS
        return self._transport.handle_request(self._led(request))

    def close(self) -> None:
        """Close the connections of both."""
        self._transport.close()

    def _led(self, request: httpx.Request) -> httpx.Request:
        below = request.url.raw_path.removeprefix(self._first.raw_path.rstrip(b"/"))
        url = self._second.copy_with(raw_path=self._second.raw_path.rstrip(b"/") + below)
        headers = request.headers.copy()
        headers["host"] = url.netloc.decode()
        return httpx.Request(
            request.method, url, headers=headers, stream=request.stream,
            extensions=request.extensions,
        )  # fmt: skip
