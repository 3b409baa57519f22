"""What joblib packed, unpacked up to a limit. Nothing is asked for before it is there."""

import bz2
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from bentos.flavors.reading.errors import Damaged, Unreadable
from bentos.flavors.reading.limits import Limits

CHUNK = 1 << 20
DICTIONARY = 256 << 20  # an xz file may ask for 4 GB to unpack a few bytes


class Unpacker(Protocol):
    """What the standard library's decompressors have in common."""

    @property
    def eof(self) -> bool:
        """Whether all was unpacked."""
        ...

    @property
    def needs_input(self) -> bool:
        """Whether it has nothing left to unpack."""
        ...

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Up to so many bytes more."""
        ...


class Zlib:
    """zlib's and gzip's, in the form of the others."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(zlib.MAX_WBITS | 32)

    @property
    def eof(self) -> bool:
        """Whether all was unpacked."""
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        """Whether it has nothing left to unpack."""
        return not self._inner.unconsumed_tail

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Up to so many bytes more."""
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)


def _xz() -> Unpacker:
    return lzma.LZMADecompressor(memlimit=DICTIONARY)


def _lz4() -> Unpacker:
    try:
        from lz4.frame import LZ4FrameDecompressor
    except ImportError as error:
        raise Unreadable("the file is packed with lz4, which is not installed here") from error
    made: Unpacker = LZ4FrameDecompressor()
    return made


PACKED: dict[bytes, Callable[[], Unpacker]] = {
    b"\x78": Zlib,
    b"\x1f\x8b": Zlib,
    b"BZ": bz2.BZ2Decompressor,
    b"\xfd7zXZ": _xz,
    b"\x5d\x00": _xz,
    b"\x04\x22\x4d\x18": _lz4,
}


def unpacked(path: Path, limits: Limits) -> bytes:
    """The content of a file, unpacked where it is packed."""
    size = path.stat().st_size
    if size > limits.bytes:
        raise Damaged(f"the file has {size:,} bytes; {limits.bytes:,} are read")
    content = path.read_bytes()
    if content.startswith(b"ZF"):
        raise Unreadable("the file was written by a joblib before 0.10, of 2016: write it again")
    for start, make in PACKED.items():
        if content.startswith(start):
            return _unpack(content, make(), limits)
    return content


def _unpack(content: bytes, unpacker: Unpacker, limits: Limits) -> bytes:
    made, at = bytearray(), 0
    try:
        while not unpacker.eof:
            chunk = b""
            if unpacker.needs_input:
                chunk, at = content[at : at + CHUNK], at + CHUNK
                if not chunk:
                    raise Damaged("the file ends before what is packed in it")
            made += unpacker.decompress(chunk, CHUNK)
            if len(made) > limits.bytes:
                raise Damaged(f"the file unpacks to more than {limits.bytes:,} bytes")
    except (zlib.error, lzma.LZMAError, OSError, ValueError, RuntimeError, EOFError) as error:
        if isinstance(error, Unreadable):
            raise
        raise Damaged(f"the file is not packed as it says: {error}") from error
    return bytes(made)
