import hashlib
import json
import logging
import os
import socket
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow.entities import LoggedModelStatus
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import Model

import mlflow
from mlflow import MlflowClient
from training import tracking
from training.errors import InputError, RegistryError, TrainingError
from training.manifest import Predict, Samples

EXPERIMENT = "tracking-test"
INPUTS = pd.DataFrame({"x": np.arange(8.0), "name": list("abcdefgh")})
OUTPUTS = np.arange(16.0).reshape(8, 2)
SAMPLES = Samples(INPUTS, OUTPUTS)


def save(path: Path) -> None:
    """Stand in for a flavor's save_model: an MLmodel and one file in a folder."""
    (path / "data").mkdir(parents=True)
    (path / "data" / "weights.bin").write_bytes(b"weights")
    Model(flavors={"stand_in": {"data": "data"}}).save(path / "MLmodel")


def load(path: Path) -> Predict:
    assert (path / "data" / "weights.bin").read_bytes() == b"weights"
    return lambda inputs: np.arange(2.0 * len(inputs)).reshape(-1, 2)


def register(name: str) -> ModelVersion:
    with tracking.run(EXPERIMENT):
        mlflow.log_param("depth", 3)
        mlflow.log_metric("f1", 0.5, step=0)
        mlflow.log_metric("f1", 0.75, step=1)
        return tracking.register(name, save, SAMPLES, ["scikit-learn", "numpy"], load)


def logged(version: ModelVersion) -> str:
    assert version.source is not None
    return version.source.removeprefix("models:/")


def download(version: ModelVersion, folder: Path) -> Path:
    """Fetch the files as they lie in the store: `models:/` would add one of MLflow's own."""
    location = mlflow.get_logged_model(logged(version)).artifact_location
    path = mlflow.artifacts.download_artifacts(location, dst_path=str(folder))
    return Path(path)


def test_version_is_linked_to_run_and_model(registry: MlflowClient) -> None:
    version = register("linked")
    found = registry.get_model_version("linked", version.version)
    assert found.status == "READY"
    model = registry.get_logged_model(logged(found))
    assert model.status == LoggedModelStatus.READY
    assert model.source_run_id == found.run_id
    assert model.params == {"depth": "3"}
    assert {(m.key, m.value, m.step) for m in model.metrics or []} == {("f1", 0.75, 1)}
    assert json.loads(model.tags["mlflow.modelVersions"]) == [{"name": "linked", "version": 1}]
    run = registry.get_run(str(found.run_id))
    assert run.outputs is not None
    assert [output.model_id for output in run.outputs.model_outputs] == [model.model_id]
    assert run.info.status == "FINISHED"
    assert len(registry.get_metric_history(run.info.run_id, "f1")) == 2


def test_every_file_has_its_digest(registry: MlflowClient, tmp_path: Path) -> None:
    version = register("digested")
    folder = download(version, tmp_path)
    manifest = (folder / "ascenso" / "manifest.json").read_bytes()
    tags = registry.get_model_version("digested", version.version).tags
    assert tags == {"ascenso.digest": f"sha256:{hashlib.sha256(manifest).hexdigest()}"}
    assert registry.get_logged_model(logged(version)).tags.items() >= tags.items()
    content = json.loads(manifest)
    present = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    del present["ascenso/manifest.json"]
    assert set(present) == {"MLmodel", "data/weights.bin", "ascenso/samples.json"}
    assert content["files"] == {
        name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in present.items()
    }
    assert content["format"] == 1
    assert set(content["libraries"]) == {"python", "scikit-learn", "numpy"}
    assert content["libraries"]["numpy"] == np.__version__
    description = Model.load(folder / "MLmodel")
    assert description.run_id == version.run_id
    assert description.model_id == logged(version)


def test_samples_are_stored_as_the_format_says(registry: MlflowClient, tmp_path: Path) -> None:
    stored = json.loads(
        (download(register("sampled"), tmp_path) / "ascenso/samples.json").read_text()
    )
    assert stored["inputs"]["columns"] == ["x", "name"]
    assert stored["inputs"]["data"][1] == [1.0, "b"]
    assert stored["outputs"] == OUTPUTS.tolist()
    assert (stored["rtol"], stored["atol"]) == (1e-5, 1e-8)


def test_versions_of_one_model_count_up(registry: MlflowClient) -> None:
    assert [int(register("counted").version) for _ in range(2)] == [1, 2]


