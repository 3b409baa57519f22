"""States that compiled code would follow out of its memory, in whatever file, are refused."""

import json
import pickle
import warnings
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import joblib
import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from skops import io as skops

from bentos.flavors.reading import (
    Damaged,
    Limits,
    Unreadable,
    Unreviewed,
    check,
    read_joblib,
    read_pickle,
    read_skops,
)
from tests.flavors.reading.poisoned import POISONED
from tests.flavors.reading.zoo import X, Y


@pytest.mark.parametrize("name", POISONED)
def test_a_poisoned_model_is_refused(name: str, tmp_path: Path) -> None:
    model = POISONED[name]()
    with pytest.raises(Damaged):
        check(model)
    for protocol in (0, 5):
        with pytest.raises(Damaged):
            read_pickle(pickle.dumps(model, protocol=protocol))
    joblib.dump(model, tmp_path / "model.joblib")
    with pytest.raises(Damaged):
        read_joblib(tmp_path / "model.joblib")
    skops.dump(model, tmp_path / "model.skops")
    with pytest.raises(Damaged):
        read_skops(tmp_path / "model.skops")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A skops file of a plain model."""
    made = tmp_path / "model.skops"
    skops.dump(LinearRegression().fit(X, Y), made)
    return made


def rewrite(path: Path, schema: Any, **more: bytes) -> None:
    """Put another schema into a skops file."""
    with ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()} | more
    entries["schema.json"] = schema if isinstance(schema, bytes) else json.dumps(schema).encode()
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)


def schema_of(path: Path) -> Any:
    with ZipFile(path) as archive:
        return json.loads(archive.read("schema.json"))


def node(loader: str, full: str, **more: Any) -> dict[str, Any]:
    module, _, name = full.rpartition(".")
    return {"__loader__": loader, "__module__": module, "__class__": name, **more}


EMPTY = node("TupleNode", "builtins.tuple", content=[])
TEXT = node("JsonNode", "builtins.str", content='"id"')
NODES = {
    "function": node("FunctionNode", "os.system"),
    "function of a loader of old": node("FunctionNode", "builtins.function", content={}),
    "type": node("TypeNode", "subprocess.Popen"),
    "object": node("ObjectNode", "subprocess.Popen"),
    "constructor": node(
        "ConstructorFromReduceNode",
        "subprocess.Popen",
        content=node("TupleNode", "builtins.tuple", content=[TEXT]),
    ),
    "constructor of a reviewed class": node(
        "ConstructorFromReduceNode", "numpy.ndarray", content=EMPTY
    ),
    "method": node(
        "MethodNode",
        "sklearn.linear_model._base.LinearRegression",
        content={"func": "fit", "obj": TEXT},
    ),
    "operator": node("OperatorFuncNode", "operator.methodcaller", attrs=EMPTY),
    "list of another class": node("ListNode", "subprocess.Popen", content=[TEXT]),
    "dotted": node("TypeNode", "sklearn.pipeline.sys.modules"),
    "no loader": node("NoNode", "sklearn.pipeline.Pipeline"),
    "no name": {"__loader__": "ObjectNode"},
    "keys that are called": node(
        "DictNode",
        "builtins.dict",
        key_types=node("ListNode", "builtins.list", content=[node("TypeNode", "numpy.void")]),
        content={"8": TEXT},
    ),
}


@pytest.mark.parametrize("name", NODES)
def test_a_node_of_a_skops_file_that_is_no_data_is_refused(name: str, path: Path) -> None:
    rewrite(path, {**NODES[name], "protocol": schema_of(path)["protocol"]})
    with pytest.raises(Unreadable):
        read_skops(path)


def test_a_skops_file_within_itself_is_refused(path: Path) -> None:
    schema = schema_of(path)
    schema["__id__"] = 1
    schema["content"]["content"]["coef_"] = node(
        "CachedNode", "sklearn.linear_model._base.LinearRegression", __id__=1
    )
    rewrite(path, schema)
    with pytest.raises(Damaged):
        read_skops(path)


def test_a_skops_file_of_lists_in_lists_is_refused(path: Path) -> None:
    inner = TEXT
    for _ in range(300):
        inner = node("ListNode", "builtins.list", content=[inner])
    rewrite(path, {**inner, "protocol": schema_of(path)["protocol"]})
    with pytest.raises(Damaged):
        read_skops(path)
    rewrite(path, b"[" * 100_000)
    with pytest.raises(Damaged):
        read_skops(path)


def test_a_skops_file_that_unpacks_to_too_much_is_refused(path: Path) -> None:
    rewrite(path, schema_of(path), **{"bomb.npy": bytes(16 << 20)})
    with pytest.raises(Damaged, match="unpacks to more than 1,048,576 bytes"):
        read_skops(path, Limits(bytes=1 << 20))


def test_a_model_of_an_unreviewed_class_is_refused_by_its_name(tmp_path: Path) -> None:
    class Ratio(LinearRegression):  # type: ignore[misc]
        pass

    with pytest.raises(Unreviewed, match=r"Ratio is not a type that Ascenso knows"):
        check(Ratio().fit(X, Y))


def test_what_a_mask_hides_is_looked_at() -> None:
    hidden = np.empty(1, dtype=object)
    hidden[0] = POISONED["tree: its own child"]()
    with pytest.raises(Damaged, match="not behind it"):
        check({"rows": np.ma.MaskedArray(hidden, mask=[True])})


def test_a_distribution_of_a_random_search_is_not_read() -> None:
    from scipy.stats import loguniform
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import RandomizedSearchCV

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        given = {"alpha": loguniform(0.1, 1)}
        search = RandomizedSearchCV(Ridge(), given, n_iter=2, random_state=0).fit(X, Y)
    read: Any = read_pickle(pickle.dumps(search)).model
    assert read.param_distributions == {"alpha": "rv_continuous_frozen (not read)"}
    np.testing.assert_array_equal(read.predict(X), search.predict(X))
