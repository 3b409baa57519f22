"""A real PostgreSQL server in a folder of its own."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.stack import free_ports

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1:]
NAME = "mlflow"


@dataclass(frozen=True)
class Postgres:
    """A server on this machine, owned by the user `mlflow`, who needs a password."""

    port: int
    password: str

    def env(self, database: str = NAME) -> dict[str, str]:
        """What libpq needs to reach a database."""
        return {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.port),
            "PGUSER": NAME,
            "PGPASSWORD": self.password,
            "PGDATABASE": database,
        }

    def run(self, program: str, *arguments: str, database: str = NAME) -> str:
        """Run one of PostgreSQL's programs; gives what it says."""
        done = subprocess.run(
            [find(program), *arguments],
            env=os.environ | self.env(database),
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def find(program: str) -> str:
    """The path of one of PostgreSQL's programs; skips the test where it is missing."""
    path = os.pathsep.join([os.environ["PATH"], *map(str, BINARIES)])
    found = shutil.which(program, path=path)
    assert found or not os.environ.get("CI"), f"{program} is missing"
    return found or pytest.skip(f"{program}: no PostgreSQL here")


@contextmanager
def postgres() -> Iterator[Postgres]:
    """A running server with the empty database `mlflow`."""
    server = Postgres(free_ports(1)[0], "p%40ss:w/rd-of-tests")
    folder = Path(tempfile.mkdtemp(prefix="postgres"))  # tmp_path is closed to other users
    data, user = folder / "data", "postgres" if os.geteuid() == 0 else None  # it refuses root
    (folder / "password").write_text(server.password)
    if user:
        for path in (folder, folder / "password"):
            shutil.chown(path, user)
    options = f"-p {server.port} -c listen_addresses=127.0.0.1 -c fsync=off"
    control = ["pg_ctl", "-D", str(data), "-w", "-t", "200", "-l", str(folder / "log")]
    try:
        secret = f"--pwfile={folder / 'password'}"
        act(user, "initdb", "-D", str(data), "-U", NAME, "-A", "scram-sha-256", secret)
        act(user, *control, "-o", f"{options} -c unix_socket_directories=", "start")
        server.run("createdb", NAME, database="postgres")
        yield server
    finally:
        if (data / "postmaster.pid").exists():
            act(user, *control, "-m", "immediate", "stop")
        shutil.rmtree(folder)


def act(user: str | None, program: str, *arguments: str) -> None:
    """Run one of PostgreSQL's programs as this user; what it starts outlives it."""
    command = [find(program), *arguments]
    quiet = subprocess.DEVNULL
    subprocess.run(command, user=user, stdout=quiet, cwd="/", check=True, timeout=240)
