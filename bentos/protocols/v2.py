"""The Open Inference Protocol (v2) over HTTP, with tensors as JSON or as binary data behind it.

Format: https://github.com/kserve/open-inference-protocol and Triton's extension for binary data.
"""

from typing import Annotated, Any

import msgspec

from bentos.protocols import answers as written
from bentos.protocols import datatypes
from bentos.protocols.body import parsed
from bentos.protocols.elements import show
from bentos.protocols.inputs import Inputs, Tensor
from bentos.protocols.params import Params
from bentos.protocols.table import Table
from bentos.tensors import BadInput, Batch, Column, Schema
from bentos.tensors.batch import Array

OUTPUT = "output-0"  # an answer that has no name
CONTENT_TYPES = ("np", "pd", "str", "base64", "datetime")  # MLServer's


class Wanted(msgspec.Struct, frozen=True):
    """An output that the caller asks for."""

    name: str
    binary: bool


class V2Call(msgspec.Struct, frozen=True):
    """The rows of a call. Without `outputs` all are answered, as `binary` says."""

    batch: Batch
    params: dict[str, Any]
    id: str | None = None
    outputs: tuple[Wanted, ...] = ()
    binary: bool = False


class _Input(msgspec.Struct):
    name: str
    shape: list[Annotated[int, msgspec.Meta(ge=0)]]
    datatype: str
    parameters: dict[str, Any] | None = None
    data: msgspec.Raw = msgspec.Raw()


class _Output(msgspec.Struct):
    name: str
    parameters: dict[str, Any] | None = None


class _Request(msgspec.Struct):
    inputs: Annotated[list[_Input], msgspec.Meta(min_length=1)]
    outputs: list[_Output] | None = None
    parameters: dict[str, Any] | None = None
    id: str | None = None


class V2:
    """The bodies of the calls and answers of one version of a model."""

    def __init__(self, schema: Schema, name: str, version: str, most: int) -> None:
        """Take at most so many rows in one call."""
        self._name = name
        self._version = version
        self._outputs = schema.outputs
        self._inputs = Inputs(Table(schema, most))
        self._params = Params(schema)
        self._known = {param.name for param in schema.params}
        self._request = msgspec.json.Decoder(_Request).decode

    def metadata(self) -> dict[str, Any]:
        """What the model takes and gives; no outputs where the schema does not know them."""
        return {
            "name": self._name,
            "versions": [self._version],
            "platform": "mlflow_model",
            "inputs": [
                {"name": name, "datatype": datatype, "shape": shape}
                for name, datatype, shape in self._inputs.described()
            ],
            "outputs": [_described(column) for column in self._outputs],
        }

    def decode(self, body: bytes, header_length: int | None) -> V2Call:
        """The tensors of a body, whose JSON ends at `header_length` if it is given.

        Raises BadInput.
        """
        if header_length is not None and not 0 < header_length <= len(body):
            raise BadInput(f"the JSON has {header_length} bytes, but the body has {len(body)}")
        request = self._read(body if header_length is None else body[:header_length])
        rest = memoryview(b"" if header_length is None else body)[header_length or 0 :]
        batch = self._inputs.batch(self._tensors(request, rest))
        given = request.parameters or {}
        params = {name: value for name, value in given.items() if name in self._known}
        binary = _flag(given, "binary_data_output", "the request")
        wanted = tuple(self._wanted(output, binary) for output in request.outputs or ())
        return V2Call(batch, self._params.read(params), request.id, wanted, binary)

    def encode(self, answers: Batch, call: V2Call) -> tuple[bytes, int | None]:
        """The body of an answer, and where its JSON ends if binary data follow.

        NaN and infinite numbers are null in JSON. Raises BadInput for an output that is not there.
        """
        columns = {name or OUTPUT: column for name, column in answers.items()}
        wanted = call.outputs or tuple(Wanted(name, call.binary) for name in columns)
        outputs, blobs = [], []
        for output in wanted:
            if output.name not in columns:
                raise _unknown(output.name, list(columns))
            entry, blob = _output(output, columns[output.name])
            outputs.append(entry)
            blobs += [blob] if output.binary else []
        head = {"model_name": self._name, "model_version": self._version, "outputs": outputs}
        named = head if call.id is None else head | {"id": call.id}
        header = written.encode(named)
        return b"".join([header, *blobs]), len(header) if blobs else None

    def _read(self, header: bytes) -> _Request:
        try:
            return self._request(header)
        except msgspec.ValidationError as error:
            raise BadInput(f"the request is none of this protocol: {error}") from None
        except (ValueError, RecursionError):
            parsed(header)
            raise BadInput("the request is no JSON") from None

    def _tensors(self, request: _Request, rest: memoryview) -> list[Tensor]:
        """All tensors, whose binary data lie one behind the other."""
        tensors, start = [], 0
        for given in request.inputs:
            parameters = given.parameters or {}
            kind = _content_type(given.name, parameters)
            self._inputs.sized(given.name, given.shape)
            size = _size(given, parameters)
            if size is None:
                values = _from_json(given)
            else:
                data = rest[start : start + size]
                if len(data) != size:
                    message = f"{len(data)} bytes of data are left, not {size}"
                    raise BadInput(f"tensor {given.name!r}: {message}", given.name)
                values = datatypes.unpacked(given.name, given.datatype, given.shape, data)
                start += size
            tensors.append(Tensor(given.name, given.datatype, values, kind == "base64"))
        if start != len(rest):
            raise BadInput(f"{len(rest) - start} bytes of binary data belong to no tensor")
        return tensors

    def _wanted(self, output: _Output, binary: bool) -> Wanted:
        parameters = output.parameters or {}
        foreign = [name for name in parameters if name.startswith("shared_memory")]
        if foreign or parameters.get("classification"):
            name = foreign[0] if foreign else "classification"
            raise BadInput(f"output {output.name!r}: {name!r} is not served", output.name)
        known = [column.name or OUTPUT for column in self._outputs]
        if known and output.name not in known:
            raise _unknown(output.name, known)
        return Wanted(output.name, _flag(parameters, "binary_data", output.name, binary))


