"""What a release showed of late: its calls, their failures, and how long its batches took."""

import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

SECONDS = 600  # in which it was called, and that are remembered


@dataclass(slots=True)
class Second:
    """What happened in one second; `busy` is the seconds that its batches took together.

    The `refused` calls, whose rows the model would not take, are none of the `calls`.
    """

    at: int
    calls: int = 0
    failed: int = 0
    batches: int = 0
    busy: float = 0.0
    refused: int = 0


class Record:
    """The last ten minutes of a release. Written for each batch, by one thread at a time."""

    def __init__(self) -> None:
        self._seconds: deque[Second] = deque(maxlen=SECONDS)

    @classmethod
    def of(cls, seconds: Iterable[Second]) -> "Record":
        """What happened in these seconds; those that are the same count as one."""
        record, known = cls(), dict[int, Second]()
        for second in seconds:
            one = known.setdefault(second.at, Second(second.at))
            one.calls += second.calls
            one.failed += second.failed
            one.batches += second.batches
            one.busy += second.busy
        record._seconds = deque(known[at] for at in sorted(known))
        return record

    def answered(self, calls: int, seconds: float) -> None:
        """Note a batch that answered so many calls, and how long it took."""
        now = self._now()
        now.calls += calls
        now.batches += 1
        now.busy += seconds

    def went_well(self) -> None:
        """Note a call that was answered, and no batch."""
        self._now().calls += 1

    def failed(self) -> None:
        """Note a call that the model failed at, and not its caller."""
        now = self._now()
        now.calls += 1
        now.failed += 1

    def refused(self) -> None:
        """Note a call whose rows the model would not take, whoever is to blame."""
        self._now().refused += 1

    def seconds(self) -> list[Second]:
        """Those in which it was called, the oldest first."""
        return list(self._seconds)

    def _now(self) -> Second:
        at = int(time.monotonic())
        if not self._seconds or self._seconds[-1].at != at:
            self._seconds.append(Second(at))
        return self._seconds[-1]
