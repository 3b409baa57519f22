"""The settings of the local stack, all from the environment."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from deploy.local.errors import LocalError

ROOT = Path(__file__).parents[2]
HOST = "127.0.0.1"
BUCKET = "ascenso"

Port = Annotated[int, Field(ge=1, le=65535)]


class Settings(BaseSettings):
    """`ASCENSO_HOME`, and `ASCENSO_PORT` and the other variables of `ports`."""

    model_config = SettingsConfigDict(env_prefix="ASCENSO_", frozen=True)

    home: Path = ROOT / ".ascenso"
    port: Port = 3000
    grpc_port: Port = 8001
    mlflow_port: Port = 5000
    s3_port: Port = 9000

    @field_validator("home", mode="before")
    @classmethod
    def _named(cls, home: object) -> object:
        if not str(home).strip():
            raise ValueError("Name the folder that keeps the state")
        return home

    @field_validator("home")
    @classmethod
    def _absolute(cls, home: Path) -> Path:
        return home.expanduser().resolve()

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        names: dict[int, str] = {}
        for name, port in self.ports.items():
            if port in names:
                raise ValueError(f"{names[port]} and {name} are both {port}: each needs its own")
            names[port] = name
        return self

    @property
    def ports(self) -> dict[str, int]:
        """The port that each variable asks for."""
        return {
            "ASCENSO_PORT": self.port,
            "ASCENSO_GRPC_PORT": self.grpc_port,
            "ASCENSO_MLFLOW_PORT": self.mlflow_port,
            "ASCENSO_S3_PORT": self.s3_port,
        }

    @property
    def api(self) -> str:
        """The address of the services."""
        return f"http://{HOST}:{self.port}"

    @property
    def grpc(self) -> str:
        """Where the models answer over gRPC."""
        return f"{HOST}:{self.grpc_port}"

    @property
    def mlflow(self) -> str:
        """The address of the MLflow server."""
        return f"http://{HOST}:{self.mlflow_port}"

    @property
    def s3(self) -> str:
        """The address of the S3 server."""
        return f"http://{HOST}:{self.s3_port}"

    @property
    def logs(self) -> Path:
        """The folder of the log files."""
        return self.home / "logs"

    @property
    def secrets(self) -> Path:
        """The file of the keys that the first start made."""
        return self.home / "secrets.env"

    @property
    def database(self) -> Path:
        """What MLflow keeps in SQLite."""
        return self.home / "mlflow.db"

    @property
    def files(self) -> Path:
        """The folder that the S3 server serves."""
        return self.home / "s3"


def load() -> Settings:
    """Read the environment. Raises `LocalError` that names each wrong variable."""
    try:
        return Settings()
    except ValidationError as error:
        problems = [_problem(e["loc"], e["input"], e["msg"]) for e in error.errors()]
        raise LocalError("\n".join(problems)) from error


def _problem(where: tuple[int | str, ...], value: object, message: str) -> str:
    message = message.removeprefix("Value error, ")
    if not where:
        return message
    return f"ASCENSO_{str(where[0]).upper()} has value {str(value)!r}. {message}."
