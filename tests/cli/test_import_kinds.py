"""Files of each kind, read, tried, and read back as a service will: `ascenso import --dry-run`."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import joblib
import lightgbm
import numpy as np
import onnx
import pandas as pd
import pytest
import sklearn
import xgboost
from catboost import CatBoostClassifier, CatBoostRegressor
from click.testing import CliRunner, Result
from onnx import TensorProto, helper, numpy_helper
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from bentos.cli import main
from tests.itransformer import zips
from tests.keras_files import dense, keras

NAMES = ["price", "rooms", "age"]
RANDOM = np.random.default_rng(11)
TABLE = pd.DataFrame(RANDOM.normal(size=(200, 3)), columns=NAMES)
X = TABLE.to_numpy()
Y = X @ [1.0, -2.0, 0.5]
SIGN = np.where(Y > 0, "up", "down")

Write = Callable[[Path], Any]


def dumped(model: Any) -> Write:
    return lambda folder: joblib.dump(model, folder / "model.joblib", compress=("xz", 3))


def pickled(model: Any) -> Write:
    return lambda folder: (folder / "model.pkl").write_bytes(pickle.dumps(model))


def catboost(kind: type, target: Any) -> Write:
    model = kind(iterations=5, depth=2, verbose=0, allow_writing_files=False).fit(TABLE, target)
    return lambda folder: model.save_model(str(folder / "model.cbm"))


def graph(folder: Path) -> None:
    weights = numpy_helper.from_array(np.array([[1], [-2], [0.5]], np.float32), "w")
    made = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "line",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1])],
        [weights],
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(made, opset_imports=opset, ir_version=9), folder / "model.onnx")


def h5(kind: str, module: str | None) -> Write:
    """A file that names a class of others."""

    def write(folder: Path) -> None:
        layers: list[dict[str, Any]] = [{"class_name": kind, "module": module, "config": {}}]
        config = {"class_name": "Sequential", "config": {"layers": layers}}
        with h5py.File(folder / "model.h5", "w") as file:
            file.attrs["model_config"] = json.dumps(config)

    return write


def bundle(**parts: Any) -> Write:
    scaler = StandardScaler().fit(X)
    model = LinearRegression().fit(scaler.transform(X), Y)
    return dumped({"model": model, "scaler": scaler, "features": NAMES} | parts)


@pytest.fixture
def bring(tmp_path: Path) -> Callable[..., Result]:
    """Write files into a folder, and import that."""
    table = tmp_path / "rows.csv"
    TABLE.assign(price=TABLE["price"].where(TABLE.index > 0)).to_csv(table, index=False)
    folder = tmp_path / "models"
    folder.mkdir()

    def run(write: Write, *options: str, name: str = "some", rows: Path = table) -> Result:
        write(folder)
        command = ["import", str(folder), "--as", name, "--input", str(rows), "--dry-run"]
        return CliRunner().invoke(main, [*command, "--json", *options])

    return run


def pooling(folder: Path) -> None:
    """Averages that torch takes otherwise than TensorFlow; the file does not say whose it is."""
    layers = keras.layers
    reshaped = [keras.Input((3,)), layers.Reshape((3, 1))]
    pooled = [layers.AveragePooling1D(3, strides=2, padding="same"), layers.Flatten()]
    keras.Sequential([*reshaped, *pooled, layers.Dense(1)]).save(folder / "model.keras")


PIPELINE = make_pipeline(StandardScaler(), LinearRegression()).fit(TABLE, Y)
BOOSTED = make_pipeline(StandardScaler(), xgboost.XGBRegressor(n_estimators=3)).fit(X, Y)
FOREST = RandomForestClassifier(5, random_state=0).fit(X, SIGN)
LIGHT = lightgbm.LGBMRegressor(n_estimators=3, verbose=-1).fit(TABLE, Y)


@pytest.mark.parametrize(
    ("write", "what"),
    [
        (dumped(PIPELINE), "Pipeline"),
        (pickled(FOREST), "RandomForestClassifier"),
        (bundle(), "Pipeline"),
        (dumped(xgboost.XGBRegressor(n_estimators=3).fit(TABLE, Y)), "XGBRegressor"),
        (pickled(BOOSTED), "Pipeline"),
        (dumped(LIGHT), "LGBMRegressor"),
        (catboost(CatBoostRegressor, Y), "CatBoostRegressor"),
        (catboost(CatBoostClassifier, SIGN), "CatBoostClassifier"),
        (lambda folder: dense().save(folder / "model.keras"), "keras network"),
        (lambda folder: dense().save(folder / "model.h5"), "keras network"),
        (graph, "onnx network"),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
def test_each_kind(bring: Callable[..., Result], write: Write, what: str) -> None:
    result = bring(write)
    assert result.exit_code == 0, result.output
    outcome = json.loads(result.stdout)
    assert (outcome["is"], outcome["rows"], outcome["version"]) == (what, 199, None)
    assert len(outcome["found"]) == 1


def test_another_release_that_wrote_it_is_said(bring: Callable[..., Result]) -> None:
    here = sklearn.__version__.encode()
    written = pickle.dumps(PIPELINE).replace(here, b"1.0.2")
    result = bring(lambda folder: (folder / "model.pkl").write_bytes(written))
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["found"][0]["written_by"] == ["scikit-learn 1.0.2"]
    assert "model.pkl: another release reads it here" in result.stderr


def test_a_forecaster(bring: Callable[..., Result], tmp_path: Path) -> None:
    rows = tmp_path / "hours.csv"
    dates = pd.date_range("2024-01-01", periods=96, freq="h")
    pd.DataFrame({"date": dates, "OT": X[:96, 0], "HU": X[:96, 1]}).to_csv(rows, index=False)

    def write(folder: Path) -> None:
        (folder / "plant.pth").write_bytes(zips.pth())
        (folder / "plant.pkl").write_bytes(zips.pkl())

    result = bring(write, name="itransformer-plant", rows=rows)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["is"] == "forecaster of OT, HU, with 8 heads"
    wrong = bring(write, name="plant", rows=rows)
    assert wrong.exit_code == 1
    assert "itransformer-plant" in wrong.stderr


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (dumped(zips.Runs()), "system is not a type that Ascenso knows"),
        (dumped(StandardScaler().fit(X)), "which predicts nothing"),
        (bundle(threshold=0.5), "a threshold in contugas' layout alone"),
        (bundle(features=["price", "rooms", "rent"]), "has no column rent"),
        (dumped(LinearRegression().fit(X[:, :2], Y)), "--columns"),
        (lambda folder: (folder / "model.h5").write_bytes(b"no file"), "is no HDF5 file"),
        (pooling, "of an unknown backend, and its AveragePooling1D"),
        (h5("Lambda", None), "names 'Lambda', which is not on our list"),
        (h5("system", "os"), "os.system"),
        (lambda folder: (folder / "notes.txt").write_text("hello"), "nothing that is known"),
    ],
)
def test_what_cannot_be_taken_is_named(
    bring: Callable[..., Result], write: Write, words: str
) -> None:
    result = bring(write)
    assert result.exit_code == 1, result.output
    assert words in result.stderr
    assert result.stdout == ""
    assert not zips.ESCAPED.exists()


@pytest.mark.parametrize("named", [True, False])
def test_categories_that_look_like_numbers(
    bring: Callable[..., Result], tmp_path: Path, named: bool
) -> None:
    """A post code keeps its zeros, and NA is Namibia."""
    table = pd.DataFrame({"CODE": ["01234", "1234", "NA"] * 20, "rooms": np.arange(60.0)})
    rows = tmp_path / "codes.csv"
    table.to_csv(rows, index=False)
    encoded = make_column_transformer((OneHotEncoder(), [0]), remainder="passthrough")
    trained = table.rename(columns=str.lower) if named else table.to_numpy(dtype=object)
    model = make_pipeline(encoded, LinearRegression()).fit(trained, np.arange(60) % 3)
    result = bring(dumped(model), rows=rows)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["rows"] == 60


def test_columns_are_named_for_a_model_that_knows_none(bring: Callable[..., Result]) -> None:
    result = bring(dumped(LinearRegression().fit(X[:, :2], Y)), "--columns", "rooms,AGE")
    assert result.exit_code == 0, result.output
