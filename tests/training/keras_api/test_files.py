import json
import pickle
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import FunctionTransformer, RobustScaler, StandardScaler

from tests.keras_files import dense, keras, reconfigure
from tests.training.conftest import Bucket
from training.errors import InputError
from training.keras_api.files import read_model, read_scaler_file

X = np.random.default_rng(2).normal(5.0, 2.0, (50, 3))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "fitted.keras"
    dense().save(path)
    return path


def test_a_model_from_a_path(file: Path) -> None:
    read = read_model(str(file))
    np.testing.assert_allclose(read.predict(X, verbose=0), dense().predict(X, verbose=0))
    assert not read.compiled


def test_a_model_from_s3(file: Path, bucket: Bucket) -> None:
    read = read_model(bucket.put("models/fitted.keras", file))
    np.testing.assert_allclose(read.predict(X, verbose=0), dense().predict(X, verbose=0))


@pytest.mark.parametrize("name", ["model.h5", "model.pkl", "saved_model", "s3://bucket/model"])
def test_other_formats(name: str) -> None:
    with pytest.raises(InputError, match=rf"{name} is no \.keras file: .*model\.save"):
        read_model(name)


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x05\x06" + bytes(18)])
def test_what_is_no_keras_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"is no readable \.keras file"):
        read_model(str(path))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_model(str(tmp_path / "model.keras"))


@pytest.mark.parametrize(("module", "kind"), [("os", "system"), ("keras.layers", "Lambda")])
def test_a_model_that_would_run_code(module: str, kind: str, file: Path) -> None:
    def change(config: dict[str, Any]) -> None:
        config["config"]["layers"][1].update(module=module, class_name=kind)

    reconfigure(file, change)
    with pytest.raises(InputError, match=f"holds {kind}, which cannot be served"):
        read_model(str(file))


def pooling(length: int, pool: int, strides: int) -> keras.Model:
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((length,)),
            layers.Reshape((length, 1)),
            layers.AveragePooling1D(pool, strides, padding="same", name="smooth"),
            layers.Flatten(),
        ]
    )


def averages(row: list[float], pool: int, strides: int) -> list[float]:
    """Of those values that lie in the window, as TensorFlow and JAX pool."""
    count = -(-len(row) // strides)
    left = max((count - 1) * strides + pool - len(row), 0) // 2
    windows = [range(at * strides - left, at * strides - left + pool) for at in range(count)]
    held = [[row[at] for at in window if 0 <= at < len(row)] for window in windows]
    return [sum(values) / len(values) for values in held]


def test_average_pooling_that_torch_computes_otherwise_is_refused(tmp_path: Path) -> None:
    """For every layer: it is refused, or answers as under TensorFlow and JAX."""
    rows = [[float(n * n % 17) for n in range(length)] for length in (5, 6, 7)]
    path, read = tmp_path / "pooling.keras", 0
    for pool, strides in [(1, 2), (2, 1), (2, 2), (2, 3), (3, 1), (3, 2), (3, 3), (4, 1), (5, 1)]:
        for row in rows:
            pooling(len(row), pool, strides).save(path)
            with suppress(InputError):
                found = read_model(str(path)).predict(np.array([row]), verbose=0)[0]
                np.testing.assert_allclose(found, averages(row, pool, strides), rtol=1e-6)
                read += 1
    assert read == 18


def test_average_pooling_is_found_in_a_model_inside(tmp_path: Path) -> None:
    rows = keras.Input((5,))
    path = tmp_path / "inside.keras"
    keras.Model(rows, pooling(5, 4, 1)(rows)).save(path)
    message = r"AveragePooling1D 'smooth' pools \[4\] with padding='same', which torch"
    with pytest.raises(InputError, match=message):
        read_model(str(path))


def test_no_scaler() -> None:
    assert read_scaler_file(None) is None


def test_a_scaler_of_skops(tmp_path: Path) -> None:
    scaler = RobustScaler().fit(X)
    skops.io.dump(scaler, tmp_path / "x.skops")
    read: Any = read_scaler_file(str(tmp_path / "x.skops"))
    np.testing.assert_array_equal(read.transform(X), scaler.transform(X))


def test_a_scaler_of_json(tmp_path: Path) -> None:
    scaler = StandardScaler().fit(X)
    path = tmp_path / "x.json"
    path.write_text(json.dumps({"mean": scaler.mean_.tolist(), "scale": scaler.scale_.tolist()}))
    read: Any = read_scaler_file(str(path))
    np.testing.assert_allclose(read.transform(X), scaler.transform(X))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "x.json: Input data was truncated"),
        ('{"mean": [1]}', "missing required field `scale`"),
        ('{"mean": [1], "scale": [1], "std": [1]}', "unknown field `std`"),
        ('{"mean": [1], "scale": [0]}', "float` > 0.0 - at `\\$.scale"),
        ('{"mean": [1, 2], "scale": [1]}', "mean has 2 columns, but scale 1"),
    ],
)
def test_json_that_is_no_scaler(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        read_scaler_file(str(path))


@pytest.mark.parametrize("name", ["x.pkl", "x.joblib", "x"])
def test_a_pickle_is_never_opened(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(pickle.dumps(LinearRegression()))
    with pytest.raises(InputError, match=r"never opened: .*skops\.io\.dump"):
        read_scaler_file(str(tmp_path / name))


def negative(x: Any) -> Any:
    return -x


def test_skops_that_would_run_code(tmp_path: Path) -> None:
    skops.io.dump(FunctionTransformer(negative), tmp_path / "x.skops")
    with pytest.raises(InputError, match=r"is no readable \.skops file: Untrusted types"):
        read_scaler_file(str(tmp_path / "x.skops"))


def test_torn_skops(tmp_path: Path) -> None:
    (tmp_path / "x.skops").write_bytes(b"torn")
    with pytest.raises(InputError, match=r"is no readable \.skops file"):
        read_scaler_file(str(tmp_path / "x.skops"))


def test_weights_of_another_model(file: Path) -> None:
    def change(config: dict[str, Any]) -> None:
        layer = config["config"]["layers"][1]
        layer["config"]["units"] = 5
        layer.pop("build_config")
        config["config"]["layers"][2].pop("build_config")

    reconfigure(file, change)
    with pytest.raises(InputError, match=r"is no readable \.keras file"):
        read_model(str(file))


def test_a_file_of_any_backend(file: Path) -> None:
    def as_tensorflow(config: dict[str, Any]) -> None:
        config["compile_config"]["optimizer"]["module"] = "keras.src.backend.tensorflow.optimizer"

    reconfigure(file, as_tensorflow)
    assert isinstance(read_model(str(file)), keras.Sequential)
