"""Models in processes of their own may fail: that is counted, and too often withdraws them."""

import time
from collections import deque
from collections.abc import Callable
from typing import Literal, NamedTuple

from bentos.refusal import Reason, Refusal

How = Literal["crash", "deadline", "memory", "answer"]
REASONS: dict[How, Reason] = {
    "crash": "crash", "deadline": "deadline", "memory": "memory", "answer": "samples",
}  # fmt: skip


class Failing(Exception):
    """A model's process failed, and is gone; the next call starts another one."""

    def __init__(self, how: How, message: str) -> None:
        super().__init__(message)
        self.how: How = how


class FailedTooOften(Exception):
    """A model's process failed too often; the message says what it did."""


class Patience(NamedTuple):
    """A model may fail `most` times in so many seconds, and not once more."""

    most: int = 5
    seconds: float = 600.0


USUAL = Patience()


class Failures:
    """When a model failed; once that was too often, `refusal` says so and stays."""

    def __init__(
        self, patience: Patience = USUAL, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._patience = patience
        self._clock = clock
        self._times: deque[float] = deque(maxlen=patience.most)
        self.refusal: Refusal | None = None

    @property
    def any(self) -> bool:
        """Whether it ever failed."""
        return bool(self._times)

    def note(self, error: Failing) -> None:
        """It failed once more."""
        most, seconds = self._patience
        self._times.append(self._clock())
        if len(self._times) == most and self._times[-1] - self._times[0] <= seconds:
            self.refusal = Refusal(
                REASONS[error.how],
                f"its process failed {most} times in {seconds / 60:g} minutes "
                f"(processes.failures), and serves no more; the last time {error}: mend the "
                "model, register it as a new version, and promote that",
            )

    def check(self) -> None:
        """Raise FailedTooOften for a model that failed too often."""
        if self.refusal:
            raise FailedTooOften(self.refusal.message)
