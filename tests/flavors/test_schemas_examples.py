"""Schemas of examples, and examples that are made up."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from bentos.flavors import examples
from bentos.flavors.samples import made_up
from bentos.models.openapi import row_of
from bentos.protocols.rows import Rows
from bentos.tensors import BadInput, Batch, Column, Schema
from bentos.tensors.signature import SCALARS, read
from tests.flavors.logged import PAID, TABLE, VALUES
from tests.flavors.versions import TWO, kinds, rows_of, version


def test_made_up_rows_are_those_that_a_model_answers(held: Any, tmp_path: Path) -> None:
    model = make_pipeline(FunctionTransformer(np.log1p), Ridge()).fit(TABLE[TWO], VALUES)
    opened = held(model)
    with np.errstate(invalid="ignore"):
        made = rows_of(opened, tmp_path)
        assert made.size > 1
        bad = Batch({"price": np.array([-2.0]), "quantity": np.array([1.0])})
        with pytest.raises(BadInput, match="the model cannot take this row: Input X") as error:
            opened.predict(bad)
    assert error.value.row == 0


SHAPES: dict[str, tuple[Any, str, list[str]]] = {
    "a table": ({"columns": TWO, "data": [[1.5, 2], [2.5, 3]]}, "dataframe",
        ["price: float64", "quantity: int64"]),
    "missing values": ({"columns": TWO, "data": [[1.5, 2], [None, 3]]}, "dataframe",
        ["price: float64?", "quantity: int64"]),
    "columns of lists": ({"price": [1.5], "quantity": [2]}, "json_object",
        ["price: float64", "quantity: int64"]),
    "an object": ({"price": 1.5, "quantity": 2}, "json_object",
        ["price: float64", "quantity: int64"]),
    "objects": ([{"price": 1.5, "quantity": 2}], "json_object",
        ["price: float64", "quantity: int64"]),
    "an array": ([[1, 2], [3, 4]], "ndarray", ["rows: float64[2]"]),
    "one row": ([1.5, 2.5], "ndarray", ["rows: float64[2]"]),
    "a table without names": ([[1.5, 2.5]], "dataframe", ["rows: float64[2]"]),
    "a sparse matrix": ({"data": [1.5], "indices": [1], "indptr": [0, 1], "shape": [1, 2]},
        "sparse_matrix_csr", ["rows: float64[2]"]),
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_examples_of_all_shapes(name: str, held: Any, tmp_path: Path) -> None:
    example, kind, expected = SHAPES[name]
    opened = held(LogisticRegression(max_iter=1000).fit(TABLE[TWO], PAID), example, kind)
    assert (opened.schema.source, kinds(opened)) == ("example", expected)
    if "missing" not in name:
        assert opened.predict(rows_of(opened, tmp_path)).size >= 1


@pytest.mark.parametrize("example", ["no list", {"columns": 3}, [], None, [[1], [1, 2]]])
def test_an_example_that_cannot_be_read_is_none(example: Any, held: Any) -> None:
    model = LogisticRegression(max_iter=1000).fit(TABLE[TWO], PAID)
    assert held(model, example, "ndarray").schema.source == "model"


def test_an_example_outside_the_version_is_not_read(held: Any) -> None:
    model = LogisticRegression(max_iter=1000).fit(TABLE[TWO], PAID)
    info = {"artifact_path": "../../etc/passwd", "type": "dataframe"}
    assert held(model, saved_input_example_info=info).schema.source == "model"


def test_params_beside_an_example_are_not_its_rows(held: Any) -> None:
    model = LogisticRegression(max_iter=1000).fit(TABLE[TWO], PAID)
    stored = {"inputs": {"columns": TWO, "data": [[1.5, 2]]}, "params": {"top": 3}}
    opened = held(model, stored, "dataframe")
    assert opened.schema.source == "model"


ODD: dict[str, Any] = {
    "lists": {"a": 1, "b": "", "c": 1}, "map": {"x": 1}, "vector": ["1"], "may lack": 1,
    "long": 1.5, "double": None,
}  # fmt: skip


def test_made_up_rows_are_what_callers_may_send() -> None:
    kinds: list[dict[str, Any]] = [{"type": kind, "name": kind} for kind in SCALARS]
    nested = {"type": "object", "properties": {"a": {"type": "long"}, "b": {"type": "binary"}}}
    kinds += [
        {"type": "array", "items": {"type": "array", "items": nested}, "name": "lists"},
        {"type": "map", "values": {"type": "datetime"}, "name": "map"},
        {"type": "sparkml_vector", "name": "vector"},
        {"type": "any", "name": "any"},
        {"type": "string", "name": "may lack", "required": False},
    ]
    schema = read({"inputs": json.dumps(kinds)})
    assert schema
    row = made_up(schema, None, 1)
    sent = Rows(schema, 1).encode(row, many=False)
    described = Draft202012Validator(row_of(schema))
    assert described.is_valid(json.loads(sent))
    for name, wrong in ODD.items():
        lists = {"lists": [[wrong]]} if name == "lists" else {name: wrong}
        assert not described.is_valid(json.loads(sent) | lists), name
    found = Rows(schema, 1).decode(sent).batch
    assert {name: found[name].tolist() for name in found} == {
        name: row[name].tolist() for name in row
    }


def test_binary_values_of_an_example_are_bytes(tmp_path: Path) -> None:
    example = {"columns": ["blob"], "data": [["YWI=\n"]]}
    read_back = examples.read(version(tmp_path, example, "dataframe"), None)
    assert read_back
    batch = read_back.batch(Schema((Column("blob", "binary"),)))
    assert batch
    assert batch["blob"].tolist() == [b"ab"]
