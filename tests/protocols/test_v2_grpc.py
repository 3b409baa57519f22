import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from tritonclient.grpc import service_pb2

from bentos.protocols import Inference, V2Call
from bentos.protocols.datatypes import of_answer, packed
from bentos.protocols.v2_grpc import CONTENTS, V2Grpc, message
from bentos.tensors import BadInput, Batch, Column, Param, Schema
from bentos.tensors.schema import Dtype
from tests.protocols.made import SHAPED, columns, same

MIXED = Schema(
    (Column("n", "int8"), Column("x", "float64"), Column("s", "string")),
    outputs=(Column("label", "string"), Column("p", "float64", (2,))),
    params=(Param("t", "float64", 0.5),),
)


def v2(schema: Schema) -> V2Grpc:
    return V2Grpc(Inference(schema, "churn", "3", 100))


def tensor(name: str, datatype: str, shape: list[int], **contents: Any) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, "contents": contents}


N = tensor("n", "INT8", [2], int_contents=[1, -2])
X = tensor("x", "FP64", [2], fp64_contents=[0.5, 2])
S = tensor("s", "BYTES", [2], bytes_contents=[b"a", "ü".encode()])


def asked(schema: Schema, *inputs: dict[str, Any], **more: Any) -> V2Call:
    request = service_pb2.ModelInferRequest(model_name="churn", inputs=inputs, **more)
    return v2(schema).decode(message("ModelInferRequest", request.SerializeToString()))


def bare(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name != "contents"}


def test_typed_contents() -> None:
    call = asked(MIXED, S, N, X, id="7", parameters={"t": {"double_param": 1}})
    assert {name: column.tolist() for name, column in call.batch.items()} == {
        "n": [1, -2],
        "x": [0.5, 2],
        "s": ["a", "ü"],
    }
    assert call.batch["n"].dtype == np.int8
    assert (call.id, call.params, call.outputs) == ("7", {"t": 1.0}, ())


@pytest.mark.parametrize("raw", [False, True], ids=["typed", "raw"])
@pytest.mark.parametrize(("dtype", "shape"), SHAPED)
def test_random_tensors_arrive_as_they_are(
    dtype: Dtype, shape: tuple[int, ...], raw: bool
) -> None:
    schema = Schema(tuple(Column(name, dtype, shape) for name in ("a b", "ü")))
    given = columns(schema, 30)
    inputs, parts = [], []
    for name, (datatype, column) in ((n, of_answer(c)) for n, c in given.items()):
        field = CONTENTS.get(datatype)
        raw = raw or field is None  # FP16 has no typed contents
        flat = column.ravel().tolist()
        texts = [v if isinstance(v, bytes) else str(v).encode() for v in flat]
        contents = {} if raw else {str(field): texts if datatype == "BYTES" else flat}
        inputs.append(tensor(name, datatype, list(column.shape), **contents))
        parts += [packed(datatype, column)] if raw else []
    inputs = [bare(each) if raw else each for each in inputs]
    assert same(asked(schema, *inputs, raw_input_contents=parts).batch, Batch(given))


def test_answers_are_raw() -> None:
    answers = Batch(
        {"label": np.array(["a", "ü"], dtype=object), "p": np.array([[0.25, np.nan], [1, 2]])}
    )
    call = asked(MIXED, N, X, S, id="7", parameters={"content_type": {"string_param": "pd"}})
    response = service_pb2.ModelInferResponse.FromString(v2(MIXED).encode(answers, call))
    assert (response.model_name, response.model_version, response.id) == ("churn", "3", "7")
    assert response.parameters["content_type"].string_param == "pd"
    assert [(o.name, o.datatype, list(o.shape)) for o in response.outputs] == [
        ("label", "BYTES", [2]),
        ("p", "FP64", [2, 2]),
    ]
    label, p = response.raw_output_contents
    assert label == struct.pack("<I", 1) + b"a" + struct.pack("<I", 2) + "ü".encode()
    np.testing.assert_array_equal(np.frombuffer(p), answers["p"].ravel())
    one = asked(MIXED, N, X, S, outputs=[{"name": "p"}])
    response = service_pb2.ModelInferResponse.FromString(v2(MIXED).encode(answers, one))
    assert [output.name for output in response.outputs] == ["p"]


