"""Models that take rows, and rows for them."""

import json
from typing import Any

import pytest

from bentos.protocols import Rows
from bentos.tensors import BadInput, Column, Schema


def rows(*inputs: Column, most: int = 1000, positional: bool = False) -> Rows:
    return Rows(Schema(inputs, positional=positional), most)


def refused(protocol: Rows, body: Any) -> BadInput:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(BadInput) as raised:
        protocol.decode(content)
    return raised.value


NUMBERS = rows(Column("fixed acidity", "float64"), Column("größe", "float64"))
MIXED = rows(
    Column("n", "int32"),
    Column("x", "float32", nullable=True),
    Column("kind", "string", required=False, nullable=True),
    Column("ok", "bool"),
)
MATRIX = rows(Column("", "float64", (3,)))
WIDE = rows(Column("a", "float64"), Column("b", "string"), positional=True)
TEXTS = rows(Column("", "string"))
OBJECTS = rows(Column("", "json"))
