"""Each door to the models: how its clients send a table, and read the answers."""

import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import quote

import grpc
import httpx
import numpy as np
import pyarrow as pa
from tritonclient.grpc import service_pb2

from bentos.protocols.arrow_stream import MEDIA_TYPE
from bentos.protocols.datatypes import of_column
from bentos.tensors import Batch, Column, Schema
from bentos.tensors.batch import Array
from tests.protocols import arrow_tables
from tests.protocols.made import json_values

LENGTH = "inference-header-content-length"
INFER = "/inference.GRPCInferenceService/ModelInfer"


@dataclass(frozen=True)
class Caller:
    """The ways to one service."""

    http: httpx.Client
    grpc: grpc.Channel


# Each asks a model by its name, and gives the answers' values: a list of all columns for each row.
Door: TypeAlias = Callable[[Caller, str, Schema, Batch], list[list[Any]]]


def by_rows(caller: Caller, name: str, schema: Schema, batch: Batch) -> list[list[Any]]:
    """Our own protocol."""
    body = _lists(batch) if schema.positional else _objects(batch)
    if schema.single is not None:
        body = json_values(batch[""])
    said = _checked(caller.http.post(f"/{quote(name)}/predict", json=body))
    return [flat(list(row.values())) for row in said.json()]


def by_table(caller: Caller, name: str, schema: Schema, batch: Batch) -> list[list[Any]]:
    """Our own protocol, with tables of Arrow both ways."""
    given, headers = arrow_tables.table(schema, batch), {"content-type": MEDIA_TYPE}
    if schema.single is not None and schema.single.dtype == "json":
        given = pa.Table.from_pylist(batch[""].tolist())
    body = arrow_tables.stream(given, 100)
    said = _checked(caller.http.post(f"/{quote(name)}/predict", content=body, headers=headers))
    assert said.headers["content-type"] == MEDIA_TYPE
    return [flat(list(row.values())) for row in arrow_tables.read(said.content).to_pylist()]


def by_invocations(caller: Caller, name: str, schema: Schema, batch: Batch) -> list[list[Any]]:
    """MLflow's."""
    if schema.single is not None:
        body: Any = {"inputs": json_values(batch[""])}
    else:
        body = {"dataframe_split": {"columns": list(batch), "data": _lists(batch)}}
    said = _checked(caller.http.post(f"/{quote(name)}/invocations", json=body))
    predictions = said.json()["predictions"]
    return [flat(list(p.values()) if isinstance(p, dict) else [p]) for p in predictions]


def by_v2(caller: Caller, name: str, schema: Schema, batch: Batch) -> list[list[Any]]:
    """Open Inference, all in JSON."""
    inputs = [_tensor(c, batch[c.name]) | _listed(c, batch[c.name]) for c in schema.inputs]
    said = _checked(caller.http.post(f"/v2/models/{quote(name)}/infer", json={"inputs": inputs}))
    return _columns(
        [np.array(out["data"], object).reshape(out["shape"]) for out in said.json()["outputs"]]
    )


def by_v2_binary(caller: Caller, name: str, schema: Schema, batch: Batch) -> list[list[Any]]:
    """Open Inference, with tensors as bytes both ways."""
    inputs, blobs = [], []
    for column in schema.inputs:
        blobs.append(_packed(column, batch[column.name]))
        size = {"parameters": {"binary_data_size": len(blobs[-1])}}
        inputs.append(_tensor(column, batch[column.name]) | size)
    header = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
    place, headers = f"/v2/models/{quote(name)}/infer", {LENGTH: str(len(header))}
    said = _checked(caller.http.post(place, content=header + b"".join(blobs), headers=headers))
    start, columns = int(said.headers[LENGTH]), []
    for output in json.loads(said.content[:start])["outputs"]:
        stop = start + output["parameters"]["binary_data_size"]
        columns.append(_unpacked(output, said.content[start:stop]))
        start = stop
    return _columns(columns)


def by_grpc(caller: Caller, name: str, schema: Schema, batch: Batch) -> list[list[Any]]:
    """Open Inference over gRPC, with raw tensors both ways."""
    given = [(column, batch[column.name]) for column in schema.inputs]
    request = service_pb2.ModelInferRequest(
        model_name=name,
        inputs=[_tensor(*each) for each in given],
        raw_input_contents=[_packed(*each) for each in given],
    )
    said = caller.grpc.unary_unary(INFER)(request.SerializeToString())
    answer = service_pb2.ModelInferResponse.FromString(said)
    outputs = [{"datatype": each.datatype, "shape": list(each.shape)} for each in answer.outputs]
    return _columns(list(map(_unpacked, outputs, answer.raw_output_contents)))


DOORS: Mapping[str, Door] = {
    "rows": by_rows,
    "rows, Arrow": by_table,
    "invocations": by_invocations,
    "v2": by_v2,
    "v2, binary": by_v2_binary,
    "v2, gRPC": by_grpc,
}

NUMPY = {"BOOL": "?", "INT32": "<i4", "INT64": "<i8", "FP32": "<f4", "FP64": "<f8"}


def _checked(said: httpx.Response) -> httpx.Response:
    assert said.status_code == 200, said.text
    return said


def _lists(batch: Batch) -> list[list[Any]]:
    return [list(row) for row in zip(*map(json_values, batch.values()), strict=True)]


def _objects(batch: Batch) -> list[dict[str, Any]]:
    return [dict(zip(batch, row, strict=True)) for row in _lists(batch)]


def _datatype(column: Column, values: Array) -> str:
    """An integer that may be missing is sent as a float."""
    return "FP64" if values.dtype == np.float64 else of_column(column)


def _tensor(column: Column, values: Array) -> dict[str, Any]:
    datatype = _datatype(column, values)
    return {"name": column.name or "any", "datatype": datatype, "shape": list(values.shape)}


def _listed(column: Column, values: Array) -> dict[str, Any]:
    data = json_values(values)
    return {"data": [json.dumps(value) for value in data] if column.dtype == "json" else data}


def _packed(column: Column, values: Array) -> bytes:
    if _datatype(column, values) != "BYTES":
        return values.astype(NUMPY[_datatype(column, values)]).tobytes()
    texts = [v if isinstance(v, str) else json.dumps(v) for v in json_values(values)]
    return b"".join(struct.pack("<I", len(t.encode())) + t.encode() for t in texts)


def _unpacked(output: dict[str, Any], data: bytes) -> Array:
    if output["datatype"] != "BYTES":
        return np.frombuffer(data, NUMPY[output["datatype"]]).reshape(output["shape"])
    texts, at = [], 0
    while at < len(data):
        (size,) = struct.unpack_from("<I", data, at)
        texts.append(data[at + 4 : at + 4 + size].decode())
        at += 4 + size
    return np.array(texts, object).reshape(output["shape"])


def _columns(columns: list[Array]) -> list[list[Any]]:
    return [flat(list(row)) for row in zip(*(c.tolist() for c in columns), strict=True)]


def flat(values: list[Any]) -> list[Any]:
    """Values, and those of lists among them."""
    made: list[Any] = []
    for value in values:
        made += flat(value) if isinstance(value, list) else [value]
    return made
