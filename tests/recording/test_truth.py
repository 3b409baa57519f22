import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bentos.recording import truth
from bentos.recording.drawing import truth as drawn
from bentos.recording.reader import newest
from bentos.recording.store import Store
from bentos.recording.truth import NoTruth, Truth
from bentos.tensors import Batch
from tests.recording.test_replay import DAWN, PNG, record


def written(folder: Path, kind: str, **columns: Any) -> Path:
    path = folder / f"truths.{kind}"
    table = pd.DataFrame(columns)
    if kind == "csv":
        table.to_csv(path, index=False)
    else:
        table.to_parquet(path)
    return path


def measured(home: Path, answers: Any, file: Path, column: str = "", **more: Any) -> Truth:
    columns = Batch({"prediction": np.array(answers), **more})
    store = record(home, "any", Batch({"x": np.zeros(columns.size)}), columns)
    return truth.measured("any", [truth.read(file)], newest(store, "any", DAWN, 1000), column)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_labels_are_measured_by_accuracy_and_f1(kind: str, tmp_path: Path) -> None:
    file = written(
        tmp_path, kind, request=["call"] * 4 + ["unknown"], row=[0, 1, 2, 3, 0],
        truth=[0, 1, 1, 0, 1],
    )  # fmt: skip
    found = measured(tmp_path, [0, 1, 0, 0, 1], file)
    assert (found.truths, found.joined, found.column) == (5, 4, "prediction")
    (day,) = found.days
    assert (day.version, day.rows) == ("1", 4)
    assert day.metrics == {"accuracy": 0.75, "f1": pytest.approx((0.8 + 2 / 3) / 2)}
    assert drawn(found.days, "any").startswith(PNG)


def test_numbers_are_measured_by_their_distance(tmp_path: Path) -> None:
    file = written(tmp_path, "csv", request=["call"] * 2, row=[1, 0], truth=[3.0, 1.0])
    (day,) = measured(tmp_path, [1.0, 7.0], file).days
    assert day.metrics == {"mae": 2.0, "rmse": pytest.approx(8**0.5)}


def test_texts_are_labels_and_a_row_left_out_is_the_first(tmp_path: Path) -> None:
    file = written(tmp_path, "csv", request=["call"], truth=["sí"])
    (day,) = measured(tmp_path, np.array(["sí", "no"], dtype=object), file).days
    assert (day.rows, day.metrics["accuracy"]) == (1, 1.0)


def test_of_several_columns_one_is_named(tmp_path: Path) -> None:
    file = written(tmp_path, "csv", request=["call"], truth=[1])
    more = {"cluster": np.array([1]), "probabilities": np.array([[0.5, 0.5]])}
    assert measured(tmp_path, [1], file, "cluster", **more).column == "cluster"
    for column in ("", "nobody"):
        with pytest.raises(NoTruth, match="say which by --column"):
            measured(tmp_path, [1], file, column, **more)


def test_of_answers_of_several_numbers_a_place_is_named(tmp_path: Path) -> None:
    file = written(tmp_path, "csv", request=["call"], truth=[1.0])
    (day,) = measured(tmp_path, [[0.5, 3.0]], file, "prediction[1]").days
    assert day.metrics["mae"] == 2.0
    with pytest.raises(NoTruth, match="say which by --column"):
        measured(tmp_path, [[0.5, 3.0]], file)


def test_truths_are_kept_once_and_the_metrics_beside_them(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    table = truth.read(written(tmp_path, "csv", request=["7", "8"], truth=["1", "x"]))
    assert table["request"].to_pylist() == ["7", "8"]
    assert truth.store(store, "a/b", table) == truth.store(store, "a/b", table)
    truth.write(store, Truth("a/b", "y", 2, 0, ()))
    (kept,) = truth.known(store, "a/b")
    assert kept.to_pylist() == table.to_pylist()
    (metrics,) = tmp_path.rglob("metrics.json")
    assert json.loads(metrics.read_bytes())["model"] == "a/b"


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"request": ["a"]}, "no column 'truth'"),
        ({"truth": ["a"]}, "no column 'request'"),
        ({"request": [], "truth": []}, "has no rows"),
        ({"request": ["a"], "truth": [None]}, "1 rows have no truth"),
        ({"request": ["a"], "truth": [1], "row": ["first"]}, "first"),
        ({"request": ["a"], "truth": [1], "row": [2**40]}, "1099511627776"),
    ],
)
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_files_without_truth(columns: Any, words: str, kind: str, tmp_path: Path) -> None:
    if kind == "csv" and words == "1 rows have no truth":
        columns = {"request": ["a", "b"], "truth": [1.5, None]}
    with pytest.raises(NoTruth, match=words):
        truth.read(written(tmp_path, kind, **columns))


def test_files_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "truths.parquet"
    path.write_text("no parquet")
    with pytest.raises(NoTruth, match="cannot be read"):
        truth.read(path)


def test_truths_that_are_no_numbers(tmp_path: Path) -> None:
    file = written(tmp_path, "csv", request=["call"], truth=["high"])
    with pytest.raises(NoTruth, match="the truths are not"):
        measured(tmp_path, [1.5], file)
