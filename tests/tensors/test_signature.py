"""Signatures as MLflow 3.17 writes them."""

import json
from typing import Any

import pytest

from bentos.tensors import BadSchema, Column, Param, signature
from bentos.tensors.schema import Schema


def read(inputs: list[Any], outputs: Any = None, params: Any = None) -> Schema:
    schema = signature.read(
        {
            "inputs": json.dumps(inputs),
            "outputs": outputs and json.dumps(outputs),
            "params": params and json.dumps(params),
        }
    )
    assert schema is not None
    return schema


def test_named_columns() -> None:
    schema = read(
        [
            {"type": "long", "name": "fixed acidity", "required": True},
            {"type": "string", "name": "kind", "required": False},
            {"type": "datetime", "name": "when", "optional": True},
            {"type": "array", "items": {"type": "long"}, "name": "tags", "required": True},
        ],
        [{"type": "double", "name": "quality"}],
    )
    assert schema.inputs[:3] == (
        Column("fixed acidity", "int64"),
        Column("kind", "string", required=False, nullable=True),
        Column("when", "datetime", required=False, nullable=True),
    )
    assert schema.inputs[3].dtype == "json"
    assert schema.outputs == (Column("quality", "float64"),)
    assert not schema.positional


def test_tensors() -> None:
    spec = {"dtype": "float32", "shape": [-1, -1, 3]}
    (column,) = read([{"type": "tensor", "tensor-spec": spec}]).inputs
    assert column == Column("", "float32", (-1, 3))
    (named,) = read([{"type": "tensor", "name": "x", "tensor-spec": spec}]).inputs
    assert named == Column("x", "float32", (-1, 3))


def test_columns_without_names_are_positional() -> None:
    schema = read([{"type": "double"}, {"type": "string"}])
    assert schema.positional
    assert schema.names == ("0", "1")
    assert read([{"type": "string", "required": True}]).single == Column("", "string")


def test_params() -> None:
    schema = read(
        [{"type": "double", "name": "x"}],
        params=[
            {"name": "t", "default": 0.5, "shape": None, "type": "double"},
            {"name": "stop", "default": ["a"], "shape": [-1], "type": "string"},
            {"name": "old", "default": 1, "shape": None, "dtype": "long"},
        ],
    )
    assert schema.params == (
        Param("t", "float64", 0.5),
        Param("stop", "string", ["a"], (-1,)),
        Param("old", "int64", 1),
    )


@pytest.mark.parametrize("nothing", [None, {}, {"inputs": None}, "text"])
def test_no_signature_is_none(nothing: object) -> None:
    assert signature.read(nothing) is None


@pytest.mark.parametrize(
    "broken",
    [
        {"inputs": "["},
        {"inputs": "7"},
        {"inputs": '[{"name": "x"}]'},
        {"inputs": '[{"type": "quaternion", "name": "x"}]'},
        {"inputs": '[{"type": "tensor", "tensor-spec": {"dtype": "complex64", "shape": [-1]}}]'},
        {"inputs": '[{"type": "tensor"}]'},
        {"inputs": '[{"type": "long", "name": "x"}, {"type": "long", "name": "x"}]'},
    ],
)
def test_a_broken_signature_says_so(broken: object) -> None:
    with pytest.raises(BadSchema):
        signature.read(broken)
