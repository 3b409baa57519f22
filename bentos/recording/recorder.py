"""The recorder: takes a share of the calls as they are answered, writes them in the background.

A call pays for a look at its size and one entry in a list. What finds no room is dropped and
counted.
"""

import logging
import os
import secrets
import socket
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count
from random import random
from threading import Lock
from typing import Any

import numpy as np
from pyarrow import parquet

from bentos.files import written
from bentos.loop import Loop
from bentos.recording.calls import Taken, day, table
from bentos.recording.sender import Sender, bytes_below
from bentos.serving.waiting import Part
from bentos.serving.witness import Seen
from bentos.settings import Settings
from bentos.tensors import Batch

log = logging.getLogger(__name__)

FOLDER = "recordings"  # in the home: what waits to be sent
LOOK_SECONDS = 1.0
STOP_SECONDS = 30.0
MOST_CUT = 1000
FULL = 0.25  # of the buffer: then it is written before its time

Count = Callable[[tuple[str, ...], int], None]


class Recorder:
    """A witness of all slots of a process.

    `kept` counts rows that were written, by model; `lost` those that were not, by model and why:
    `buffer` (they came faster than they could be written), `disk` (it has no room, or fails), or
    `error`, which the log has.
    """

    def __init__(self, settings: Settings, kept: Count, lost: Count) -> None:
        self._settings = settings
        self._recording = settings.recording
        self._key = settings.recording.secret()
        self._folder = settings.home / FOLDER
        self._kept, self._lost = kept, lost
        self._most = settings.recording.buffer_mb * 2**20
        self._taken: list[Taken] = []
        self._held = 0  # bytes
        self._lock = Lock()
        self._shares: dict[str, float] = {}
        self._cut: dict[int, str] = {}  # calls in several batches, by their identities
        self._written_at = time.monotonic()
        self._worker = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(2)}"
        self._calls, self._files = count(), count()
        self._loop = Loop(
            "the recorder", self._look, lambda failures: LOOK_SECONDS, (OSError,),
            "calls are dropped and counted",
        )  # fmt: skip
        self._sender = Sender(self._folder, settings.recording)

    @property
    def trouble(self) -> str:
        """Why recordings are not written, or not sent; empty when well."""
        return self._loop.trouble or self._sender.trouble

    def start(self) -> None:
        """Begin to write."""
        self._loop.start()
        self._sender.start()

    def stop(self) -> None:
        """Write what is there, and send it, if S3 takes it soon; else the next start does."""
        self._loop.stop(STOP_SECONDS)
        self.flush()
        self._sender.stop()

    def watches(self, model: str) -> bool:
        """Whether a share of the calls to a model is recorded."""
        return self._settings.recorded(model).share > 0

    def saw(self, seen: Seen) -> None:
        """Take the calls whose turn it is."""
        version = seen.release.version
        calls, places = self._drawn(seen, self._share(version.name))
        if not calls:
            return
        inputs, answers = seen.inputs, seen.answers
        if len(calls) < len(seen.parts):
            rows = np.concatenate(places)
            inputs, answers = _rows(inputs, rows), _rows(answers, rows)
        now = datetime.now(UTC)
        self._hand(Taken(version.name, version.version, now, calls, inputs, answers))

    def flush(self) -> None:
        """Write what was taken so far."""
        with self._lock:
            taken, self._taken, self._held = self._taken, [], 0
        self._written_at = time.monotonic()
        groups: dict[tuple[object, ...], list[Taken]] = {}
        for one in taken:
            groups.setdefault(one.kind, []).append(one)
        for group in groups.values():
            self._write(group)
        if groups:
            self._sender.wake()

    def _share(self, model: str) -> float:
        share = self._shares.get(model)
        if share is None:
            share = self._shares[model] = self._settings.recorded(model).share
        return share

    def _drawn(self, seen: Seen, share: float) -> tuple[list[tuple[str, int, int]], list[Any]]:
        """The calls whose turn it is, as in `Taken`, and where their rows are in the batch."""
        calls, places, at = [], [], 0
        for part in seen.parts:
            rows = part.size
            if name := self._id(part, share):
                calls.append((name, part.start, rows))
                places.append(np.arange(at, at + rows))
            at += rows
        return calls, places

    def _id(self, part: Part[Any, Any], share: float) -> str:
        """What the call of a part is recorded under, if it is its turn: that is drawn once."""
        key = id(part.call)
        if part.start:  # another batch had its first rows
            return (self._cut.pop(key, "") if part.ends else self._cut.get(key)) or ""
        drawn = share >= 1 or random() < share  # noqa: S311
        name = (part.call.name or f"{self._worker}-{next(self._calls)}") if drawn else ""
        if name and not part.ends:
            if len(self._cut) > MOST_CUT:  # of calls that were given up
                self._cut.clear()
            self._cut[key] = name
        return name

    def _hand(self, taken: Taken) -> None:
        size = weight(taken.inputs) + weight(taken.answers)
        with self._lock:
            fits = self._held + size <= self._most
            if fits:
                self._taken.append(taken)
                self._held += size
        if not fits:
            self._lost((taken.model, "buffer"), taken.inputs.size)
        elif self._held > FULL * self._most:
            self._loop.wake()

    def _look(self) -> None:
        due = time.monotonic() - self._written_at >= self._recording.flush_seconds
        if due or self._held > FULL * self._most:
            self.flush()

    def _write(self, taken: list[Taken]) -> None:
        """One file, or the rows are lost and counted."""
        model, rows = taken[0].model, sum(one.inputs.size for one in taken)
        try:
            if bytes_below(self._folder) > self._recording.disk_mb * 2**20:
                self._lost((model, "disk"), rows)
                return
            made = table(taken, self._settings.recorded(model), self._key)
            with written(self._folder / self._name(taken[0]), 0o600) as file:
                parquet.write_table(made, file, compression="zstd")
        except OSError:
            self._lost((model, "disk"), rows)
            log.exception("%s rows of %s cannot be written", rows, model)
        except Exception:
            self._lost((model, "error"), rows)
            log.exception("%s rows of %s cannot be recorded", rows, model)
        else:
            self._kept((model,), rows)

    def _name(self, taken: Taken) -> str:
        name = f"{taken.time:%Y%m%dT%H%M%S}-{self._worker}-{next(self._files)}.parquet"
        return f"{day(taken.model, taken.time)}/{name}"


def weight(batch: Batch) -> int:
    """The bytes of a batch in memory, about."""
    return sum(
        values.nbytes + (sum(map(_size, values.flat)) if values.dtype == object else 0)
        for values in batch.values()
    )


def _size(value: Any) -> int:
    if isinstance(value, dict):
        return sys.getsizeof(value) + sum(map(_size, value.values()))
    return sys.getsizeof(value) + (
        sum(map(_size, value)) if isinstance(value, list | tuple) else 0
    )


def _rows(batch: Batch, rows: Any) -> Batch:
    return Batch({name: values[rows] for name, values in batch.items()})
