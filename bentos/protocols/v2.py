"""The Open Inference Protocol (v2) over HTTP, with tensors as JSON or as binary data behind it.

Format: https://github.com/kserve/open-inference-protocol and Triton's extension for binary data.
"""

from typing import Annotated, Any

import msgspec

from bentos.protocols import answers as written
from bentos.protocols import datatypes
from bentos.protocols.body import parsed
from bentos.protocols.elements import show
from bentos.protocols.inference import CONTENT_TYPE, Inference, Output, V2Call
from bentos.protocols.inputs import Tensor
from bentos.tensors import BadInput, Batch
from bentos.tensors.batch import Array


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

    def __init__(self, model: Inference) -> None:
        self.model = model
        self._request = msgspec.json.Decoder(_Request).decode

    def decode(self, body: bytes, header_length: int | None) -> V2Call:
        """The tensors of a body, whose JSON ends at `header_length` if it is given.

        Raises BadInput.
        """
        if header_length is not None and not 0 < header_length <= len(body):
            raise BadInput(f"the JSON has {header_length} bytes, but the body has {len(body)}")
        request = self._read(body if header_length is None else body[:header_length])
        rest = memoryview(b"" if header_length is None else body)[header_length or 0 :]
        outputs = [(output.name, output.parameters or {}) for output in request.outputs or ()]
        tensors = self._tensors(request, rest)
        return self.model.call(tensors, request.parameters or {}, request.id, outputs)

    def encode(self, answers: Batch, call: V2Call) -> tuple[bytes, int | None]:
        """The body of an answer, and where its JSON ends if binary data follow.

        NaN and infinite numbers are null in JSON. Raises BadInput for an output that is not there.
        """
        outputs, blobs = [], []
        for output in self.model.outputs(answers, call):
            entry, blob = _output(output, call.content_type)
            outputs.append(entry)
            blobs += [blob] if output.binary else []
        head: dict[str, Any] = {"model_name": self.model.name}
        head |= {"model_version": self.model.version, "outputs": outputs}
        head |= {} if call.id is None else {"id": call.id}
        if call.content_type is not None:
            head["parameters"] = {CONTENT_TYPE: call.content_type}
        header = written.encode(head)
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
            kind = self.model.check(given.name, given.shape, parameters)
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


def _output(output: Output, asked: str | None) -> tuple[dict[str, Any], bytes]:
    """The JSON of a tensor, and its binary data; `asked` is MLServer's word for the answer."""
    datatype, values = output.datatype, output.values
    entry = {"name": output.name, "datatype": datatype, "shape": list(values.shape)}
    parameters = {} if asked is None else {CONTENT_TYPE: "str" if datatype == "BYTES" else "np"}
    if output.binary:
        data = datatypes.packed(datatype, values)
        return entry | {"parameters": parameters | {"binary_data_size": len(data)}}, data
    flat = values.ravel().tolist()
    if any(isinstance(value, bytes) for value in flat if datatype == "BYTES"):
        parameters = {CONTENT_TYPE: "base64"}
    return entry | ({"parameters": parameters} if parameters else {}) | {"data": flat}, b""
