"""A client that calls at a steady pace, whatever happens, and remembers every answer."""

import asyncio
import os
import time
from dataclasses import dataclass
from itertools import count
from threading import Event, Thread
from types import TracebackType
from typing import Any, Self

import httpx

from tests.e2e.versions import Versions
from tests.stack import wait_for

SLOWNESS = 5  # of a machine under test, beside the figures that the tests tell


@dataclass(frozen=True)
class Call:
    """One call: due and answered on the monotonic clock, with the version in its header."""

    due: float
    answered: float
    version: str
    error: str = ""
    wrong: str = ""

    @property
    def seconds(self) -> float:
        """From the time when it should have been sent: a stalled client hides nothing."""
        return self.answered - self.due


class Caller:
    """Calls `url` so many times a second, from entering to leaving it.

    Every third call sends several readings: all must be answered by one version.
    """

    def __init__(self, url: str, versions: Versions, rate: float) -> None:
        self.calls: list[Call] = []
        self._url = url
        self._versions = versions
        self._rate = rate
        self._leaving = Event()
        self._thread = Thread(target=lambda: asyncio.run(self._go_on()), name="caller")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        self._leaving.set()
        self._thread.join()

    @property
    def errors(self) -> list[str]:
        return [call.error for call in self.calls if call.error]

    @property
    def wrong(self) -> list[str]:
        return [call.wrong for call in self.calls if call.wrong]

    @property
    def version(self) -> str:
        """The version of the latest good answer."""
        return next((call.version for call in reversed(self.calls) if not call.error), "")

    def wait_for(self, version: str, seconds: float = 180) -> None:
        """Return once this version answers. Raises `TimeoutError`."""
        wait_for(lambda: self.version == version, seconds)

    def first(self, version: str, since: float) -> float:
        """Seconds from then until the first answer of a version."""
        return min(call.answered for call in self.calls if call.version == version) - since

    def answered_since(self, then: float) -> bool:
        """Whether a call that was due after then has been answered well."""
        return any(call.due > then and not call.error for call in self.calls[-50:])

    async def _go_on(self) -> None:
        began = time.monotonic()
        async with (
            httpx.AsyncClient(timeout=180, trust_env=False) as client,
            asyncio.TaskGroup() as calls,
        ):
            for number in count():
                due = began + number / self._rate
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                if self._leaving.is_set():
                    return
                calls.create_task(self._call(client, number, due))

    async def _call(self, client: httpx.AsyncClient, number: int, due: float) -> None:
        rows = self._versions.rows
        first = number % len(rows)
        some = range(first, min(first + 5, len(rows)))
        body: Any = [rows[i] for i in some] if number % 3 == 0 else rows[first]
        try:
            answer = await client.post(self._url, json=body)
        except httpx.HTTPError as error:
            self.calls.append(Call(due, time.monotonic(), "", repr(error)))
            return
        answered = time.monotonic()
        version = answer.headers.get("x-model-version", "").rpartition("/")[2]
        if answer.status_code != httpx.codes.OK or version not in self._versions.answers:
            self.calls.append(Call(due, answered, "", f"{answer.status_code}: {answer.text}"))
            return
        answers = self._versions.answers[version]
        expected: Any = [answers[i] for i in some] if number % 3 == 0 else answers[first]
        said = answer.json()
        wrong = "" if said == expected else f"{version} said {said} to {body}, not {expected}"
        self.calls.append(Call(due, answered, version, wrong=wrong))


def p99(calls: list[Call]) -> float:
    """The 99th percentile of the calls' times, in ms."""
    seconds = sorted(call.seconds for call in calls)
    return seconds[int(len(seconds) * 0.99)] * 1000


def allowed(seconds: float) -> float:
    """What a promise of so many seconds allows on a machine that is busy with other things."""
    busy = os.getloadavg()[0] / (os.cpu_count() or 1)
    return SLOWNESS * seconds * max(1.0, busy)
