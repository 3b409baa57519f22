"""A real uvicorn for as long as a test needs it."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Literal

import uvicorn
from starlette.types import ASGIApp

from tests.stack import wait_for


@contextmanager
def serving(
    app: ASGIApp,
    http: Literal["auto", "h11", "httptools"] = "auto",
    lifespan: Literal["on", "off"] = "off",
    host: str = "127.0.0.1",
) -> Iterator[str]:
    """Serve `app` on a free port; gives its URL."""
    config = uvicorn.Config(app, host, 0, http=http, lifespan=lifespan, log_config=None)
    server = uvicorn.Server(config)
    thread = Thread(target=server.run)
    thread.start()
    try:
        wait_for(lambda: server.started or not thread.is_alive(), 60)
        assert thread.is_alive()
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
