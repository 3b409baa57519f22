import json
from typing import Any

import numpy as np
import pytest

from bentos.protocols import V2Call
from bentos.protocols.datatypes import of_answer, of_column
from bentos.tensors import BadInput, Batch, Column, Schema
from bentos.tensors.schema import Dtype
from tests.protocols.made import SHAPED, columns, same
from tests.protocols.tensors import (
    MIXED,
    ONE,
    REST,
    TEXT,
    N,
    S,
    X,
    binary,
    model,
    refused,
    tensor,
    v2,
)

MATRIX = Schema((Column("", "float32", (3,)),), source="model")
PLACES = Schema(
    tuple(Column(name, "float64") for name in ("a", "b", "c")), source="model", positional=True
)


def asked(schema: Schema, *inputs: dict[str, Any], **more: Any) -> V2Call:
    return v2(schema).decode(json.dumps({"inputs": inputs, **more}).encode(), None)


def test_one_tensor_a_column() -> None:
    call = asked(MIXED, TEXT, ONE, X, id="7", parameters={"t": 1, "timeout": 5})
    assert call.batch.names == ("n", "x y", "größe", "maybe")
    assert call.batch["größe"].tolist() == ["a", "ü"]
    assert call.batch["n"].dtype == np.int32
    assert np.isnan(call.batch["maybe"]).all()
    assert (call.id, call.params, call.outputs, call.binary) == ("7", {"t": 1.0}, (), False)


@pytest.mark.parametrize("as_json", [False, True], ids=["binary", "json"])
@pytest.mark.parametrize(("dtype", "shape"), SHAPED)
def test_random_tensors_arrive_as_they_are(
    dtype: Dtype, shape: tuple[int, ...], as_json: bool
) -> None:
    schema = Schema(tuple(Column(name, dtype, shape) for name in ("a b", "ü")))
    given = columns(schema, 30)
    sent = {name: of_answer(column) for name, column in given.items()}
    if not as_json:
        body, length = binary(*(tensor(name, c, kind) for name, (kind, c) in sent.items()))
        assert same(v2(schema).decode(body, length).batch, Batch(given))
        return
    answer, none = v2(schema).encode(Batch(given), V2Call(Batch(given), {}))
    assert none is None
    inputs = json.loads(answer)["outputs"]
    assert same(asked(schema, *inputs).batch, Batch(given))
    for each in inputs:
        nested = np.array(each["data"], dtype=object).reshape(each["shape"]).tolist()
        each["data"] = nested
    assert same(asked(schema, *inputs).batch, Batch(given))


def test_what_may_be_missing_is_null_or_nan() -> None:
    schema = Schema(
        (
            Column("n", "int64", nullable=True),
            Column("x", "float32", nullable=True),
            Column("s", "string", nullable=True),
            Column("ok", "bool", nullable=True),
            Column("when", "datetime", nullable=True),
        )
    )
    values = [[1, None], [0.5, None], ["a", None], [True, None], ["2024-01-01", None]]
    kinds = [of_column(column) for column in schema.inputs]
    inputs = [
        {"name": name, "shape": [2, 1], "datatype": kind, "data": data}
        for name, kind, data in zip(schema.names, kinds, values, strict=True)
    ]
    batch = asked(schema, *inputs).batch
    assert [batch[c.name].dtype for c in schema.inputs] == [c.numpy for c in schema.inputs]
    assert [value[0] for value in batch.values()] == [1, 0.5, "a", True, np.datetime64("2024")]
    assert all(value[1] is None or value[1] != value[1] for value in batch.values())
    floats = Schema((Column("n", "int64", nullable=True),))
    body, length = binary(tensor("n", np.array([1, np.nan]), "FP64"))
    assert v2(floats).decode(body, length).batch["n"].tolist()[0] == 1
    for wrong in (0.5, np.inf, 2.0**60):
        body, length = binary(tensor("n", np.array([1, wrong]), "FP64"))
        assert refused(floats, body, length).row == 1


def test_unnamed_columns_are_one_tensor_of_any_name() -> None:
    rows = [[1, 2, 3], [4, 5, 6.5]]
    given = {"name": "whatever", "shape": [2, 3], "datatype": "FP32", "data": rows}
    for schema in (MATRIX, PLACES, Schema(PLACES.inputs, source="model")):
        assert asked(schema, given).batch.block().tolist() == rows
    named = Schema(PLACES.inputs)
    assert "missing tensor 'a'" not in refused(named, {"inputs": [given]}).message
    assert "unknown tensor 'whatever'" in refused(named, {"inputs": [given]}).message
    wrong = given | {"data": [[1, 2, 3], [4, None, 6]]}
    error = refused(PLACES, {"inputs": [wrong]})
    assert (error.column, error.row) == ("b", 1)
    texts = {"name": "text", "shape": [2], "datatype": "BYTES", "data": ["a", "b"]}
    assert asked(Schema((Column("", "string"),)), texts).batch[""].tolist() == ["a", "b"]
    objects = texts | {"data": ['{"a": 1}', "{}"]}
    assert asked(Schema((Column("", "json"),)), objects).batch[""].tolist() == [{"a": 1}, {}]
    assert refused(Schema((Column("", "json"),)), {"inputs": [texts]}).row == 0


