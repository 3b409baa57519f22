"""guardar_modelo, against a real MLflow server, and read back by the service's own loader."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow.models import Model
from sklearn.preprocessing import MinMaxScaler, StandardScaler

import mlflow
from bentos.admission.judge import check_samples
from bentos.admission.manifest import read_samples
from bentos.flavors.loading import load
from bentos.flavors.mlmodel import MLmodel
from mlflow import MlflowClient
from tests.keras_files import dense, keras
from training import tracking
from training.errors import InputError, RegistryError
from training.keras_api import guardar_modelo
from training.keras_api.registration import registered_name

X = np.random.default_rng(2).normal([10.0, -500.0, 0.2], [3.0, 80.0, 0.05], (300, 3))
Y = 1e6 * X[:, :1]


def test_what_is_registered_can_be_served(registry: MlflowClient, tmp_path: Path) -> None:
    model, scaler_X, scaler_y = dense(), StandardScaler().fit(X), MinMaxScaler().fit(Y)
    version = guardar_modelo("mine", model, scaler_X, scaler_y)
    assert version.name == "keras-mine"
    assert registry.get_run(str(version.run_id)).info.status == "FINISHED"
    folder = Path(mlflow.artifacts.download_artifacts(version.source, dst_path=str(tmp_path)))

    signature = Model.load(folder / "MLmodel").signature
    for side, width in ((signature.inputs, 3), (signature.outputs, 2)):
        (spec,) = side.inputs
        assert (spec.type, spec.shape) == (np.dtype("float64"), (-1, width))
    files = {path.name for path in folder.rglob("*") if path.is_file()}
    assert {"model.keras", "keras_module.txt", "samples.json", "manifest.json"} <= files

    mlmodel = MLmodel(folder)
    mlmodel.refuse_pickles()
    mlmodel.refuse_code()
    predict = load(mlmodel).predict
    check_samples(predict, read_samples(folder))
    scaled = model.predict(scaler_X.transform(X), verbose=0).astype(np.float64)
    answers = predict(X)
    np.testing.assert_allclose(answers[:, :1], scaler_y.inverse_transform(scaled), rtol=1e-6)
    assert answers[:, 1].mean() == pytest.approx(0.5, abs=0.05)


def test_under_the_run_that_is_open(registry: MlflowClient) -> None:
    with tracking.run("notebook") as run:
        first, second = (guardar_modelo("again", dense()) for _ in range(2))
    assert first.run_id == second.run_id == run.info.run_id
    assert int(second.version) == int(first.version) + 1


@pytest.mark.parametrize("model_id", ["a", "Ventas_2026-11", "x" * 64])
def test_ids(model_id: str) -> None:
    assert registered_name(model_id) == f"keras-{model_id}"


@pytest.mark.parametrize("model_id", ["", "a b", "a/b", "ñ", "a.b", "x" * 65, "a\n", "../a"])
def test_what_is_no_id(model_id: str) -> None:
    with pytest.raises(InputError, match="is no model id: use 1 to 64 letters"):
        guardar_modelo(model_id, dense())


@pytest.mark.parametrize(
    ("scalers", "message"),
    [
        ((StandardScaler().fit(X[:, :2]), None), "scaler_X scales 2 columns, but the model has 3"),
        ((None, StandardScaler()), "scaler_y is not fitted"),
        ((object(), None), "scaler_X is a object: give one of StandardScaler"),
    ],
)
def test_scalers_that_do_not_fit(scalers: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        guardar_modelo("mine", dense(), *scalers)


def test_a_model_without_finite_answers() -> None:
    model = dense()
    model.set_weights([weights * np.nan for weights in model.get_weights()])
    with pytest.raises(InputError, match="with no finite numbers"):
        guardar_modelo("mine", model)


def test_without_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(RegistryError, match=r"127\.0\.0\.1:9 does not answer"):
        guardar_modelo("mine", keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]))
