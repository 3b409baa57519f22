"""Which web pages of other origins may call a service."""

import re
from collections.abc import Sequence

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from bentos.web.hot import VERSION_HEADER

ANY_PORT = ":*"


def open_to(origins: Sequence[str], app: ASGIApp) -> ASGIApp:
    """Let pages of `origins` call `app`; `http://localhost:*` is localhost at every port."""
    if not origins:
        return app
    hosts = [origin.removesuffix(ANY_PORT) for origin in origins if origin.endswith(ANY_PORT)]
    return CORSMiddleware(
        app,
        allow_origins=[origin for origin in origins if not origin.endswith(ANY_PORT)],
        allow_origin_regex="|".join(rf"{re.escape(host)}(:\d+)?" for host in hosts) or None,
        allow_methods=["GET", "POST", "DELETE"],
        allow_headers=["*"],
        expose_headers=[VERSION_HEADER],
    )