RAW = [
    np.array([1, 2], np.int8).tobytes(),
    np.array([0.5, 2]).tobytes(),
    packed("BYTES", np.array(["a", "b"], dtype=object)),
]


def raws(at: int = 0, part: bytes = RAW[0], **what: Any) -> dict[str, Any]:
    inputs = [bare(each) for each in (N, X, S)]
    inputs[at] = inputs[at] | what
    parts = [part if index == at else each for index, each in enumerate(RAW)]
    return {"inputs": inputs, "raw_input_contents": parts}


def typed(at: int = 0, **what: Any) -> dict[str, Any]:
    return {
        "inputs": [each | what if index == at else each for index, each in enumerate((N, X, S))]
    }


@pytest.mark.parametrize(
    ("request_", "wrong"),
    [
        ({}, "inputs is empty"),
        ({"inputs": [N, X]}, "missing tensor 's'"),
        ({"inputs": [N, N, X, S]}, "twice"),
        (typed(datatype="INT33"), "'INT33' is none of BOOL"),
        (typed(datatype="FP16"), "FP16 goes as raw_input_contents only"),
        (typed(datatype="INT64"), "contents are int64_contents, not int_contents"),
        (typed(contents={"int_contents": [1, 128]}), "128 does not fit into int8"),
        (typed(contents={"int_contents": [1]}), "has 1 elements, but the shape [2] has 2"),
        (typed(contents={}), "has 0 elements"),
        (typed(shape=[]), "0 dimensions"),
        (typed(shape=[-1]), "a size below 0"),
        (typed(shape=[0]), "no rows"),
        (typed(shape=[2**31]), "at most 100"),
        (typed(shape=[2, 2**31]), f"the shape [2, {2**31}] has {2**32}"),
        (typed(shape=[1] * 100), "100 dimensions"),
        (typed(1, contents={"fp64_contents": [0.5, np.nan]}), "row 1, column 'x': nan is missing"),
        (typed(2, contents={"bytes_contents": [b"a", b"\xff"]}), "row 1, column 's'"),
        (typed(parameters={"shared_memory_region": {}}), "shared memory is not served"),
        (typed(parameters={"content_type": {"string_param": "pickle"}}), "none of np"),
        (typed() | {"parameters": {"content_type": {"int64_param": 5}}}, "content type 5 is none"),
        (typed() | {"parameters": {"t": {"string_param": "hot"}}}, "param 't'"),
        (typed() | {"parameters": {"t": {}}}, "param 't'"),
        (typed() | {"outputs": [{"name": "z"}]}, "unknown output 'z'; there are 'label', 'p'"),
        (raws() | {"raw_input_contents": RAW[:2]}, "raw_input_contents has 2 parts"),
        (raws(contents={"int_contents": [1, 2]}), "contents and raw_input_contents too"),
        (raws(part=b"\x01"), "1 bytes of data, but 2 elements of INT8 are 2"),
        (raws(shape=[1, 2**31]), f"are {2**31}"),
        (raws(datatype="FP64"), "are 16"),
        (raws(2, RAW[2][:-1]), "not 2 elements with their lengths"),
        (raws(2, struct.pack("<II", 2**32 - 1, 0)), "not 2 elements with their lengths"),
        (raws(2, RAW[2], shape=[1, 2**31]), "not 2147483648 elements"),
    ],
)  # fmt: skip
def test_wrong_requests_are_named(request_: dict[str, Any], wrong: str) -> None:
    with pytest.raises(BadInput) as raised:
        asked(MIXED, *request_.pop("inputs", ()), **request_)
    assert wrong in raised.value.message


def test_messages_changed_anywhere_are_read_or_refused() -> None:
    body = service_pb2.ModelInferRequest(**raws()).SerializeToString()
    for at in range(len(body)):
        for byte in b"\x00\x01\x7f\x80\xff":
            for wrong in (body[:at], body[:at] + bytes([byte]) + body[at + 1 :]):
                try:
                    v2(MIXED).decode(message("ModelInferRequest", wrong))
                except BadInput:
                    continue
