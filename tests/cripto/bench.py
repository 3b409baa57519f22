"""What the tests of cripto share: prices and versions to try, and what a service tells."""

import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pandas as pd

from deploy.local.settings import BUCKET, ROOT
from tests.stack import Stack
from training.cripto.prices import to_csv

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ALIAS = "tested"
PREFIX = "tested-cripto"
DATA = f"s3://{BUCKET}/{PREFIX}"


@dataclass(frozen=True)
class Bench:
    """The stack's registry and store, of which these tests use an alias and a prefix."""

    stack: Stack
    s3: "S3Client"
    env: dict[str, str]

    def put(self, name: str, table: pd.DataFrame) -> None:
        """Write a file of prices."""
        self.s3.put_object(Bucket=BUCKET, Key=f"{PREFIX}/{name}", Body=to_csv(table))

    def point(self, model: str, version: str) -> None:
        """Promote: let the alias point to a version."""
        httpx.post(
            f"{self.stack.mlflow}/api/2.0/mlflow/registered-models/alias",
            json={"name": registered(model), "alias": ALIAS, "version": version},
            timeout=60,
        ).raise_for_status()

    def train(self, *arguments: str) -> None:
        """Run the trainer, as a person does."""
        subprocess.run(
            [sys.executable, "-m", "training.cripto", *arguments],
            env=os.environ | self.env | {"MLFLOW_TRACKING_URI": self.stack.mlflow},
            cwd=ROOT,
            capture_output=True,
            check=True,
        )


def registered(model: str) -> str:
    return f"cripto-{model.replace('_', '-')}"


def outlook(client: httpx.Client, symbol: str = "BTC") -> dict[str, Any]:
    answer = client.get(f"/symbol/{symbol}")
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def versions(answer: dict[str, Any]) -> dict[str, str]:
    return {name: model["versao"] for name, model in answer["modelos"].items()}
