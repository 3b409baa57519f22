"""`ascenso relay`: MLflow, asked once for many replicas."""

import click
from pydantic import ValidationError

from bentos.cli.errors import EXIT_CODES, Failed
from bentos.registry.access import AccessError
from bentos.settings import settings


@click.command(epilog=EXIT_CODES)
@click.option("--host", help="Where it listens.  [default: relay.host]")
@click.option("--port", type=click.IntRange(1, 65535), help="[default: relay.port]")
def relay(host: str | None, port: int | None) -> None:
    """Ask MLflow what is promoted, once a second, for all replicas that ask here.

    Give replicas its address as registry.uri. It needs no account: it looks with theirs.
    """
    from bentos.relay.server import Server  # its metrics must not be made beside a service's

    try:
        known = settings()
        server = Server(known, host or known.relay.host, port or known.relay.port)
    except (ValidationError, AccessError, OSError) as error:
        raise Failed(str(error)) from error
    server.run()
