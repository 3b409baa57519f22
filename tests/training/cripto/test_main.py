"""The command line, against real MLflow and S3 servers."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from mlflow import MlflowClient
from tests.training.conftest import Bucket, newest
from tests.training.cripto.conftest import real
from training.cripto.__main__ import main
from training.cripto.names import FEATURES
from training.settings import PATH

MODELS = {
    "cripto-regressor-rf": "regressor",
    "cripto-regressor-gbr": "regressor",
    "cripto-regressor-lin": "regressor",
    "cripto-classifier-rf": "classifier",
    "cripto-classifier-log": "classifier",
}
METRICS = {
    "regressor": {"mae", "rmse", "mape", "naive.mae", "naive.rmse", "naive.mape"},
    "classifier": {"accuracy", "auc", "majority.accuracy", "majority.auc"},
}


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


@pytest.fixture
def quick(tmp_path: Path) -> str:
    """Settings of few trees and days."""
    text = PATH.read_text()
    for old, new in (
        ("forest_trees: 60", "forest_trees: 5"),
        ("boosting_trees: 80", "boosting_trees: 5"),
        ("days: 500", "days: 150"),
    ):
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "training.yaml"
    path.write_text(text)
    return str(path)


@pytest.mark.filterwarnings("ignore:X has feature names")  # serving sends arrays
def test_trains_all_five_on_made_coins_and_promotes_them(
    registry: MlflowClient, quick: str
) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "training.cripto", "--promote", "--config", quick],
        env=os.environ | {"PYTHONWARNINGS": "error::FutureWarning:mlflow"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Training on synthetic data: synthetic:seed=11 (900 rows)." in result.stderr
    assert "Warning" not in result.stderr
    for name, kind in MODELS.items():
        version = newest(registry, name)
        assert version.current_stage == "Production"
        run = registry.get_run(str(version.run_id))
        assert set(run.data.metrics) == METRICS[kind]
        assert run.data.tags["ascenso.data"] == "synthetic"
        assert run.data.params["forest_trees"] == "5"
        baseline = "naive" if kind == "regressor" else "majority"
        for metric in {metric for metric in METRICS[kind] if "." not in metric}:
            verdict = run.data.tags[f"ascenso.{metric}_against_{baseline}"]
            line = f"{metric} {run.data.metrics[metric]:.6g}, {verdict} than {baseline}"
            assert f"{name.removeprefix('cripto-')}: {line}" in result.stderr
        (figure,) = registry.list_artifacts(run.info.run_id, "figures")
        assert figure.path == "figures/predictions.png"
        model = mlflow.pyfunc.load_model(f"models:/{name}/{version.version}")
        assert model.metadata.signature.inputs.input_names() == list(FEATURES)
        rows = pd.DataFrame(np.full((3, len(FEATURES)), np.nan), columns=list(FEATURES))
        answers = np.asarray(model.predict(rows))
        assert answers.shape == ((3,) if kind == "regressor" else (3, 2))


def test_trains_on_files_and_on_the_store(
    registry: MlflowClient, bucket: Bucket, quick: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The two ways give the same rows, so the same models."""
    files = [real("coin_Bitcoin.csv"), real("coin_Ethereum.csv")]
    given = [argument for file in files for argument in ("--data", file)]
    assert invoke(*given, "--config", quick).exit_code == 0
    digest = data_digest(registry)
    assert invoke("ingest", *files, "--to", f"s3://{bucket.name}/x").exit_code == 0
    result = invoke("--data", f"s3://{bucket.name}/x/", "--config", quick)
    assert result.exit_code == 0, result.output
    assert data_digest(registry) == digest


def data_digest(registry: MlflowClient) -> str:
    version = newest(registry, "cripto-classifier-log")
    params = registry.get_run(str(version.run_id)).data.params
    assert params["data.rows"] == "3584"
    return str(params["data.sha256"])


def test_ingests_made_coins_where_the_environment_says(
    bucket: Bucket, quick: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("ASCENSO_DATA", f"s3://{bucket.name}/prices")
    with caplog.at_level(logging.INFO, "training"):
        for added in ("900 days added; 6 of 6", "0 days added; 0 of 6"):
            caplog.clear()
            assert invoke("ingest", "--synthetic", "--config", quick).exit_code == 0
            assert added in caplog.text
    listed = bucket.client.list_objects_v2(Bucket=bucket.name, Prefix="prices/BTC")
    assert [entry["Key"] for entry in listed["Contents"]] == ["prices/BTC/synthetic.csv"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ingest"], "Give files, or --synthetic."),
        (["ingest", "x.csv", "--synthetic"], "Give files, or --synthetic."),
        (["ingest", "gone.csv"], "Cannot read gone.csv: No such file or directory."),
        (["ingest", "x.csv", "--to", "here"], "here is no s3://bucket/prefix."),
        (["--data", "gone.csv"], "Cannot read gone.csv: No such file or directory."),
    ],
)
def test_what_cannot_be_done_ends_with_one_line(arguments: list[str], message: str) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert result.stderr.strip().splitlines()[-1] == f"Error: {message}"
    assert "Traceback" not in result.output


def test_the_store_that_is_down_ends_with_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    result = invoke("ingest", "--synthetic")
    assert result.exit_code == 2
    assert "Cannot use s3://ascenso/data: Could not connect" in result.stderr
