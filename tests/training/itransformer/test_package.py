"""From a training to the serving process: the same forecasts, by the files alone."""

import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from mlflow.entities.model_registry import ModelVersion

import mlflow
from bentos.admission.judge import check_digests
from bentos.flavors.loading import load, preload
from bentos.flavors.mlmodel import MLmodel
from bentos.refusal import Refusal
from bentos.registry.client import Tag, Version
from mlflow import MlflowClient
from tests.training.itransformer.conftest import SMALL, forecaster
from training import tracking
from training.errors import InputError
from training.itransformer import package
from training.itransformer.frames import Series
from training.itransformer.model import MARKS
from training.itransformer.names import registered_name

with warnings.catch_warnings():  # mlflow warns about its own type hints
    warnings.simplefilter("ignore")
    import mlflow.pyfunc


@pytest.fixture
def version(registry: MlflowClient, series: Series) -> ModelVersion:
    with tracking.run("package-test"):
        return package.register("energia_v1", forecaster(series), series)


def download(version: ModelVersion, folder: Path) -> Path:
    assert version.source is not None
    model = mlflow.get_logged_model(version.source.removeprefix("models:/"))
    return Path(mlflow.artifacts.download_artifacts(model.artifact_location, dst_path=str(folder)))


def test_what_serves_answers_as_training_did(
    version: ModelVersion, series: Series, tmp_path: Path
) -> None:
    folder = download(version, tmp_path)
    assert version.name == "itransformer-energia_v1"
    mlmodel = MLmodel(folder)
    mlmodel.refuse_code()
    mlmodel.refuse_pickles()
    mlmodel.refuse_unknown()
    preload(mlmodel.flavor)
    samples = package.sample(forecaster(series), series.rows())
    found = load(mlmodel).predict(np.asarray(samples.inputs))
    np.testing.assert_array_equal(found, samples.outputs)


def test_the_mlmodel_tells_what_a_service_needs(
    version: ModelVersion, series: Series, tmp_path: Path
) -> None:
    content = MLmodel(download(version, tmp_path)).content
    assert content["metadata"] == {
        "columns": ["carga", "temperatura", "humedad"],
        "seq_len": SMALL.seq_len,
        "pred_len": SMALL.pred_len,
        "step": "h",
    }
    assert content["flavors"]["itransformer"] == {
        "weights": "model.safetensors",
        "config": "config.json",
    }


def test_its_digest_is_registered(
    registry: MlflowClient, version: ModelVersion, tmp_path: Path
) -> None:
    folder = download(version, tmp_path)
    digest = registry.get_model_version(version.name, version.version).tags["ascenso.digest"]
    found = Version(version.name, version.version, tags=(Tag("ascenso.digest", digest),))
    libraries = check_digests(found, folder).libraries
    assert libraries.keys() == {"python", "torch", "safetensors", "numpy"}
    (folder / "config.json").write_text("{}")
    with pytest.raises(Refusal, match=r"config.json is not the file that training stored"):
        check_digests(found, folder)


def test_a_notebook_loads_it_too(version: ModelVersion, series: Series) -> None:
    model = mlflow.pyfunc.load_model(f"models:/{version.name}/{version.version}")
    samples = package.sample(forecaster(series), series.rows())
    np.testing.assert_array_equal(model.predict(samples.inputs), samples.outputs)
    signature = model.metadata.signature
    assert signature.inputs.inputs[0].shape == (-1, SMALL.seq_len, 3 + MARKS)
    assert signature.outputs.inputs[0].shape == (-1, SMALL.pred_len, 3)


def test_a_forecast_takes_one_core(series: Series, tmp_path: Path) -> None:
    """Torch counts its threads for each thread that calls it."""
    package.save(forecaster(series), tmp_path / "model")
    predict = load(MLmodel(tmp_path / "model")).predict
    samples = package.sample(forecaster(series), series.rows())

    def count() -> int:
        torch.set_num_threads(2)
        predict(np.asarray(samples.inputs))
        return torch.get_num_threads()

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(count).result() == 1


def test_files_that_do_not_fit_are_refused(series: Series, tmp_path: Path) -> None:
    package.save(forecaster(series), tmp_path / "model")
    weights = tmp_path / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4])
    with pytest.raises(Refusal, match=r"load: .*model.safetensors is no safetensors file"):
        load(MLmodel(tmp_path / "model"))
    weights.unlink()
    with pytest.raises(Refusal, match=r"flavor: .*'model.safetensors', which is not there"):
        load(MLmodel(tmp_path / "model"))


@pytest.mark.parametrize("name", ["", "a b", "../x", "ñ", "a" * 101, "a/b"])
def test_names_are_letters_digits_and_dashes(name: str) -> None:
    with pytest.raises(InputError, match=r"The model name is '.*': give up to 100 letters"):
        registered_name(name)
