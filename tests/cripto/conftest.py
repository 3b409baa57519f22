"""One service of cripto for all of these tests, on the stack's registry and store."""

import json
from collections.abc import Iterator
from pathlib import Path

import boto3
import httpx
import pandas as pd
import pytest
from dotenv import dotenv_values

from bentos.cripto.messages import MODELS
from deploy.local.settings import ROOT
from tests.cripto.bench import ALIAS, DATA, Bench, registered
from tests.e2e.service import status
from tests.services import served
from tests.stack import Stack, wait_for
from training.cripto.prices import read
from training.cripto.settings import Synthetic
from training.cripto.synthetic import synthetic
from training.settings import PATH

REAL = ROOT.parent / "shared" / "data" / "cripto" / "coin_Bitcoin.csv"


@pytest.fixture(scope="package")
def prices() -> pd.DataFrame:
    """Bitcoin's real prices where they are at hand."""
    if REAL.exists():
        return read(str(REAL)).table
    made = synthetic(Synthetic(days=400, seed=5))
    return made[made["symbol"] == "BTC"].reset_index(drop=True)


@pytest.fixture(scope="package")
def bench(stack: Stack, prices: pd.DataFrame) -> Bench:
    """Prices in the store, and two versions of each model, the alias pointing to the first."""
    keys = dotenv_values(stack.settings.secrets)
    env = {
        "AWS_ENDPOINT_URL": stack.settings.s3,
        "AWS_ACCESS_KEY_ID": str(keys["AWS_ACCESS_KEY_ID"]),
        "AWS_SECRET_ACCESS_KEY": str(keys["AWS_SECRET_ACCESS_KEY"]),
        "AWS_DEFAULT_REGION": "us-east-1",
        "ASCENSO_DATA": DATA,
    }
    s3 = boto3.client(
        "s3",
        endpoint_url=env["AWS_ENDPOINT_URL"],
        aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
        region_name="us-east-1",
    )
    bench = Bench(stack, s3, env)
    bench.put("BTC/daily.csv", prices)
    bench.put("ETH/synthetic.csv", synthetic(Synthetic(days=60, seed=5)).query("symbol == 'ETH'"))
    for model in MODELS:
        bench.point(model, "1")
    return bench


@pytest.fixture(scope="package")
def second(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """With a second version of each model, of a few trees and the tested prices."""
    text = PATH.read_text()
    for name, trees in (("forest_trees: 60", 5), ("boosting_trees: 80", 5), ("folds: 5", 2)):
        assert name in text
        text = text.replace(name, f"{name.partition(':')[0]}: {trees}")
    config = tmp_path_factory.mktemp("config") / "training.yaml"
    config.write_text(text)
    bench.train("--config", str(config), "--data", f"{DATA}/")
    return bench


@pytest.fixture(scope="package")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cripto")


@pytest.fixture(scope="package")
def url(bench: Bench, folder: Path) -> Iterator[str]:
    channels = json.dumps({registered(model): {"alias": ALIAS} for model in MODELS})
    settings = bench.env | {
        "ASCENSO_CHANNELS": channels,
        "ASCENSO_REGISTRY__POLL_SECONDS": "0.3",
        "ASCENSO_SERVICES__CORS_ORIGINS": '["https://coins.example.com"]',
    }
    with served("bentos.cripto:Cripto", bench.stack.mlflow, folder, **settings) as url:
        wait_for(lambda: status(f"{url}/symbol/BTC") == 200, 120)
        yield url


@pytest.fixture(scope="package")
def client(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        yield client
