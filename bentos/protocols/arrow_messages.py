"""What the messages of an Arrow stream hold, before any of it is unpacked.

Format: https://arrow.apache.org/docs/format/Columnar.html#serialization-and-interprocess-communication-ipc,
whose metadata are flatbuffers (`Message.fbs`).
"""

import struct
from struct import unpack_from
from typing import NamedTuple

import pyarrow as pa

from bentos.tensors import BadInput

HEADER, DICTIONARY_DATA = 2, 1  # fields of Message and DictionaryBatch
LENGTH, NODES, BUFFERS, COMPRESSION = range(4)  # fields of RecordBatch
PAIR = 16  # bytes of two int64: a node's length and nulls, a buffer's offset and length


class Held(NamedTuple):
    """The rows of a stream, and the values in all its columns and dictionaries."""

    rows: int
    values: int


def held(body: bytes) -> Held:
    """What a stream holds.

    Raises BadInput for what is no stream, whose values are packed, or stand for more than are
    there: buffers that lie over each other.
    """
    rows = values = 0
    try:
        for message in pa.ipc.MessageReader.open_stream(pa.BufferReader(body)):
            if message.type not in ("record batch", "dictionary"):
                continue
            flat = bytes(message.metadata)
            batch = _follow(flat, _field(flat, _follow(flat, 0), HEADER))
            if message.type == "dictionary":
                batch = _follow(flat, _field(flat, batch, DICTIONARY_DATA))
            else:
                rows += _number(flat, _field(flat, batch, LENGTH))
            _check_buffers(flat, batch)
            values += sum(length for length, _ in _pairs(flat, _field(flat, batch, NODES)))
    except (pa.ArrowException, OSError, ValueError, struct.error) as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(f"the body is no stream of Arrow: {error}") from None
    return Held(rows, values)


def _check_buffers(flat: bytes, batch: int) -> None:
    if _field(flat, batch, COMPRESSION):
        raise BadInput("the values are compressed: write the stream without, or gzip the body")
    end = 0
    for offset, length in _pairs(flat, _field(flat, batch, BUFFERS)):
        if length and offset < end:
            raise BadInput("the body is no stream of Arrow: its buffers lie over each other")
        end = max(end, offset + length)


def _field(flat: bytes, table: int, number: int) -> int:
    """Where a field of a table is, or 0 for one that is not there."""
    (back,) = unpack_from("<i", flat, table)
    vtable, entry = table - back, 4 + 2 * number
    (size,) = unpack_from("<H", flat, vtable)
    (offset,) = unpack_from("<H", flat, vtable + entry) if entry < size else (0,)
    return table + offset if offset else 0


def _follow(flat: bytes, at: int) -> int:
    return at + int(unpack_from("<I", flat, at)[0])


def _number(flat: bytes, at: int) -> int:
    number = unpack_from("<q", flat, at)[0] if at else 0
    if number < 0:
        raise ValueError(f"a batch of {number} rows")
    return int(number)


def _pairs(flat: bytes, at: int) -> list[tuple[int, int]]:
    """The elements of a vector of pairs."""
    if not at:
        return []
    start = _follow(flat, at)
    (count,) = unpack_from("<I", flat, start)
    return [
        (_number(flat, start + 4 + PAIR * each), _number(flat, start + 12 + PAIR * each))
        for each in range(count)
    ]
