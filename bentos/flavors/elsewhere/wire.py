"""What two processes of different releases say to each other: frames of msgpack.

Neither takes more from the other than numbers, texts and arrays of them.
"""

from collections.abc import Mapping
from typing import Any, BinaryIO, TypeAlias, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from bentos.flavors.graphs.compiled import Kind
from bentos.refusal import Reason
from bentos.tensors import Schema

T = TypeVar("T")
PLAIN = "biufcUSMm"  # kinds of arrays that are nothing but their bytes
LENGTH = 8
Packed: TypeAlias = tuple[str, tuple[int, ...], Any]


class Ask(msgspec.Struct, tag=True):
    """Answer these rows, with the probabilities if so."""

    rows: dict[str, Packed]
    probabilities: bool


class Compile(msgspec.Struct, tag=True):
    """Make a graph, with the probabilities if so."""

    probabilities: bool


class Opened(msgspec.Struct, tag=True):
    """The version is open. `classes` and `lacks` are those of its probabilities."""

    kind: str
    note: str
    releases: dict[str, str]
    schema: Schema
    samples: dict[str, Packed]
    made_up: bool
    classes: tuple[str, ...]
    lacks: str
    shares: bool


class Answers(msgspec.Struct, tag=True):
    """What the model gives for rows."""

    rows: dict[str, Packed]


class Graph(msgspec.Struct, tag=True):
    """A graph with what it was compiled from, as `Compiled`."""

    proto: bytes
    critical: dict[str, Packed]
    kind: Kind


class Bad(msgspec.Struct, tag=True):
    """A row that the model cannot take."""

    message: str
    column: str
    row: int | None


class Refused(msgspec.Struct, tag=True):
    """The version may not serve."""

    reason: Reason
    message: str


class Failed(msgspec.Struct, tag=True):
    """What was asked cannot be had."""

    message: str


Question: TypeAlias = Ask | Compile
Reply: TypeAlias = Opened | Answers | Graph | Bad | Refused | Failed


def packed(columns: Mapping[str, NDArray[Any]]) -> dict[str, Packed]:
    """Arrays by name, ready for a frame."""
    return {name: _packed(np.asarray(array)) for name, array in columns.items()}


def unpacked(columns: Mapping[str, Packed]) -> dict[str, NDArray[Any]]:
    """The arrays of a frame. Raises ValueError for what is none."""
    return {name: _unpacked(*column) for name, column in columns.items()}


def write(file: BinaryIO, message: Question | Reply) -> None:
    """Send a message."""
    frame = msgspec.msgpack.encode(message, enc_hook=_plain)
    file.write(len(frame).to_bytes(LENGTH, "little") + frame)
    file.flush()


def read(file: BinaryIO, kind: type[T]) -> T | None:
    """The next message, or None where the other is gone."""
    size = file.read(LENGTH)
    if len(size) < LENGTH:
        return None
    frame = file.read(int.from_bytes(size, "little"))
    return msgspec.msgpack.decode(frame, type=kind)


def _packed(array: NDArray[Any]) -> Packed:
    if array.dtype.kind in PLAIN:
        return array.dtype.str, array.shape, np.ascontiguousarray(array).tobytes()
    return "O", array.shape, array.ravel().tolist()


def _unpacked(dtype: str, shape: tuple[int, ...], content: Any) -> NDArray[Any]:
    if dtype != "O":
        return np.frombuffer(content, np.dtype(dtype)).reshape(shape)
    made = np.empty(len(content), dtype=object)
    made[:] = content
    return made.reshape(shape)


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value.tolist()
