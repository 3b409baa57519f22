"""CSV, and other types of content."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest

from bentos.protocols.invocations import CSV, JSON, Invocations, Unsupported
from bentos.tensors import BadInput, Batch, Column, Schema, signature
from tests.protocols.made import same

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of its type hints
from tests.protocols.mlflow_bodies import MATRIX, NAMED, NAMES, PLACES, A

FRAME = pd.DataFrame(
    {
        "n": np.array([1, -2, 3]),
        "x y": np.array([0.1, 1e10, 3], dtype=np.float32),
        "größe": ["a", 'say "b",\nthen', "NA"],
        "maybe": [1.5, np.nan, -2e-300],
        "ok": [True, False, True],
    }
)


@pytest.mark.parametrize("index", [False, True], ids=["plain", "with index"])
def test_csv_as_pandas_writes_it(index: bool) -> None:
    schema = signature.read({"inputs": json.dumps(NAMED)})
    assert schema is not None
    protocol = Invocations(schema, 3)
    batch = protocol.decode(FRAME.to_csv(index=index).encode(), f"{CSV}; charset=utf-8").batch
    wanted = Batch({name: FRAME[name].to_numpy() for name in NAMES})
    wanted = Batch({**wanted, "größe": wanted["größe"].astype(object)})
    assert same(batch, wanted)


def test_csv_without_names() -> None:
    rows = pd.DataFrame(A)
    for entries in (MATRIX, PLACES):
        schema = signature.read({"inputs": json.dumps(entries)})
        assert schema is not None
        for index in (False, True):
            content = rows.to_csv(index=index).encode()
            assert Invocations(schema, 9).decode(content, CSV).batch.block().tolist() == A
    texts = Invocations(Schema((Column("", "string"),)), 9)
    assert texts.decode(b'text\r\none\r\n"two\r\nlines"\r\n', CSV).batch[""].tolist() == [
        "one",
        "two\r\nlines",
    ]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "no line of column names"),
        (b"\xff,x\n", "no UTF-8"),
        (b"n,x\n1\n", "row 0: 1 values for 2 columns"),
        (b"n,x\n1,2\n1,2,3\n", "row 1: 3 values"),
        (b'n,x\n1,"2\n', "no CSV"),
        (b"n,x\n" + b"1" * 200_000 + b",2\n", "no CSV"),
        (b"n,x\n1.5,2\n", "row 0, column 'n': 1.5 is no integer"),
        (b"n,x\n" + b"1" * 100_000 + b"x,2\n", "is no integer"),
        (b"n,x\n1,1_0\n", "'1_0' is no number"),
        (b"n,x\n1,\n", "row 0, column 'x': null is no number"),
        (b"n,x\n1,0x10\n", "no number"),
        (b"n\n1\n", "missing column 'x'"),
        (b"n,x,y\n1,2,3\n", "unknown column 'y'"),
        (b"n,x,x\n1,2,3\n", "'x' is there twice"),
        (b"n,x\n", "no rows"),
        (b"n,x\n" + b"1,2\n" * 11, "at most 10"),
    ],
)
def test_csv_that_is_wrong_is_named(body: bytes, message: str) -> None:
    protocol = Invocations(Schema((Column("n", "int64"), Column("x", "float64"))), 10)
    with pytest.raises(BadInput) as raised:
        protocol.decode(body, CSV)
    assert message in raised.value.message


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "not_a_supported_content_type",
        f"{JSON}; something=else",
        f"{JSON}; charset=latin-1",
        "application/vnd.apache.parquet",
    ],
)
def test_other_content_types_are_refused(content_type: str) -> None:
    protocol = Invocations(Schema((Column("x", "float64"),)), 10)
    with pytest.raises(Unsupported, match="content type"):
        protocol.decode(b'{"inputs": [1]}', content_type)
    assert protocol.decode(b'{"inputs": [1]}', "Application/JSON;charset=UTF-8").batch.size == 1
