"""Ports: free, or who holds them."""

import socket
from collections.abc import Mapping

import psutil

from deploy.local.errors import LocalError
from deploy.local.settings import HOST


def refuse_busy(ports: Mapping[str, int]) -> None:
    """Raise `LocalError` for the ports that cannot be listened on, with each one's variable."""
    problems = [_problem(name, port) for name, port in ports.items()]
    if any(problems):
        raise LocalError("\n".join(filter(None, problems)))


def _problem(name: str, port: int) -> str:
    if _answers(port):
        return f"Port {port} is in use{_holder(port)}. Set {name} to a free port."
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError as error:
            return f"Port {port} cannot be had ({error.strerror}). Set {name} to another."
    return ""


def _answers(port: int) -> bool:
    with socket.socket() as caller:
        caller.settimeout(1)
        return caller.connect_ex((HOST, port)) == 0


def _holder(port: int) -> str:
    try:
        for connection in psutil.net_connections(kind="tcp"):
            at_port = connection.laddr and connection.laddr.port == port
            if at_port and connection.status == psutil.CONN_LISTEN and connection.pid:
                return f" by {psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except psutil.Error:
        pass  # other users' processes may not be looked at
    return ""
