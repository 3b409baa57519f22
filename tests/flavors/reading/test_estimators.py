"""Every estimator of scikit-learn is read from a pickle, and answers the same."""

import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import joblib
import pytest
from sklearn.utils import all_estimators
from skops import io as skops

from bentos.flavors.reading import read_joblib, read_pickle, read_skops
from bentos.flavors.reading.estimators import ESTIMATORS
from bentos.flavors.reading.names import HELD, exact
from tests.flavors.reading.zoo import zoo

Dump = Callable[[Any], bytes]


def protocol(number: int) -> Dump:
    return lambda model: pickle.dumps(model, protocol=number)


DUMPS = {f"protocol {number}": protocol(number) for number in range(6)}
DUMPS["cloudpickle"] = cloudpickle.dumps


@pytest.mark.parametrize("name", DUMPS)
def test_every_estimator_is_read_from_a_pickle(name: str) -> None:
    for animal in zoo()[:: 1 if name in ("protocol 0", "protocol 5") else 5]:
        read = read_pickle(DUMPS[name](animal.model))
        assert f"{type(animal.model).__module__}.{animal.name}" in read.names
        animal.same(read.model)


COMPRESSIONS = [0, ("zlib", 3), ("gzip", 3), ("bz2", 3), ("lzma", 3), ("xz", 3)]


@pytest.mark.parametrize("compress", COMPRESSIONS, ids=str)
def test_every_estimator_is_read_from_a_file_of_joblib(compress: Any, tmp_path: Path) -> None:
    path = tmp_path / "model.joblib"
    for animal in zoo()[:: 1 if compress == 0 else 10]:
        joblib.dump(animal.model, path, compress=compress)
        animal.same(read_joblib(path).model)


def test_the_review_names_every_estimator_there_is() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        there = {f"{kind.__module__}.{name}" for name, kind in all_estimators()}
    assert exact(ESTIMATORS) == there
    assert there <= HELD


def test_every_estimator_that_skops_writes_is_read_from_its_file(tmp_path: Path) -> None:
    path, unwritten = tmp_path / "model.skops", set()
    for animal in zoo():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                skops.dump(pickle.loads(animal.data), path)
        except Exception:
            unwritten.add(animal.name)
            continue
        animal.same(read_skops(path).model)
    assert unwritten == {"Birch"}
