"""The command line, against a real MLflow server."""

import json
from pathlib import Path

import numpy as np
import pytest
import skops.io
from click.testing import CliRunner, Result
from sklearn.preprocessing import StandardScaler

from mlflow import MlflowClient, artifacts
from tests.keras_files import dense
from tests.training.conftest import newest
from training.keras_api.__main__ import main
from training.keras_api.example import COLUMNS, synthetic
from training.keras_api.settings import Synthetic


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)))


def test_trains_on_made_rows_and_promotes(
    registry: MlflowClient, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    result = invoke("--promote", "--epochs", 3, "--batch", 64)
    assert result.exit_code == 0, result.output
    assert "Training on synthetic data: synthetic:seed=42 (1000 rows)." in caplog.messages
    assert any(line.startswith("Test: rmse ") for line in caplog.messages)
    version = newest(registry, "keras-default")
    assert version.current_stage == "Production"

    run = registry.get_run(str(version.run_id))
    assert run.data.params["epochs"] == "3"
    assert run.data.params["batch"] == "64"
    assert run.data.tags["ascenso.data"] == "synthetic"
    assert set(run.data.metrics) == {"train_loss", "val_loss", "rmse", "mae", "r2", "confidence"}
    for loss in ("train_loss", "val_loss"):
        history = registry.get_metric_history(run.info.run_id, loss)
        assert [metric.step for metric in history] == [1, 2, 3]
    figures = [item.path for item in registry.list_artifacts(run.info.run_id, "figures")]
    assert figures == ["figures/loss.png"]
    where = f"models:/keras-default/{version.version}/ascenso/reference.json"
    reference = json.loads(
        Path(artifacts.download_artifacts(where, dst_path=str(tmp_path))).read_text()
    )
    assert set(reference["inputs"]) == set(map(str, range(10)))
    assert set(reference["outputs"]) == {"0", "1"}, "predictions and confidence"


def test_trains_on_a_given_table(registry: MlflowClient, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    synthetic(Synthetic(rows=100, seed=1)).table.to_csv(path, index=False)
    result = invoke("--data", path, "--epochs", 1)
    assert result.exit_code == 0, result.output
    run = registry.get_run(str(newest(registry, "keras-default").run_id))
    assert run.data.params["data.source"] == str(path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--epochs", "0"], "'--epochs': 0 is not in the range 1<=x<=500"),
        (["--epochs", "501"], "'--epochs': 501 is not in the range 1<=x<=500"),
        (["--batch", "257"], "'--batch': 257 is not in the range 1<=x<=256"),
        (["--data", "missing.csv"], "Cannot read missing.csv"),
        (["import", "model.h5", "--id", "mine"], "model.h5 is no .keras file"),
        (["import", "model.keras"], "Missing option '--id'"),
    ],
)
def test_mistakes(arguments: list[str], message: str) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert message in result.output


def test_a_table_without_a_column(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(",".join(COLUMNS[:-1]) + "\n")
    result = invoke("--data", path)
    assert result.exit_code == 2
    assert "has no column y" in result.output


def test_imports_a_file_with_its_scalers(registry: MlflowClient, tmp_path: Path) -> None:
    scaler = StandardScaler().fit(np.random.default_rng(0).normal(5, 2, (50, 3)))
    dense().save(tmp_path / "fitted.keras")
    skops.io.dump(scaler, tmp_path / "x.skops")
    (tmp_path / "y.json").write_text('{"mean": [100.0], "scale": [20.0]}')
    result = invoke(
        *("import", tmp_path / "fitted.keras", "--id", "imported", "--promote"),
        *("--scaler-x", tmp_path / "x.skops", "--scaler-y", tmp_path / "y.json"),
    )
    assert result.exit_code == 0, result.output
    assert newest(registry, "keras-imported").current_stage == "Production"


def test_imports_nothing_under_a_bad_id(tmp_path: Path) -> None:
    dense().save(tmp_path / "fitted.keras")
    result = invoke("import", tmp_path / "fitted.keras", "--id", "my model")
    assert result.exit_code == 2
    assert "'my model' is no model id" in result.output
