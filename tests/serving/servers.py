"""Real servers that a test may kill, and broken ones that answer what they should not."""

import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from ipaddress import ip_address
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext
from threading import Thread
from typing import TYPE_CHECKING

import boto3
import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from bentos.registry.client import Registry
from tests.stack import free_ports, wait_for

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SCRIPTS = Path(sys.executable).parent
BUCKET = "models"


class Server:
    """A process that answers at `url`, from `start` to `kill`."""

    def __init__(self, command: list[str], url: str, log: Path, env: Mapping[str, str]) -> None:
        self.command = command
        self.url = url
        self.log = log
        self.env = dict(os.environ) | dict(env)

    def start(self) -> None:
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                self.command,
                env=self.env,
                cwd=self.log.parent,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        with suppress(TimeoutError):
            wait_for(lambda: self.process.poll() is not None or self._answers(), 240)
            if self.process.poll() is None:
                return
        self.kill()
        raise RuntimeError(f"{self.url} is down:\n{self.log.read_text()[-2000:]}")

    def kill(self) -> None:
        """`kill -9`, children and all."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=60)

    def _answers(self) -> bool:
        try:
            return bool(httpx.get(self.url, timeout=10).status_code)
        except httpx.TransportError:
            return False


@dataclass(frozen=True)
class Store:
    """A real S3 server on a folder."""

    folder: Path
    port: int = field(default_factory=lambda: free_ports(1)[0])
    key: str = field(default_factory=lambda: secrets.token_hex(8))
    secret: str = field(default_factory=lambda: secrets.token_hex(16))

    @property
    def env(self) -> dict[str, str]:
        """What a client needs."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    @cached_property
    def client(self) -> "S3Client":
        return boto3.client(
            "s3",
            endpoint_url=self.env["AWS_ENDPOINT_URL"],
            aws_access_key_id=self.key,
            aws_secret_access_key=self.secret,
            region_name="us-east-1",
        )

    def put(self, key: str, content: bytes) -> None:
        """Write one artifact, behind MLflow's back."""
        self.client.put_object(Bucket=BUCKET, Key=f"artifacts/{key}", Body=content)

    def get(self, key: str) -> bytes:
        body = self.client.get_object(Bucket=BUCKET, Key=f"artifacts/{key}")["Body"]
        return body.read()

    def delete(self, key: str) -> None:
        self.client.delete_object(Bucket=BUCKET, Key=f"artifacts/{key}")

    def server(self) -> Server:
        """Another process on the same folder, port and keys."""
        (self.folder / BUCKET).mkdir(parents=True, exist_ok=True)  # a bucket is a folder
        address = f"127.0.0.1:{self.port}"
        command = [str(SCRIPTS / "rclone"), "serve", "s3", "--config", "", "--addr", address]
        auth = {"RCLONE_AUTH_KEY": f'"{self.key},{self.secret}"'}
        log = self.folder.with_name(f"{self.folder.name}.log")
        return Server([*command, str(self.folder)], f"http://{address}", log, auth)


@contextmanager
def storing(folder: Path) -> Iterator[tuple[Store, Server]]:
    """A running S3 server."""
    store = Store(folder)
    server = store.server()
    server.start()
    try:
        yield store, server
    finally:
        server.kill()


@contextmanager
def tracking(folder: Path, store: Store) -> Iterator[Server]:
    """A running MLflow server that keeps its artifacts in the store and hands them out."""
    (port,) = free_ports(1)
    command = [str(SCRIPTS / "mlflow"), "server", "--workers", "1", "--port", str(port)]
    command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--serve-artifacts"]
    command += ["--artifacts-destination", f"s3://{BUCKET}/artifacts"]
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    url = f"http://127.0.0.1:{port}"
    server = Server(command, f"{url}/health", folder / "mlflow.log", store.env | quiet)
    server.start()
    server.url = url
    try:
        yield server
    finally:
        server.kill()


@contextmanager
def reading(url: str) -> Iterator[Registry]:
    """A client of a registry."""
    registry = Registry(url, timeout=60)
    try:
        yield registry
    finally:
        registry.http.close()


@contextmanager
def answering(
    body: bytes,
    status: int = 200,
    length: int | None = None,
    tls: SSLContext | None = None,
    headers: str = "",
) -> Iterator[tuple[str, list[bytes]]]:
    """An HTTP server with one answer to everything; gives its URL, and the requests it heard."""
    heard: list[bytes] = []
    head = f"HTTP/1.1 {status} So\r\nConnection: close\r\nContent-Length: {length or len(body)}"
    head += f"\r\n{headers}".rstrip()

    def wrapped(plain: socket.socket) -> socket.socket:
        return tls.wrap_socket(plain, server_side=True) if tls else plain

    def answer() -> None:
        with suppress(OSError):  # the listener's end
            while True:
                plain, _ = listener.accept()
                with suppress(OSError), wrapped(plain) as client:  # it may leave unanswered
                    heard.append(client.recv(65536))
                    client.sendall(head.encode() + b"\r\n\r\n" + body)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=answer, daemon=True)
        thread.start()
        yield f"{'https' if tls else 'http'}://127.0.0.1:{listener.getsockname()[1]}", heard
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def certified(folder: Path) -> SSLContext:
    """TLS as 127.0.0.1, by a certificate of its own that is left in `folder`/cert.pem."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
    now = datetime.now(UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    cert = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "key.pem").write_bytes(secret)
    (folder / "cert.pem").write_bytes(cert.public_bytes(Encoding.PEM))
    context = SSLContext(PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context
