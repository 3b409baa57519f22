"""Requests of the Open Inference Protocol, and models that they are for."""

import json
from typing import Any

import numpy as np
import pytest

from bentos.protocols import V2, Inference
from bentos.protocols.datatypes import packed
from bentos.tensors import BadInput, Column, Param, Schema
from bentos.tensors.batch import Array

MIXED = Schema(
    (
        Column("n", "int32"),
        Column("x y", "float64"),
        Column("größe", "string"),
        Column("maybe", "float32", required=False, nullable=True),
    ),
    outputs=(Column("label", "string"), Column("p", "float64", (2,))),
    params=(Param("t", "float64", 0.5),),
)
ONE: dict[str, Any] = {"name": "n", "shape": [2], "datatype": "INT32", "data": [1, 2]}
X: dict[str, Any] = {"name": "x y", "shape": [2], "datatype": "FP64", "data": [0.5, 2]}
TEXT: dict[str, Any] = {"name": "größe", "shape": [2], "datatype": "BYTES", "data": ["a", "ü"]}


def model(schema: Schema, most: int = 100) -> Inference:
    return Inference(schema, "churn", "3", most)


def v2(schema: Schema, most: int = 100) -> V2:
    return V2(model(schema, most))


def binary(*tensors: tuple[dict[str, Any], bytes], **more: Any) -> tuple[bytes, int]:
    """A body with binary data behind its JSON."""
    inputs = [
        {k: v for k, v in tensor.items() if k != "data"}
        | {"parameters": {"binary_data_size": len(data)} | tensor.get("parameters", {})}
        for tensor, data in tensors
    ]
    header = json.dumps({"inputs": inputs, **more}).encode()
    return header + b"".join(data for _, data in tensors), len(header)


def tensor(name: str, column: Array, datatype: str) -> tuple[dict[str, Any], bytes]:
    described = {"name": name, "shape": list(column.shape), "datatype": datatype}
    return described, packed(datatype, column)


def refused(schema: Schema, body: bytes | dict[str, Any], header: int | None = None) -> BadInput:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(BadInput) as raised:
        v2(schema).decode(content, header)
    return raised.value


REST = {"inputs": [ONE, X, TEXT]}
N, XS, S = (
    tensor("n", np.array([1, 2], np.int32), "INT32"),
    tensor("x y", np.array([0.5, 2]), "FP64"),
    tensor("größe", np.array(["a", "ü"], dtype=object), "BYTES"),
)
