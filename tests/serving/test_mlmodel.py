import pickle
from pathlib import Path
from typing import Any

import pytest
import yaml

from bentos.flavors.mlmodel import MLmodel
from tests.serving import versions
from tests.serving.refusals import refused

SKLEARN: dict[str, Any] = {"pickled_model": "model.skops", "serialization_format": "skops"}


def mlmodel(folder: Path, flavors: Any = None, **more: Any) -> MLmodel:
    content = {"flavors": {"sklearn": SKLEARN} if flavors is None else flavors} | more
    (folder / "MLmodel").write_text(yaml.safe_dump(content))
    return MLmodel(folder)


def test_what_mlflow_wrote_can_be_read(tmp_path: Path) -> None:
    folder = versions.signed(versions.line(1.0), tmp_path / "model")
    read = MLmodel(folder)
    assert read.flavor == "sklearn"
    assert read.predict_fn == "predict"
    assert read.file(read.options["pickled_model"]) == folder / "model.skops"
    inputs = read.columns("inputs")
    assert inputs is not None
    assert [(column["name"], column["type"]) for column in inputs] == [("x", "double")]
    read.refuse_pickles()
    read.refuse_code()


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe\x00",
        b"{",
        b"[" * 5000,
        b"a: b: c",
        b"",
        b"[]",
        b"flavors: 7",
        b"flavors: {sklearn: 7}",
    ],
)
def test_garbage(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "MLmodel").write_bytes(content)
    refused("flavor", "MLmodel", lambda: MLmodel(tmp_path))


def test_no_mlmodel(tmp_path: Path) -> None:
    refused("flavor", "no MLmodel file", lambda: MLmodel(tmp_path))


def test_yaml_that_would_run_code(tmp_path: Path) -> None:
    (tmp_path / "MLmodel").write_text(f"flavors: !!python/object/apply:os.mkdir [{tmp_path}/ran]")
    refused("flavor", "no YAML", lambda: MLmodel(tmp_path))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("flavors", [{}, {"python_function": {}}, {"sklearn": {}, "catboost": {}}])
def test_one_known_flavor(tmp_path: Path, flavors: dict[str, Any]) -> None:
    refused("flavor", "exactly one of", lambda: mlmodel(tmp_path, flavors).flavor)


def test_predict_fn(tmp_path: Path) -> None:
    flavors = {"sklearn": SKLEARN, "python_function": {"predict_fn": "predict_proba"}}
    assert mlmodel(tmp_path, flavors).predict_fn == "predict_proba"
    flavors["python_function"] = {"predict_fn": "__reduce__"}
    refused("flavor", "'__reduce__'", lambda: mlmodel(tmp_path, flavors).predict_fn)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "missing", None, "", "link"])
def test_a_flavor_names_files_of_the_version_only(tmp_path: Path, name: object) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret").touch()
    (folder / "link").symlink_to(tmp_path / "secret")
    refused("flavor", "which is not there", lambda: mlmodel(folder).file(name))


def test_no_signature(tmp_path: Path) -> None:
    assert mlmodel(tmp_path).columns("inputs") is None
    assert mlmodel(tmp_path, signature={"inputs": "[]"}).columns("outputs") is None


@pytest.mark.parametrize("raw", ["{", "7", "null", '["x"]', 7, {"a": 1}])
def test_odd_signature(tmp_path: Path, raw: object) -> None:
    odd = mlmodel(tmp_path, signature={"inputs": raw})
    refused("signature", "inputs", lambda: odd.columns("inputs"))


def test_signature_that_is_a_text(tmp_path: Path) -> None:
    odd = mlmodel(tmp_path, signature="none")
    refused("signature", "inputs", lambda: odd.columns("inputs"))


@pytest.mark.parametrize("written", ["pickle", "cloudpickle", "joblib"])
def test_flavor_that_says_pickle(tmp_path: Path, written: str) -> None:
    flavors = {"sklearn": SKLEARN | {"serialization_format": written}}
    refused("pickle", repr(written), mlmodel(tmp_path, flavors).refuse_pickles)


@pytest.mark.parametrize("name", ["model.pkl", "a/b.JOBLIB", "weights.pth", "model.bin"])
def test_names_of_pickles(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    refused("pickle", name, mlmodel(tmp_path).refuse_pickles)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_under_another_name(tmp_path: Path, protocol: int) -> None:
    (tmp_path / "model.skops").write_bytes(pickle.dumps([1], protocol))
    refused("pickle", r"model\.skops is a pickle", mlmodel(tmp_path).refuse_pickles)


def test_code(tmp_path: Path) -> None:
    for options in ({"code": "code"}, {"model_code_path": "train.py"}):
        flavors = {"sklearn": SKLEARN, "python_function": options}
        refused("code", "python_function flavor brings", mlmodel(tmp_path, flavors).refuse_code)
    mlmodel(tmp_path, {"sklearn": SKLEARN, "python_function": {"code": None}}).refuse_code()
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "model.py").touch()
    refused("code", r"code/model\.py", mlmodel(tmp_path).refuse_code)
