"""A file on its way to disk, which many read while it comes."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO

from anyio.to_thread import run_sync

from bentos.relay import metrics

CHUNK = 1024 * 1024


class BrokenOff(Exception):
    """The file did not come whole, or is not what came: whoever reads it has to ask again."""


class Download:
    """A file that `fill` writes to `path`; `digest` is its SHA-256 in hex once it is whole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self.digest = ""
        self.length: int | None = None  # of the whole file, where the server says it
        self.failed = False
        # Whether the server gives it at all.
        self.begun: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._more = asyncio.Condition()

    async def fill(self, chunks: AsyncIterator[bytes]) -> None:
        """Write what comes. Raises what `chunks` raises, OSError and BrokenOff."""
        total = hashlib.sha256()
        try:
            with self.path.open("wb", buffering=0) as file:
                self.begun.set_result(True)
                async for chunk in chunks:
                    await run_sync(file.write, chunk)
                    await run_sync(total.update, chunk)
                    metrics.FETCHED.inc(len(chunk))
                    await self._tell(len(chunk))
            if self.length not in (None, self.size):
                raise BrokenOff(f"{self.size} of {self.length} bytes came")
            self.digest, self.length = total.hexdigest(), self.size
        finally:
            self.failed = not self.digest
            await self._tell(0)

    async def chunks(self) -> AsyncIterator[bytes]:
        """What has come and comes. Raises BrokenOff."""
        given, total = 0, hashlib.sha256()
        try:
            with self.path.open("rb") as file:
                while not await self._is_all(given):
                    chunk = await run_sync(_next, file, self.size - given, total)
                    given += len(chunk)
                    if not chunk or (given == self.size and self._differs(total)):
                        raise BrokenOff(f"{self.path} is not what came")
                    metrics.BYTES.labels("files").inc(len(chunk))
                    yield chunk
        except FileNotFoundError as error:  # there was no room for it
            raise BrokenOff(str(self.path)) from error

    def _differs(self, total: "hashlib._Hash") -> bool:
        self.failed = self.failed or (bool(self.digest) and total.hexdigest() != self.digest)
        return self.failed

    async def _is_all(self, given: int) -> bool:
        """Wait until there is more than was given, or that was all."""
        async with self._more:
            await self._more.wait_for(lambda: self.size > given or self.digest or self.failed)
        if self.failed:
            raise BrokenOff(self.path.name)
        return given == self.size

    async def _tell(self, more: int) -> None:
        async with self._more:
            self.size += more
            self._more.notify_all()


def _next(file: BinaryIO, left: int, total: "hashlib._Hash") -> bytes:
    chunk = file.read(min(CHUNK, left))
    total.update(chunk)
    return chunk
