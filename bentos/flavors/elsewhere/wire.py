"""What two processes of different releases say to each other: frames of msgpack.

Neither takes more from the other than numbers, texts and arrays of them, and no more than `MOST`
bytes at a time.
"""

from collections.abc import Mapping
from typing import Any, BinaryIO, TypeAlias, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from bentos.flavors.graphs.compiled import Kind
from bentos.refusal import Reason
from bentos.tensors import BadSchema, Schema

T = TypeVar("T")
PLAIN = "biufcUSMm"  # kinds of arrays that are nothing but their bytes
LENGTH = 8
MOST = 512 << 20  # bytes of a message; a graph of 1,000 deep trees has 200 MB
LAST_LETTER, SURROGATES = 0x10FFFF, 0xD800  # of Unicode
Packed: TypeAlias = tuple[str, tuple[int, ...], Any]


class Ask(msgspec.Struct, tag=True):
    """Answer these rows, with the probabilities if so."""

    rows: dict[str, Packed]
    probabilities: bool


class Compile(msgspec.Struct, tag=True):
    """Make a graph, with the probabilities if so."""

    probabilities: bool


class Write(msgspec.Struct, tag=True):
    """Write the model as skops."""


class Load(msgspec.Struct, tag=True):
    """Open the version, of which this schema is known."""

    schema: Schema


class Ready(msgspec.Struct, tag=True):
    """It is open."""


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


class Written(msgspec.Struct, tag=True):
    """The model as a file of skops, which may hold anything."""

    skops: bytes


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


Question: TypeAlias = Ask | Compile | Write
Reply: TypeAlias = Opened | Answers | Graph | Written | Bad | Refused | Failed


class Garbled(ValueError):
    """What the other says is no message."""


def packed(columns: Mapping[str, NDArray[Any]]) -> dict[str, Packed]:
    """Arrays by name, ready for a frame."""
    return {name: _packed(np.asarray(array)) for name, array in columns.items()}


def unpacked(columns: Mapping[str, Packed]) -> dict[str, NDArray[Any]]:
    """The arrays of a frame. Raises Garbled for what is none."""
    try:
        return {name: _unpacked(*column) for name, column in columns.items()}
    except (TypeError, ValueError) as error:
        raise Garbled(f"it sends what is no array: {error}") from error


def write(file: BinaryIO, message: Question | Load | Reply | Ready) -> None:
    """Send a message."""
    frame = msgspec.msgpack.encode(message, enc_hook=_plain)
    file.write(len(frame).to_bytes(LENGTH, "little") + frame)
    file.flush()


def read(file: BinaryIO, kind: type[T], most: int = MOST) -> T | None:
    """The next message, of so many bytes, or None where the other is gone. Raises Garbled."""
    head = file.read(LENGTH)
    if len(head) < LENGTH:
        return None
    size = int.from_bytes(head, "little")
    if size > most:
        raise Garbled(f"it sends a message of {size:,} bytes; {most:,} are read")
    try:
        return msgspec.msgpack.decode(file.read(size), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, BadSchema) as error:
        raise Garbled(f"it sends what is no message: {error}") from error


def _packed(array: NDArray[Any]) -> Packed:
    if array.dtype.kind in PLAIN:
        return array.dtype.str, array.shape, np.ascontiguousarray(array).tobytes()
    return "O", array.shape, array.ravel().tolist()


def _unpacked(dtype: str, shape: tuple[int, ...], content: Any) -> NDArray[Any]:
    if dtype != "O":
        return _plain_array(np.dtype(dtype), content).reshape(shape)
    if not isinstance(content, list):
        raise ValueError("its objects are no list")
    made = np.empty(len(content), dtype=object)
    made[:] = content
    return made.reshape(shape)


def _plain_array(dtype: "np.dtype[Any]", content: Any) -> NDArray[Any]:
    if dtype.kind not in PLAIN or dtype.fields or dtype.subdtype:
        raise ValueError(f"{dtype} is more than numbers or texts")
    if dtype.kind == "U":  # numpy looks at no letter
        letters = np.frombuffer(content, np.uint32)
        if np.any((letters > LAST_LETTER) | (letters >> 11 == SURROGATES >> 11)):
            raise ValueError("its texts are none")
    return np.frombuffer(content, dtype)


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value.tolist()
