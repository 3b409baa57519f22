"""One service of spotify for all of these tests, with a version of few trees."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
import pytest
from catboost import CatBoostRegressor
from numpy.typing import NDArray

from deploy.local.settings import ROOT
from tests.services import served
from tests.spotify.songs import ALIAS, MODEL, NAMES
from tests.stack import Stack
from training.data import Dataset, read_dataset
from training.settings import PATH, read_settings
from training.spotify.settings import Settings
from training.spotify.songs import clean, synthetic

REAL = ROOT.parent / "shared" / "data" / "spotify" / "spotify_by_genre_6000.csv"


@pytest.fixture(scope="package")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real songs where they are at hand; every fifth has no names, so "unknown" means much."""
    made = synthetic(read_settings("spotify", Settings).synthetic)
    table = pd.read_csv(REAL) if REAL.exists() else made.table
    table.loc[::5, NAMES] = None
    path = tmp_path_factory.mktemp("data") / "songs.csv"
    table.to_csv(path, index=False)
    return path


@pytest.fixture(scope="package")
def dataset(data: Path) -> Dataset:
    return read_dataset(str(data))


@pytest.fixture(scope="package")
def version(stack: Stack, data: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A version of a few trees, trained by the command, that only the alias points to."""
    config = tmp_path_factory.mktemp("config") / "training.yaml"
    config.write_text(PATH.read_text().replace("iterations: 300", "iterations: 40"))
    trained = subprocess.run(
        [sys.executable, "-m", "training.spotify", "--config", str(config), "--data", str(data)],
        env=os.environ | {"MLFLOW_TRACKING_URI": stack.mlflow},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.search(rf"Registered {MODEL} version (\d+):", trained.stderr)
    assert found, trained.stderr
    httpx.post(
        f"{stack.mlflow}/api/2.0/mlflow/registered-models/alias",
        json={"name": MODEL, "alias": ALIAS, "version": found[1]},
        timeout=60,
    ).raise_for_status()
    return found[1]


@pytest.fixture(scope="package")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("spotify")


@pytest.fixture(scope="package")
def url(stack: Stack, version: str, folder: Path) -> Iterator[str]:
    settings = {
        "ASCENSO_CHANNELS": f'{{"{MODEL}": {{"alias": "{ALIAS}"}}}}',
        "ASCENSO_SERVICES__CORS_ORIGINS": '["https://songs.example.com"]',
    }
    with served("bentos.spotify:Spotify", stack.mlflow, folder, **settings) as url:
        yield url


@pytest.fixture(scope="package")
def client(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        yield client


@pytest.fixture(scope="package")
def model(url: str, folder: Path) -> Callable[[Dataset, int], NDArray[np.float64]]:
    """Answers of the model that the service fetched, without the service."""
    path = next((folder / "home").rglob("model.cb"))  # the fetched one, or a link to it
    model = CatBoostRegressor().load_model(str(path))

    def answer(dataset: Dataset, count: int) -> NDArray[np.float64]:
        rows = clean(dataset).rows
        even = np.linspace(0, len(rows) - 1, count).astype(int)
        answers: NDArray[np.float64] = np.clip(model.predict(rows.iloc[even]), 0, 100)
        return answers

    return answer
