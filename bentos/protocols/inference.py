"""The Open Inference Protocol (v2), whichever way its messages come.

Format: https://github.com/kserve/open-inference-protocol
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from bentos.protocols import datatypes
from bentos.protocols.elements import show
from bentos.protocols.inputs import Inputs, Tensor
from bentos.protocols.params import Params
from bentos.protocols.table import Table
from bentos.tensors import BadInput, Batch, Column, Schema
from bentos.tensors.batch import Array

PLATFORM = "mlflow_model"
OUTPUT = "output-0"  # an answer that has no name
CONTENT_TYPE = "content_type"
CONTENT_TYPES = ("np", "pd", "str", "base64", "datetime")  # MLServer's


class Wanted(msgspec.Struct, frozen=True):
    """An output that the caller asks for."""

    name: str
    binary: bool


class V2Call(msgspec.Struct, frozen=True):
    """The rows of a call. Without `outputs` all are answered, as `binary` says.

    `content_type` is MLServer's word for how the caller reads the answer, if it said one.
    """

    batch: Batch
    params: dict[str, Any]
    id: str | None = None
    outputs: tuple[Wanted, ...] = ()
    binary: bool = False
    content_type: str | None = None


class Output(msgspec.Struct, frozen=True):
    """A tensor of an answer."""

    name: str
    datatype: str
    values: Array
    binary: bool


class Inference:
    """Calls to one version of a model, and its answers, as tensors."""

    def __init__(self, schema: Schema, name: str, version: str, most: int) -> None:
        """Take at most so many rows in one call."""
        self.name = name
        self.version = version
        self._most = most
        self._outputs = schema.outputs
        self._inputs = Inputs(Table(schema, most))
        self._params = Params(schema)
        self._known = {param.name for param in schema.params}

    def metadata(self, versions: Sequence[str] = ()) -> dict[str, Any]:
        """What the model takes and gives; no outputs where the schema does not know them.

        `versions` are all that answer, if not this one alone.
        """
        return {
            "name": self.name,
            "versions": list(versions) or [self.version],
            "platform": PLATFORM,
            "inputs": [
                {"name": name, "datatype": datatype, "shape": shape}
                for name, datatype, shape in self._inputs.described()
            ],
            "outputs": [_described(column) for column in self._outputs],
        }

    def config(self) -> dict[str, Any]:
        """The same as Triton's `ModelConfig`, whose `dims` are those of one row."""
        described = self.metadata()
        return {
            "name": self.name,
            "platform": PLATFORM,
            "max_batch_size": self._most,
            "input": list(map(_configured, described["inputs"])),
            "output": list(map(_configured, described["outputs"])),
        }

    def check(self, name: str, shape: Sequence[int], parameters: Mapping[str, Any]) -> str | None:
        """The content type of a tensor, before its data are read.

        Raises BadInput for a shape that no rows of the model have, and for what is not served.
        """
        if any(key.startswith("shared_memory") for key in parameters):
            raise BadInput(f"tensor {name!r}: shared memory is not served", name)
        self._inputs.sized(name, shape)
        return content_type(parameters, f"tensor {name!r}", name)

    def call(
        self,
        tensors: Sequence[Tensor],
        given: Mapping[str, Any],
        id: str | None,  # noqa: A002 - the protocol's word
        outputs: Sequence[tuple[str, Mapping[str, Any]]],
    ) -> V2Call:
        """The call that tensors, parameters and the asked outputs make. Raises BadInput."""
        batch = self._inputs.batch(tensors)
        params = {name: value for name, value in given.items() if name in self._known}
        binary = _flag(given, "binary_data_output", "the request")
        wanted = tuple(self._wanted(name, about, binary) for name, about in outputs)
        kind = content_type(given, "the request")
        return V2Call(batch, self._params.read(params), id, wanted, binary, kind)

    def outputs(self, answers: Batch, call: V2Call) -> Iterator[Output]:
        """The tensors that the caller asked for. Raises BadInput for one that is not there."""
        columns = {name or OUTPUT: column for name, column in answers.items()}
        for wanted in call.outputs or [Wanted(name, call.binary) for name in columns]:
            if wanted.name not in columns:
                raise _unknown(wanted.name, list(columns))
            yield Output(wanted.name, *datatypes.of_answer(columns[wanted.name]), wanted.binary)

    def _wanted(self, name: str, parameters: Mapping[str, Any], binary: bool) -> Wanted:
        foreign = [key for key in parameters if key.startswith("shared_memory")]
        if foreign or parameters.get("classification"):
            what = foreign[0] if foreign else "classification"
            raise BadInput(f"output {name!r}: {what!r} is not served", name)
        known = [column.name or OUTPUT for column in self._outputs]
        if known and name not in known:
            raise _unknown(name, known)
        return Wanted(name, _flag(parameters, "binary_data", name, binary))


def content_type(parameters: Mapping[str, Any], where: str, column: str = "") -> str | None:
    """What MLServer's clients call the kind of some data. Raises BadInput for one not known."""
    kind = parameters.get(CONTENT_TYPE)
    if kind is not None and kind not in CONTENT_TYPES:
        known = ", ".join(CONTENT_TYPES)
        raise BadInput(f"{where}: the content type {show(kind)} is none of {known}", column)
    return kind


def _described(column: Column) -> dict[str, Any]:
    shape, datatype = [-1, *column.shape], datatypes.of_column(column)
    return {"name": column.name or OUTPUT, "datatype": datatype, "shape": shape}


def _configured(described: Mapping[str, Any]) -> dict[str, Any]:
    datatype = described["datatype"]
    kind = "TYPE_STRING" if datatype == "BYTES" else f"TYPE_{datatype}"
    return {"name": described["name"], "data_type": kind, "dims": described["shape"][1:]}


def _unknown(name: str, known: list[str]) -> BadInput:
    return BadInput(f"unknown output {show(name)}; there are {', '.join(map(repr, known))}", name)


def _flag(parameters: Mapping[str, Any], name: str, where: str, default: bool = False) -> bool:
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        raise BadInput(f"{where}: {name!r} is {show(value)}, neither true nor false")
    return value
