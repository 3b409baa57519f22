"""The ports of the local stack: free, or held by its own servers."""

import os
import socket

import httpx

from bentos.cli.doctor.findings import Chain, Found, failure, ok
from bentos.cli.doctor.ground import Ground

HOST = "127.0.0.1"


def services(ground: Ground) -> Found:
    """Where the services listen."""
    return _held("ASCENSO_PORT", "3000", "/releases", '"releases":')


def mlflow(ground: Ground) -> Found:
    """Where MLflow listens."""
    return _held("ASCENSO_MLFLOW_PORT", "5000", "/health", "OK")


def s3(ground: Ground) -> Found:
    """Where the S3 server listens: it refuses whoever does not sign, in XML."""
    return _held("ASCENSO_S3_PORT", "9000", "/", "<Error>")


def _held(variable: str, default: str, path: str, sign: str) -> Found:
    """Whether who holds a port says what one of ours says."""
    number = os.environ.get(variable, default)
    free = f"set {variable} to a free port"
    if not number.isdecimal() or not 0 < int(number) < 65_536:
        return failure(f"{variable} is {number!r}, which is no port", free)
    port = int(number)
    with socket.socket() as caller:
        caller.settimeout(1)
        if caller.connect_ex((HOST, port)):
            return ok(f"{port} is free ({variable})")
    try:
        said = httpx.get(f"http://{HOST}:{port}{path}", timeout=5, trust_env=False).text
    except httpx.HTTPError as error:
        said = str(error)
    if sign in said:
        return ok(f"{port} is held by the stack's own ({variable})")
    return failure(f"{port} is held by somebody else ({variable})", free)


CHAINS: tuple[Chain, ...] = ((services,), (mlflow,), (s3,))
