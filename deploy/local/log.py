"""What a server writes, kept in files that do not grow for ever."""

import asyncio
import logging
import os
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Self

BYTES = 10 * 1024 * 1024
BACKUPS = 3
LAST_WORDS_SECONDS = 1.0


class Log(asyncio.Protocol):
    """A pipe that ends in a file. All processes of a server write into the same one, in turn."""

    _transport: asyncio.BaseTransport

    def __init__(self, path: Path) -> None:
        self.inlet = -1
        self._file = RotatingFileHandler(path, "a", BYTES, BACKUPS, encoding="latin-1")
        self._file.terminator = ""
        self._ended = asyncio.Event()

    @classmethod
    async def open(cls, path: Path) -> Self:
        """Begin to copy what is written to `inlet`, a file descriptor."""
        log = cls(path)
        outlet, log.inlet = os.pipe()
        pipe = os.fdopen(outlet, "rb", 0)
        log._transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: log, pipe)
        return log

    def note(self, text: str) -> None:
        """Add a line of our own."""
        self.data_received(f"{text}\n".encode())

    async def close(self) -> None:
        """Copy what is in the pipe yet; a process that still holds it writes for nobody then."""
        os.close(self.inlet)
        try:
            await asyncio.wait_for(self._ended.wait(), LAST_WORDS_SECONDS)
        except TimeoutError:
            self._transport.close()
        self._file.close()

    def data_received(self, data: bytes) -> None:
        """Write bytes as they are: each is a character in latin-1."""
        self._file.emit(logging.makeLogRecord({"msg": data.decode("latin-1")}))

    def connection_lost(self, exc: Exception | None) -> None:
        """Every writer has gone."""
        self._ended.set()
