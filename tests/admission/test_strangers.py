"""Files of every kind that would run code where their own library opens them."""

import json
import pickle
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import cloudpickle
import joblib
import numpy as np
import pytest
import torch
import yaml

from bentos.admission.judging import judge
from bentos.admission.verdict import Refused
from tests.admission.hostile_code import Canaries, Runs, canaries
from tests.admission.judged import BY_SCHEMA, case

Write = Callable[[Path, str], object]
COLUMNS = json.dumps([{"name": "a", "type": "double", "required": True}])


@pytest.fixture
def birds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Canaries]:
    with canaries(tmp_path, monkeypatch) as birds:
        yield birds


class Wakes:
    """Pickled, its state runs; cloudpickle stores the class, too."""

    def __init__(self, script: str) -> None:
        self.script = script

    def __setstate__(self, state: dict[str, str]) -> None:
        exec(state["script"], {})


Wakes.__module__ = "__main__"


class Reduces(Runs):
    """The same by the other method."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        return eval, (f"exec({self.code!r}, {{}})",)


def within(script: str) -> Any:
    """An object somewhere in an array of a model."""
    array = np.empty(2, dtype=object)
    array[1] = {"threshold": Runs(script)}
    return {"model": None, "scaler": array}


def as_pickle(protocol: int, kind: Callable[[str], Any] = Runs) -> Write:
    return lambda path, script: path.write_bytes(pickle.dumps(kind(script), protocol))


def by_cloudpickle(path: Path, script: str) -> None:
    path.write_bytes(cloudpickle.dumps(Wakes(script)))


def function_by_cloudpickle(path: Path, script: str) -> None:
    """A function of its author, with what it holds."""
    held = Runs(script)
    path.write_bytes(cloudpickle.dumps([lambda rows: (held, rows)]))


def by_joblib(path: Path, script: str) -> None:
    joblib.dump(within(script), path)


def packed(path: Path, script: str) -> None:
    path.write_bytes(zlib.compress(pickle.dumps(Runs(script))))


def as_skops(path: Path, script: str) -> None:
    text = {"__class__": "str", "__module__": "builtins", "__loader__": "JsonNode"}
    args = {"__class__": "tuple", "__module__": "builtins", "__loader__": "TupleNode"}
    args["content"] = [text | {"content": json.dumps(script)}]  # type: ignore[assignment]
    call = {"__class__": "exec", "__module__": "builtins", "content": args, "protocol": 2}
    call["__loader__"] = "ConstructorFromReduceNode"
    with ZipFile(path, "w") as archive:
        archive.writestr("schema.json", json.dumps(call))


def by_torch(path: Path, script: str) -> None:
    torch.save(Runs(script), path)


def by_old_torch(path: Path, script: str) -> None:
    torch.save([torch.zeros(1), Runs(script)], path, _use_new_zipfile_serialization=False)


SKLEARN = {"pickled_model": "model.pkl"}
LIGHTGBM = {"data": "model.pkl", "model_class": "lightgbm.sklearn.LGBMRegressor"}
FILES: dict[str, tuple[str, dict[str, str], str, Write]] = {
    **{
        f"pickle {protocol}": ("sklearn", SKLEARN, "model.pkl", as_pickle(protocol))
        for protocol in range(6)
    },
    "__reduce_ex__": ("sklearn", SKLEARN, "model.pkl", as_pickle(4, Reduces)),
    "array of objects": ("sklearn", SKLEARN, "model.pkl", as_pickle(5, within)),
    "cloudpickle": ("sklearn", SKLEARN, "model.pkl", by_cloudpickle),
    "function": ("sklearn", SKLEARN, "model.pkl", function_by_cloudpickle),
    "joblib": ("sklearn", SKLEARN, "model.pkl", by_joblib),
    "packed": ("sklearn", SKLEARN, "model.pkl", packed),
    "skops": ("sklearn", SKLEARN | {"serialization_format": "skops"}, "model.pkl", as_skops),
    "lightgbm": ("lightgbm", LIGHTGBM, "model.pkl", as_pickle(4)),
    "torch": ("pytorch", {"model_data": "data"}, "data/model.pth", by_torch),
    "old torch": ("pytorch", {"model_data": "data"}, "data/model.pth", by_old_torch),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_file_that_runs_something_is_refused(kind: str, birds: Canaries) -> None:
    flavor, options, name, write = FILES[kind]
    path = birds.folder / "model" / name
    path.parent.mkdir(parents=True)
    content = {"flavors": {flavor: options}, "signature": {"inputs": COLUMNS}}
    (birds.folder / "model" / "MLmodel").write_text(yaml.safe_dump(content))
    write(path, birds.script(""))
    verdict = judge(case(birds.folder / "model", BY_SCHEMA))
    assert isinstance(verdict, Refused)
    assert verdict.reason in ("pickle", "load"), verdict
    assert not birds.sang()


@pytest.mark.parametrize("kind", ["pickle 4", "cloudpickle", "function", "torch"])
def test_these_canaries_sing_where_a_library_opens_it(kind: str, birds: Canaries) -> None:
    _, _, name, write = FILES[kind]
    path = birds.folder / "model" / name
    path.parent.mkdir(parents=True)
    write(path, birds.script(""))
    if kind == "torch":
        torch.load(path, weights_only=False)
    else:
        pickle.loads(path.read_bytes())
    assert birds.sang()