def test_metadata() -> None:
    described = model(MIXED).metadata()
    assert described["name"] == "churn"
    assert described["versions"] == ["3"]
    assert described["inputs"][0] == {"name": "n", "datatype": "INT32", "shape": [-1]}
    assert described["outputs"][1] == {"name": "p", "datatype": "FP64", "shape": [-1, 2]}
    config = model(MIXED).config()
    assert config["max_batch_size"] == 100
    assert config["input"][2] == {"name": "größe", "data_type": "TYPE_STRING", "dims": []}
    assert config["output"][1] == {"name": "p", "data_type": "TYPE_FP64", "dims": [2]}
    for schema, kind in ((MATRIX, "FP32"), (PLACES, "FP64")):
        assert model(schema).metadata()["inputs"] == [
            {"name": "input-0", "datatype": kind, "shape": [-1, 3]}
        ]


def test_numbers_are_changed_only_where_they_stay_what_they_are() -> None:
    half = Schema((Column("n", "int8"), Column("x", "float32")))

    def read(datatype: str, other: str, n: list[Any], x: list[Any]) -> Batch:
        return asked(
            half,
            {"name": "n", "shape": [2], "datatype": datatype, "data": n},
            {"name": "x", "shape": [2], "datatype": other, "data": x},
        ).batch

    batch = read("INT64", "INT64", [1, -128], [1, 2**24])
    assert [batch[c.name].dtype for c in half.inputs] == [c.numpy for c in half.inputs]
    assert read("FP64", "FP64", [1, 2], [0.5, -0.25])["n"].tolist() == [1, 2]
    for datatype, other, n, x, column in (
        ("INT64", "FP32", [1, 128], [0, 0], "n"),
        ("FP32", "FP32", [1, 1.5], [0, 0], "n"),
        ("BOOL", "FP32", [True, True], [0, 0], "n"),
        ("BYTES", "FP32", ["1", "2"], [0, 0], "n"),
        ("INT8", "FP64", [1, 1], [0, 0.1], "x"),
        ("INT8", "INT64", [1, 1], [0, 2**24 + 1], "x"),
        ("INT8", "FP32", [1, 1], [0, None], "x"),
        ("INT8", "FP64", [1, 300], [0, 0], "n"),
    ):
        with pytest.raises(BadInput) as raised:
            read(datatype, other, n, x)
        assert raised.value.column == column
        assert raised.value.row in (None, 1)
    big = {"name": "x", "shape": [2], "datatype": "INT64", "data": [1, 2**53 + 1]}
    assert refused(Schema((Column("x", "float64"),)), {"inputs": [big]}).row == 1


def test_binary_and_json_tensors_in_one_body() -> None:
    body, length = binary(N, S)
    header = json.loads(body[:length])
    header["inputs"].insert(1, X)
    text = json.dumps(header).encode()
    batch = v2(MIXED).decode(text + body[length:], len(text)).batch
    assert batch["größe"].tolist() == ["a", "ü"]
    assert batch["x y"].tolist() == [0.5, 2]


ANSWERS = Batch(
    {
        "label": np.array(["a", "ü"], dtype=object),
        "p": np.array([[0.25, np.nan], [np.inf, 1]]),
        "n": np.array([1, 2], dtype=np.uint8),
        "ok": np.array([True, False]),
    }
)


def test_answers_as_json() -> None:
    call = V2Call(ANSWERS, {}, "7")
    body, length = v2(MIXED).encode(ANSWERS, call)
    assert length is None
    assert json.loads(body) == {
        "model_name": "churn",
        "model_version": "3",
        "id": "7",
        "outputs": [
            {"name": "label", "datatype": "BYTES", "shape": [2], "data": ["a", "ü"]},
            {"name": "p", "datatype": "FP64", "shape": [2, 2], "data": [0.25, None, None, 1]},
            {"name": "n", "datatype": "UINT8", "shape": [2], "data": [1, 2]},
            {"name": "ok", "datatype": "BOOL", "shape": [2], "data": [True, False]},
        ],
    }


def test_answers_as_the_caller_asks_for_them() -> None:
    call = asked(
        MIXED,
        *REST["inputs"],
        outputs=[{"name": "p"}, {"name": "label", "parameters": {"binary_data": False}}],
        parameters={"binary_data_output": True},
    )
    body, length = v2(MIXED).encode(ANSWERS, call)
    assert length is not None
    p, label = json.loads(body[:length])["outputs"]
    assert p["parameters"] == {"binary_data_size": 32}
    assert label["data"] == ["a", "ü"]
    assert np.array_equal(np.frombuffer(body[length:]).reshape(2, 2), ANSWERS["p"], equal_nan=True)
    with pytest.raises(BadInput, match="unknown output 'p'; there are 'label'"):
        v2(MIXED).encode(ANSWERS.select(["label"]), call)


def test_answers_that_are_no_numbers() -> None:
    answers = Batch(
        {
            "": np.array([b"\xff", b"a"], dtype=object),
            "when": np.array(["2024-01-01T00:00", "NaT"], dtype="datetime64[m]"),
            "odd": np.fromiter([[1, 2], None], dtype=object),
            "fixed": np.array([b"x", b"y"]),
        }
    )
    body, _ = v2(MATRIX).encode(answers, V2Call(answers, {}))
    raw, when, odd, fixed = json.loads(body)["outputs"]
    assert raw["name"] == "output-0"
    assert raw["parameters"] == {"content_type": "base64"}
    assert raw["data"] == ["/w==", "YQ=="]
    assert when["data"] == ["2024-01-01T00:00:00", ""]
    assert odd["data"] == ["[1,2]", ""]
    assert fixed["data"] == ["x", "y"]
    read = asked(Schema((Column("b", "binary"),)), raw | {"name": "b"})
    assert read.batch["b"].tolist() == [b"\xff", b"a"]
    wrong = raw | {"name": "b", "data": ["YQ==", "!"]}
    assert refused(Schema((Column("b", "binary"),)), {"inputs": [wrong]}).row == 1
