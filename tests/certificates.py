"""One reading of the certificates that httpx trusts, for all calls of the tests.

It reads them anew for each call without a client: 50 ms of a processor, and tests that wait for an
answer call twenty times a second.
"""

import ssl
from functools import cache
from typing import Any

import httpx
from httpx._transports import default


@cache
def usual(trust_env: bool) -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=trust_env)


def context(verify: Any = True, cert: Any = None, trust_env: bool = True) -> ssl.SSLContext:
    if verify is True and cert is None:
        return usual(trust_env)
    return httpx.create_ssl_context(verify, cert, trust_env)


def share() -> None:
    """Let httpx use it."""
    vars(default)["create_ssl_context"] = context
