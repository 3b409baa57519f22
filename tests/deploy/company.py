"""The MLflow server of a company: users, PostgreSQL, S3, all real."""

import os
import secrets
import subprocess
import sys
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from deploy.local.settings import ROOT
from tests.postgres import Postgres, postgres
from tests.serving.servers import BUCKET, SCRIPTS, Server, Store, storing
from tests.stack import free_ports

START = str(ROOT / "mlflow" / "start.sh")
ACCOUNTS = ROOT / "mlflow" / "accounts.yaml"
SITE = "mlflow.ascenso.example.com"  # the name of the UI, as deploy/helm/production.yaml has it
TEAMS = """
  gas: {models: [gas-*], experiments: [gas, gas-*]}
  heat: {models: [heat-*], experiments: [heat-*]}
"""
MEMBERS = {
    "gina": "trainer@gas",
    "gus": "promoter@gas",
    "hana": "trainer@heat",
    "hugo": "promoter@heat",
}
ANA = "ana@example.com"  # of the company's login
PEOPLE = ("trainer", "promoter", "service", "forecaster", *MEMBERS)


@dataclass(frozen=True)
class Company:
    """A server that `migrate`, `start` and `accounts` bring up, and its parts."""

    database: Postgres
    store: Store
    folder: Path
    login: str = ""  # where the company's people log in
    port: int = field(default_factory=lambda: free_ports(1)[0])
    passwords: dict[str, str] = field(
        default_factory=lambda: {name: secrets.token_hex(12) for name in ("admin", *PEOPLE)}
    )
    keys: dict[str, str] = field(
        default_factory=lambda: {
            "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(16),
            "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": urlsafe_b64encode(
                secrets.token_bytes(32)
            ).decode(),
        }
    )

    @property
    def accounts_file(self) -> Path:
        """That of the repository, with two teams."""
        path = self.folder / "accounts.yaml"
        if not path.exists():
            text = ACCOUNTS.read_text().replace("teams: {}\n", f"teams:{TEAMS}")
            users = "".join(f"  {name}: ['{role}']\n" for name, role in MEMBERS.items())
            comes = f"sso: {{{ANA}: [trainer@gas]}}\n"
            path.write_text(text.replace("sso: {}\n", users + comes))
        return path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def env(self, database: str = "mlflow") -> dict[str, str]:
        """What start.sh reads."""
        return {
            **self.store.env,
            **self.database.env(database),
            **self.keys,
            "PATH": f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}",
            "MLFLOW_BACKEND_STORE_URI": "postgresql+psycopg2://",
            "MLFLOW_ARTIFACTS_DESTINATION": f"s3://{BUCKET}/artifacts",
            "MLFLOW_PORT": str(self.port),
            "MLFLOW_SERVER_ALLOWED_HOSTS": f"127.0.0.1:{self.port},{SITE}",
            "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": f"https://{SITE}",
            "MLFLOW_AUTH_CONFIG_PATH": str(ROOT / "mlflow" / "auth.ini"),
            "ASCENSO_ACCOUNTS": str(self.accounts_file),
            "ASCENSO_OIDC_ISSUER": self.login,
            "ASCENSO_OIDC_AUDIENCE": "ascenso",
            "MLFLOW_AUTH_ADMIN_USERNAME": "admin",
            "MLFLOW_AUTH_ADMIN_PASSWORD": self.passwords["admin"],
        }

    def as_user(self, name: str) -> dict[str, str]:
        """What a client of this name needs."""
        return {
            "MLFLOW_TRACKING_URI": self.url,
            "MLFLOW_TRACKING_USERNAME": name,
            "MLFLOW_TRACKING_PASSWORD": self.passwords[name],
        }

    def migrate(self, database: str = "mlflow") -> None:
        """Bring the schemas up to date."""
        run([START, "migrate"], self.env(database))

    def accounts(self) -> None:
        """Make the users and roles."""
        words = {f"MLFLOW_PASSWORD_{n.upper()}": self.passwords[n] for n in PEOPLE}
        env = self.env() | words | {"MLFLOW_TRACKING_URI": self.url}
        run([sys.executable, "-m", "deploy.accounts", str(self.accounts_file)], env)

    @contextmanager
    def serving(self, database: str = "mlflow") -> Iterator[None]:
        """The server runs."""
        server = Server([START], f"{self.url}/health", self.folder / "log", self.env(database))
        server.start()
        try:
            yield
        finally:
            server.kill()

    def train(self, *arguments: str, user: str = "trainer") -> str:
        """Register a version of contugas-anomaly; gives what the trainer said."""
        return run([sys.executable, "-m", "training.contugas", *arguments], self.as_user(user))


def run(command: list[str], env: dict[str, str]) -> str:
    """Run a command at the root; gives what it said."""
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | env, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@contextmanager
def company(folder: Path, login: str = "") -> Iterator[Company]:
    """PostgreSQL and S3 run; MLflow does not yet."""
    with postgres() as database, storing(folder / "s3") as (store, _):
        yield Company(database, store, folder, login)