@pytest.mark.parametrize("answer", [np.zeros((8, 2)), np.zeros((8, 3)), OUTPUTS + 1e-3])
def test_a_model_that_reads_back_differently_is_not_registered(
    registry: MlflowClient, answer: Any
) -> None:
    with (
        pytest.raises(TrainingError, match=r"broken, read back .* does not reproduce"),
        tracking.run(EXPERIMENT) as run,
    ):
        tracking.register("broken", save, SAMPLES, [], lambda path: lambda inputs: answer)
    assert registry.get_run(run.info.run_id).info.status == "FAILED"
    assert not registry.search_model_versions("name='broken'")


def test_a_failed_upload_is_marked_and_not_registered(
    registry: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(MlflowClient, "log_model_artifacts", no_space)
    with pytest.raises(OSError, match="No space left"), tracking.run(EXPERIMENT) as run:
        tracking.register("unsent", save, SAMPLES, [])
    models = registry.search_logged_models(
        [run.info.experiment_id], f"source_run_id='{run.info.run_id}'"
    )
    assert [model.status for model in models] == [LoggedModelStatus.FAILED]
    assert not registry.search_model_versions("name='unsent'")


def test_what_cannot_be_registered_leaves_no_logged_model(registry: MlflowClient) -> None:
    with (
        pytest.raises(InputError, match="'sklearn', of the libraries"),
        tracking.run(EXPERIMENT) as run,
    ):
        tracking.register("half", save, SAMPLES, ["sklearn"])
    of_run = f"source_run_id='{run.info.run_id}'"
    assert not registry.search_logged_models([run.info.experiment_id], of_run)


def test_register_needs_a_run() -> None:
    with pytest.raises(RuntimeError, match=r"outside `with tracking\.run"):
        tracking.register("nowhere", save, SAMPLES, [])


def test_promote_archives_the_one_before(registry: MlflowClient) -> None:
    first, second = register("promoted"), register("promoted")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tracking.promote(first)
        tracking.promote(second)
    stages = {
        version.version: version.current_stage
        for version in registry.search_model_versions("name='promoted'")
    }
    assert stages == {first.version: "Archived", second.version: "Production"}


def test_says_where_the_version_is(
    registry: MlflowClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "training"):
        register("announced")
    assert f"{registry.tracking_uri}/#/models/announced/versions/1" in caplog.text
    assert "ascenso promote announced 1" in caplog.text


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def test_a_server_that_is_down_is_reported_at_once(
    monkeypatch: pytest.MonkeyPatch, closed_port: int
) -> None:
    for name in ("USERNAME", "PASSWORD"):
        monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", "")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://ana:hunter%202@127.0.0.1:{closed_port}/")
    with pytest.raises(RegistryError, match=f"MLflow at http://127.0.0.1:{closed_port} does not"):
        tracking.connect(EXPERIMENT)
    assert os.environ["MLFLOW_TRACKING_USERNAME"] == "ana"
    assert os.environ["MLFLOW_TRACKING_PASSWORD"] == "hunter 2"


@pytest.mark.parametrize("uri", ["sqlite:///mlflow.db", "mlruns", "http://[bad"])
def test_what_is_no_server_is_refused(monkeypatch: pytest.MonkeyPatch, uri: str) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(RegistryError, match="or set MLFLOW_TRACKING_URI"):
        tracking.connect(EXPERIMENT)


def test_the_default_server_is_this_machine_s(
    monkeypatch: pytest.MonkeyPatch, closed_port: int, mlflow_server: str
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("ASCENSO_MLFLOW_PORT", str(closed_port))
    with pytest.raises(RegistryError, match=f"http://127.0.0.1:{closed_port} does not answer"):
        tracking.connect(EXPERIMENT)
    monkeypatch.setenv("ASCENSO_MLFLOW_PORT", mlflow_server.rsplit(":", 1)[1])
    assert tracking.connect(EXPERIMENT) == mlflow_server


def test_what_mlflow_refuses_is_an_error_of_ours(registry: MlflowClient) -> None:
    with (
        pytest.raises(RegistryError, match=r"MLflow: .*no/such\?\*name") as caught,
        tracking.run(EXPERIMENT),
    ):
        mlflow.log_metric("no/such?*name", 1.0)
    assert isinstance(caught.value.__cause__, MlflowException)


def test_telemetry_is_off() -> None:
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
