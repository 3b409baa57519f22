"""Bodies and messages that mean harm to the model `sums`, and good ones beside them."""

import json
import math
import struct
from typing import Any

from tritonclient.grpc import service_pb2

from bentos.tensors import Batch, Column, Schema

SCHEMA = Schema((Column("x", "float64"), Column("n", "int32")), (Column("sum", "float64"),))
ROWS, INVOCATIONS, V2 = "/sums/predict", "/sums/invocations", "/v2/models/sums/infer"
FORMS = {ROWS: {"detail"}, INVOCATIONS: {"error_code", "message"}, V2: {"error"}}
PLACES = {
    "/sums": FORMS[ROWS],
    "/sums/ping": FORMS[INVOCATIONS],
    **dict.fromkeys(("/v2", "/v2/models/sums", "/v2/models/sums/ready", "/v2/x"), FORMS[V2]),
}
WRONG = {ROWS: 422, INVOCATIONS: 400, V2: 400}
GOOD = {
    ROWS: b'{"x": 1.5, "n": 2}',
    INVOCATIONS: b'{"inputs": [{"x": 1.5, "n": 2}]}',
    V2: b'{"inputs": [{"name": "x", "datatype": "FP64", "shape": [1], "data": [1.5]},'
    b' {"name": "n", "datatype": "INT32", "shape": [1], "data": [2]}]}',
}
LARGEST = 4 * 1024 * 1024


def add(batch: Batch) -> Batch:
    return Batch({"sum": batch["x"] + batch["n"]})


def tensors(**x: Any) -> bytes:
    given = {"name": "x", "datatype": "FP64", "shape": [1], "data": [1.5]} | x
    n = {"name": "n", "datatype": "INT32", "shape": [1], "data": [2]}
    return json.dumps({"inputs": [given, n]}).encode()


def binary(shape: list[int], size: int, given: int) -> bytes:
    """One tensor that says `size` bytes, and brings `given`."""
    tensor = {"name": "x", "datatype": "FP64", "shape": shape}
    header = json.dumps({"inputs": [tensor | {"parameters": {"binary_data_size": size}}]}).encode()
    return header.ljust(200) + b"\0" * given


BODIES = [
    *((door, body) for door in FORMS for body in (b"", b"{", b"[" * 200_000, b'{"a":' * 100_000)),
    *((door, GOOD[door].replace(b"1.5", b"NaN")) for door in (ROWS, V2)),
    *((door, GOOD[door].replace(b"1.5", b"1" * 1_000_000)) for door in FORMS),
    *((door, GOOD[door].replace(b"2", b"2147483648")) for door in (ROWS, INVOCATIONS)),
    *((door, GOOD[door].replace(b"1.5", b"[" * 900 + b"]" * 900)) for door in FORMS),
    *((door, GOOD[door].replace(b"x", b"\\ud800")) for door in FORMS),
    *((door, b"\xff" + GOOD[door]) for door in FORMS),
    (V2, tensors(shape=[2**31])),
    (V2, tensors(shape=[1] * 1000)),
    (V2, tensors(shape=[2**63, 2**63])),
    (V2, tensors(shape=[-1])),
    (V2, tensors(datatype="FP128")),
    (V2, tensors(datatype="BYTES", data=["1.5"])),
    (V2, tensors(data=[[1.5]] * 3)),
    (V2, GOOD[V2].replace(b'"n"', b'"x"')),
    (V2, b'{"inputs": []}'),
]


def raw_message(
    x: bytes = b"\0" * 8, n: bytes = b"\2\0\0\0", parts: int = 2, **about: Any
) -> bytes:
    """A message of gRPC, its tensors raw."""
    tensors = [
        {"name": "x", "datatype": "FP64", "shape": [1]} | about,
        {"name": "n", "datatype": "INT32", "shape": [1]},
    ]
    request = service_pb2.ModelInferRequest(
        model_name="sums", inputs=tensors, raw_input_contents=[x, n][:parts]
    )
    return bytes(request.SerializeToString())


MESSAGE = raw_message()
MESSAGES = [
    b"\xff" * 100,
    MESSAGE[:-1],
    raw_message(b"\0" * 7),
    raw_message(b"\0" * 9),
    raw_message(b""),
    raw_message(parts=1),
    raw_message(struct.pack("<d", math.nan)),
    raw_message(name="n"),
    raw_message(datatype="FP128"),
    raw_message(datatype="INT32"),
    raw_message(datatype="BYTES"),
    raw_message(b"\xff" * 8, datatype="BYTES"),
    *(
        raw_message(shape=shape)
        for shape in ([2**31], [1, 2**31], [2**62, 4], [-1], [0], [], [1] * 1000)
    ),
]