def _described(column: Column) -> dict[str, Any]:
    shape, datatype = [-1, *column.shape], datatypes.of_column(column)
    return {"name": column.name or OUTPUT, "datatype": datatype, "shape": shape}


def _unknown(name: str, known: list[str]) -> BadInput:
    return BadInput(f"unknown output {name!r}; there are {', '.join(map(repr, known))}", name)


def _flag(parameters: dict[str, Any], name: str, where: str, default: bool = False) -> bool:
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        raise BadInput(f"{where}: {name!r} is {show(value)}, neither true nor false")
    return value


def _content_type(name: str, parameters: dict[str, Any]) -> str | None:
    kind = parameters.get("content_type")
    if kind is not None and kind not in CONTENT_TYPES:
        known = ", ".join(CONTENT_TYPES)
        raise BadInput(f"tensor {name!r}: the content type {show(kind)} is none of {known}", name)
    if any(key.startswith("shared_memory") for key in parameters):
        raise BadInput(f"tensor {name!r}: shared memory is not served", name)
    return kind


def _size(given: _Input, parameters: dict[str, Any]) -> int | None:
    """How many bytes of binary data a tensor has; None if it has JSON."""
    size, listed = parameters.get("binary_data_size"), bytes(given.data) not in (b"", b"null")
    if (size is not None) == listed:
        found = "data and binary data too" if listed else "neither data nor binary data"
        raise BadInput(f"tensor {given.name!r}: it has {found}", given.name)
    if size is None:
        return None
    if isinstance(size, bool) or not isinstance(size, int) or size < 0:
        message = f"tensor {given.name!r}: the binary_data_size is {show(size)}"
        raise BadInput(message, given.name)
    return size


def _from_json(given: _Input) -> Array:
    return datatypes.listed(given.name, given.datatype, given.shape, bytes(given.data))


def _output(wanted: Wanted, column: Array) -> tuple[dict[str, Any], bytes]:
    datatype, values = datatypes.of_answer(column)
    entry = {"name": wanted.name, "datatype": datatype, "shape": list(values.shape)}
    if wanted.binary:
        data = datatypes.packed(datatype, values)
        return entry | {"parameters": {"binary_data_size": len(data)}}, data
    flat = values.ravel().tolist()
    if any(isinstance(value, bytes) for value in flat if datatype == "BYTES"):
        return entry | {"parameters": {"content_type": "base64"}, "data": flat}, b""
    return entry | {"data": flat}, b""
