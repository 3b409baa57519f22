"""The command line, against a real MLflow server."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from mlflow.models import Model

import mlflow
from mlflow import MlflowClient
from tests.training.conftest import newest
from training.data import Dataset
from training.settings import PATH
from training.spotify.__main__ import main
from training.spotify.features import FEATURES

NAME = "spotify-popularity"
SCORES = {"rmse", "mae", "r2"}


@pytest.fixture
def quick(tmp_path: Path) -> str:
    """Give settings with few songs and trees."""
    path = tmp_path / "training.yaml"
    text = PATH.read_text().replace("songs: 4000", "songs: 400")
    path.write_text(text.replace("iterations: 300", "iterations: 20"))
    return str(path)


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def test_trains_on_made_songs_and_promotes(
    registry: MlflowClient, quick: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    result = invoke("--promote", "--config", quick)
    assert result.exit_code == 0, result.output
    version = newest(registry, NAME)
    assert version.current_stage == "Production"
    assert "Training on synthetic data: synthetic:seed=7 (400 rows)." in caplog.messages
    assert any(line.startswith("Test, the median: RMSE ") for line in caplog.messages)

    run = registry.get_run(str(version.run_id))
    assert run.data.tags["ascenso.data"] == "synthetic"
    assert run.data.params["iterations"] == "20"
    assert run.data.params["depth"] == "6"
    assert run.data.params["data.rows_dropped"] == "0"
    assert "synthetic" not in run.data.params
    assert set(run.data.metrics) == SCORES | {f"median_{score}" for score in SCORES} | {"trees"}
    figures = [item.path for item in registry.list_artifacts(run.info.run_id, "figures")]
    assert figures == ["figures/importances.png", "figures/learning_curve.png"]
    check_folder(Path(mlflow.artifacts.download_artifacts(version.source, dst_path=str(tmp_path))))


def check_folder(folder: Path) -> None:
    """A cbm with the signature of the 18 features, its samples and digests; no pickle."""
    description = Model.load(folder / "MLmodel")
    assert description.flavors["catboost"]["save_format"] == "cbm"
    assert description.flavors["catboost"]["model_type"] == "CatBoostRegressor"
    signature = description.signature
    assert signature.inputs.input_names() == [feature.name for feature in FEATURES]
    kinds = [kind.name for kind in signature.inputs.input_types()]
    assert kinds == [feature.kind for feature in FEATURES]
    assert signature.outputs.input_names() == ["popularidad_estimada"]
    assert not list(folder.rglob("*.pkl"))
    samples = json.loads((folder / "ascenso" / "samples.json").read_text())
    assert len(samples["inputs"]["data"]) == len(samples["outputs"]) == 64
    assert samples["outputs"] == sorted(samples["outputs"])
    manifest = json.loads((folder / "ascenso" / "manifest.json").read_text())
    assert {"python", "catboost", "numpy"} == set(manifest["libraries"])


def test_trains_on_a_file(
    registry: MlflowClient, quick: str, tmp_path: Path, made: Dataset
) -> None:
    path = tmp_path / "songs.csv"
    made.table.to_csv(path, index=False)
    result = invoke("--data", str(path), "--config", quick)
    assert result.exit_code == 0, result.output
    version = newest(registry, NAME)
    assert version.current_stage == "None"
    run = registry.get_run(str(version.run_id))
    assert run.data.tags["ascenso.data"] == "given"
    assert run.data.params["data.source"] == str(path)


def test_a_missing_column_ends_with_one_line(tmp_path: Path, made: Dataset) -> None:
    path = tmp_path / "songs.csv"
    made.table.drop(columns=["tempo", "track_genre"]).to_csv(path, index=False)
    result = invoke("--data", str(path))
    assert result.exit_code == 2
    assert f"{path} has no column tempo, track_genre; it has: " in result.stderr
    assert "Traceback" not in result.output


def test_names_are_learned_as_they_are_called(
    registry: MlflowClient, made: Dataset, quick: str, tmp_path: Path
) -> None:
    """The service asks for the artist "NA": to the model he must not be unknown."""
    names = ["NA", "None", "007"]
    artists = [names[at % 3] for at in range(len(made.table))]
    made.table.assign(artists=artists).to_csv(tmp_path / "songs.csv", index=False)
    result = invoke("--data", str(tmp_path / "songs.csv"), "--config", quick)
    assert result.exit_code == 0, result.output
    source = newest(registry, NAME).source
    folder = Path(mlflow.artifacts.download_artifacts(source, dst_path=str(tmp_path)))
    samples = json.loads((folder / "ascenso" / "samples.json").read_text())["inputs"]
    at = samples["columns"].index("artists")
    assert {row[at] for row in samples["data"]} == set(names)
