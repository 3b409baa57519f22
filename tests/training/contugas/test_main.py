"""The command line, against a real MLflow server."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result
from mlflow.entities import Run

import mlflow
from mlflow import MlflowClient
from tests.training.conftest import Bucket, newest
from training.contugas.__main__ import main
from training.data import Dataset
from training.settings import PATH

NAME = "contugas-anomaly"


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


@pytest.fixture
def quick(tmp_path: Path) -> str:
    """Give settings with few synthetic rows."""
    path = tmp_path / "training.yaml"
    path.write_text(PATH.read_text().replace("hours: 2000", "hours: 100"))
    return str(path)


@pytest.fixture
def csv(tmp_path: Path, dataset: Dataset) -> Path:
    path = tmp_path / "plant.csv"
    dataset.table.to_csv(path, index=False)
    return path


def dataset_name(run: Run) -> str:
    assert run.inputs is not None
    return str(run.inputs.dataset_inputs[0].dataset.name)


def test_trains_on_synthetic_data_and_promotes(registry: MlflowClient, quick: str) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "training.contugas", "--promote", "--config", quick],
        env=os.environ | {"PYTHONWARNINGS": "error::FutureWarning:mlflow"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Training on synthetic data: synthetic:seed=7 (2000 rows)." in result.stderr
    assert "Warning" not in result.stderr
    version = newest(registry, NAME)
    assert f"/#/models/{NAME}/versions/{version.version}" in result.stderr
    assert version.current_stage == "Production"
    run = registry.get_run(str(version.run_id))
    assert run.data.tags["ascenso.data"] == "synthetic"
    assert dataset_name(run) == "contugas-synthetic"
    assert run.data.params["data.rows"] == "2000"
    names = ("rows", "proxy_share", "threshold", "f1", "precision", "recall")
    expected = {f"cluster_{cluster}.{name}" for cluster in range(5) for name in names}
    assert set(run.data.metrics) == expected | {"silhouette"}
    figures = [item.path for item in registry.list_artifacts(run.info.run_id, "figures")]
    expected_figures = ["clusters", *(f"scores_{cluster}" for cluster in range(5))]
    assert figures == [f"figures/{name}.png" for name in expected_figures]


def test_trains_on_a_file(registry: MlflowClient, csv: Path, dataset: Dataset) -> None:
    result = invoke("--data", str(csv))
    assert result.exit_code == 0, result.output
    version = newest(registry, NAME)
    assert version.current_stage == "None"
    run = registry.get_run(str(version.run_id))
    assert run.data.tags["ascenso.data"] == "given"
    assert dataset_name(run) == "plant.csv"
    assert run.data.params["data.source"] == str(csv)
    assert run.data.metrics["cluster_0.rows"] > 0
    model = mlflow.pyfunc.load_model(f"models:/{NAME}/{version.version}")
    readings = dataset.table[["Presion", "Temperatura", "Volumen"]].head(3)
    readings.columns = pd.Index(["presion", "temperatura", "volumen"])
    assert model.predict(readings).shape == (3, 2)
    assert model.metadata.signature.inputs.input_names() == ["presion", "temperatura", "volumen"]
    assert model.metadata.signature.outputs.input_names() == ["cluster", "prediccion"]


def test_trains_from_s3(registry: MlflowClient, bucket: Bucket, csv: Path) -> None:
    address = bucket.put("gas/plant.csv", csv)
    result = invoke("--data", address)
    assert result.exit_code == 0, result.output
    version = newest(registry, NAME)
    params = registry.get_run(str(version.run_id)).data.params
    assert params["data.source"] == address


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (
            {"Presion": None},
            "has no column Presion; it has: Fecha, Temperatura, Volumen, Cliente.",
        ),
        ({"Volumen": "much"}, "column Volumen has 'much', which is no number."),
        ({"Cliente": "CLIENTE1"}, "Cliente holds 1 clients; the clusters need at least 6."),
    ],
)
def test_bad_data_ends_with_one_line(
    csv: Path, dataset: Dataset, broken: dict[str, str | None], message: str
) -> None:
    column, value = next(iter(broken.items()))
    table = dataset.table.drop(columns=column) if value is None else dataset.table.assign(**broken)
    table.to_csv(csv, index=False)
    result = invoke("--data", str(csv))
    assert result.exit_code == 2
    error = result.stderr.strip().splitlines()[-1]
    assert error.startswith("Error: ")
    assert str(csv) in error
    assert message in error
    assert "Traceback" not in result.output


def test_bad_settings_end_with_one_line(tmp_path: Path) -> None:
    path = tmp_path / "training.yaml"
    path.write_text("contugas: {clusters: 5, epochs: 3}")
    result = invoke("--config", str(path))
    assert result.exit_code == 2
    assert "unknown field `epochs`" in result.stderr


def test_no_server_ends_with_one_line(quick: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    result = invoke("--config", quick)
    assert result.exit_code == 1
    assert "MLflow at http://127.0.0.1:9 does not answer" in result.stderr
    assert "Traceback" not in result.output
