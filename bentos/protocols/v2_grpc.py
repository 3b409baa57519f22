"""The messages of the Open Inference Protocol (v2) over gRPC.

Format: `grpc_service.proto` of https://github.com/triton-inference-server/common, whose compiled
messages come with `tritonclient`; KServe's `open_inference_grpc.proto` is a part of it.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError, Message
from tritonclient.grpc import service_pb2

from bentos.protocols import datatypes
from bentos.protocols.elements import show
from bentos.protocols.inference import CONTENT_TYPE, Inference, V2Call
from bentos.protocols.inputs import Tensor
from bentos.tensors import BadInput, Batch
from bentos.tensors.batch import Array

# Which typed contents hold the elements of a datatype; there are none for FP16.
CONTENTS: Mapping[str, str] = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
NARROWED = ("int_contents", "uint_contents")  # of 32 bits, also where the datatype has fewer


def message(name: str, data: bytes) -> Any:
    """The message of a type, such as `ModelInferRequest`. Raises BadInput."""
    made: Message = getattr(service_pb2, name)()
    try:
        made.ParseFromString(data)
    except DecodeError:
        raise BadInput(f"the {len(data)} bytes are no {name}") from None
    return made


class V2Grpc:
    """The messages of the calls and answers of one version of a model."""

    def __init__(self, model: Inference) -> None:
        self.model = model

    def decode(self, request: Any) -> V2Call:
        """The tensors of a `ModelInferRequest`. Raises BadInput."""
        raw = request.raw_input_contents
        if raw and len(raw) != len(request.inputs):
            inputs = len(request.inputs)
            raise BadInput(
                f"raw_input_contents has {len(raw)} parts, but there are {inputs} inputs"
            )
        parts = raw or [None] * len(request.inputs)
        tensors = [self._tensor(*each) for each in zip(request.inputs, parts, strict=True)]
        if not tensors:
            raise BadInput("inputs is empty; send one tensor at least")
        outputs = [(output.name, _plain(output.parameters)) for output in request.outputs]
        given = _plain(request.parameters)
        return self.model.call(tensors, given, request.id, outputs)

    def encode(self, answers: Batch, call: V2Call) -> bytes:
        """A `ModelInferResponse`, its tensors as raw bytes.

        Raises BadInput for an output that is not there.
        """
        response = service_pb2.ModelInferResponse(
            model_name=self.model.name, model_version=self.model.version, id=call.id or ""
        )
        if call.content_type is not None:
            response.parameters[CONTENT_TYPE].string_param = call.content_type
        for output in self.model.outputs(answers, call):
            shape, datatype = output.values.shape, output.datatype
            response.outputs.add(name=output.name, datatype=datatype, shape=shape)
            response.raw_output_contents.append(datatypes.packed(datatype, output.values))
        made: bytes = response.SerializeToString()
        return made

    def _tensor(self, given: Any, raw: bytes | None) -> Tensor:
        name, datatype, shape = given.name, given.datatype, list(given.shape)
        if any(size < 0 for size in shape):
            raise BadInput(f"tensor {name!r}: the shape {shape} has a size below 0", name)
        kind = self.model.check(name, shape, _plain(given.parameters))
        if raw is None:
            values = _typed(name, datatype, shape, given.contents)
        elif given.HasField("contents") and given.contents.ListFields():
            raise BadInput(f"tensor {name!r}: it has contents and raw_input_contents too", name)
        else:
            values = datatypes.unpacked(name, datatype, shape, memoryview(raw))
        return Tensor(name, datatype, values, kind == "base64")


def _typed(name: str, datatype: str, shape: list[int], contents: Any) -> Array:
    """The array of a tensor's typed contents. Raises BadInput."""
    wanted, field = datatypes.dtype(name, datatype), CONTENTS.get(datatype)
    if field is None:
        raise BadInput(f"tensor {name!r}: {datatype} goes as raw_input_contents only", name)
    if foreign := [one.name for one, _ in contents.ListFields() if one.name != field]:
        wrong = f"its datatype is {datatype}, so its contents are {field}, not {foreign[0]}"
        raise BadInput(f"tensor {name!r}: {wrong}", name)
    values, count = getattr(contents, field), math.prod(shape)
    if len(values) != count:
        wrong = f"{field} has {len(values)} elements, but the shape {shape} has {count}"
        raise BadInput(f"tensor {name!r}: {wrong}", name)
    if datatype == "BYTES":
        return np.fromiter(values, dtype=object, count=count).reshape(shape)
    if field not in NARROWED:
        return np.fromiter(values, dtype=wanted, count=count).reshape(shape)
    wide = np.fromiter(values, dtype=np.int64, count=count)
    _bounded(name, wide, wanted)
    return wide.astype(wanted).reshape(shape)


def _bounded(name: str, values: Array, wanted: str) -> None:
    """Raise BadInput for integers that a dtype has not."""
    limits = np.iinfo(wanted)
    outside = (values < limits.min) | (values > limits.max)
    if outside.any():
        value = values[outside][0].item()
        raise BadInput(f"tensor {name!r}: {show(value)} does not fit into {wanted}", name)


def _plain(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The values of `InferParameter`s; None where one has none."""
    found = {}
    for name, value in parameters.items():
        choice = value.WhichOneof("parameter_choice")
        found[name] = getattr(value, choice) if choice else None
    return found
