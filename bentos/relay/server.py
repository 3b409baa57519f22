"""The relay behind uvicorn."""

import socket

import uvicorn

from bentos.relay.app import Relay, build
from bentos.settings import Settings

KEEP_ALIVE = 75  # seconds; longer than a replica keeps an idle connection
END_SECONDS = 3  # for files under way


class Server(uvicorn.Server):
    """Answers until it is stopped. Raises AccessError and OSError when made."""

    def __init__(self, settings: Settings, host: str, port: int) -> None:
        self._relay = Relay(settings)
        super().__init__(
            uvicorn.Config(
                build(self._relay),
                host,
                port,
                log_level="warning",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=KEEP_ALIVE,
                timeout_graceful_shutdown=END_SECONDS,
            )
        )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Send those away who wait for a change, then end as uvicorn does."""
        await self._relay.desk.stop()
        await super().shutdown(sockets)
