"""What clients of MLflow 2, and other releases of the libraries, stored."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from sklearn import __version__ as here

from bentos.flavors import examples
from bentos.flavors.mlmodel import MLmodel
from bentos.flavors.opening import open_model
from tests.flavors.kinds import CASES, pickled
from tests.flavors.logged import rows, saved
from tests.flavors.test_opening import batch, same
from tests.serving.refusals import refused


def changed(mlmodel: MLmodel, flavor: str, **options: Any) -> MLmodel:
    """The version, with other options of a flavor."""
    mlmodel.content["flavors"][flavor].update(options)
    (mlmodel.folder / "MLmodel").write_text(yaml.safe_dump(mlmodel.content))
    return MLmodel(mlmodel.folder)


@pytest.mark.parametrize("name", ["xgboost booster", "xgboost wrapper"])
def test_xgboosts_files_are_known_by_what_is_in_them(name: str, tmp_path: Path) -> None:
    case = CASES[name]()
    mlmodel = saved(case, "neither", tmp_path)
    path = mlmodel.file(mlmodel.options["data"])
    path.rename(path.with_name("model.xgb"))
    mlmodel = changed(mlmodel, "xgboost", data="model.xgb", model_format="xgb")
    opened = open_model(mlmodel)
    same(opened.predict(batch(opened.schema, case, rows(case))), case.answers(rows(case)))
    path.with_name("model.xgb").write_bytes(b"binf" + bytes(50))
    refused("flavor", "the old binary form of XGBoost", lambda: open_model(mlmodel))


def test_a_pickle_of_another_release_says_so(tmp_path: Path) -> None:
    case = replace(CASES["scikit-learn"](), save=pickled)
    mlmodel = changed(saved(case, "neither", tmp_path), "sklearn", sklearn_version="1.2.2")
    assert open_model(mlmodel).note == "read from a pickle of scikit-learn 1.2.2"
    path = mlmodel.file(mlmodel.options["pickled_model"])
    path.write_bytes(path.read_bytes().replace(b"StandardScaler", b"StandardScaled"))
    refused("library", f"scikit-learn 1.2.2 wrote it, {here} runs", lambda: open_model(mlmodel))
    same_release = changed(mlmodel, "sklearn", sklearn_version=here)
    refused("pickle", "StandardScaled is not a type", lambda: open_model(same_release))


def test_a_name_of_somebodys_own_is_no_matter_of_releases(tmp_path: Path) -> None:
    case = replace(CASES["scikit-learn"](), save=pickled)
    mlmodel = changed(saved(case, "neither", tmp_path), "sklearn", sklearn_version="1.2.2")
    path = mlmodel.file(mlmodel.options["pickled_model"])
    path.write_bytes(path.read_bytes().replace(b"sklearn.pipeline", b"my_code.pipeline"))
    refused("pickle", "my_code.pipeline.Pipeline is not", lambda: open_model(mlmodel))


def test_tensors_of_an_example_lie_a_level_deeper(tmp_path: Path) -> None:
    (tmp_path / "example.json").write_text('{"inputs": [[1.0, 2.0], [3.0, 4.0]]}')
    info = {"artifact_path": "example.json", "type": "ndarray", "format": "tf-serving"}
    content = {"flavors": {"sklearn": {}}, "saved_input_example_info": info}
    (tmp_path / "MLmodel").write_text(yaml.safe_dump(content))
    found = examples.read(MLmodel(tmp_path), None)
    assert found
    assert [str(column) for column in found.columns] == ["rows: float64[2]"]


def test_a_label_of_catboost_is_no_list(tmp_path: Path) -> None:
    case = CASES["catboost of categories"]()
    opened = open_model(saved(case, "neither", tmp_path))
    answers = opened.predict(batch(opened.schema, case, rows(case)))["prediction"]
    assert answers.tolist() == case.answers(rows(case))[:, 0].tolist()
