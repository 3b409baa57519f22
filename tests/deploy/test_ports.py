import os
import socket

import pytest

from deploy.local.errors import LocalError
from deploy.local.ports import refuse_busy
from tests.stack import free_ports


def test_free_ports_pass() -> None:
    one, other = free_ports(2)
    refuse_busy({"ASCENSO_PORT": one, "ASCENSO_S3_PORT": other})


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_a_busy_port_is_named_with_its_holder(address: str) -> None:
    (free,) = free_ports(1)
    with socket.create_server((address, 0)) as server:
        busy = server.getsockname()[1]
        with pytest.raises(LocalError) as caught:
            refuse_busy({"ASCENSO_PORT": free, "ASCENSO_MLFLOW_PORT": busy})
    message = str(caught.value)
    assert message.startswith(f"Port {busy} is in use by ")
    assert message.endswith(f"(pid {os.getpid()}). Set ASCENSO_MLFLOW_PORT to a free port.")


def test_every_busy_port_is_named() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as other,
        pytest.raises(LocalError, match=r"(?s)ASCENSO_PORT.*ASCENSO_S3_PORT"),
    ):
        refuse_busy(
            {"ASCENSO_PORT": one.getsockname()[1], "ASCENSO_S3_PORT": other.getsockname()[1]}
        )


def test_a_port_bound_by_one_who_does_not_listen() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        with pytest.raises(LocalError, match=f"Port {port} cannot be had .*Set ASCENSO_PORT"):
            refuse_busy({"ASCENSO_PORT": port})


def test_a_port_used_a_moment_ago_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            server.accept()[0].close()  # the side that closes first keeps the port for a minute
    refuse_busy({"ASCENSO_PORT": port})
