"""What the calls of a model were in a span of time, and what is read from that."""

from collections.abc import Iterable

import msgspec

from bentos.web.metrics import SECONDS


class Counts(msgspec.Struct, array_like=True):
    """Calls, errors of ours, calls turned away, rows and batches.

    `times` counts the calls by how long they took, in the buckets of the metrics: as many as
    `SECONDS` has, and one for what took longer.
    """

    calls: float = 0
    errors: float = 0
    turned_away: float = 0
    rows: float = 0
    batches: float = 0
    times: list[float] = msgspec.field(default_factory=lambda: [0.0] * (len(SECONDS) + 1))

    def __bool__(self) -> bool:
        return any((self.calls, self.errors, self.turned_away, self.rows, self.batches))

    def plus(self, other: "Counts") -> "Counts":
        """Both together."""
        return _joined(self, other, 1)

    def minus(self, other: "Counts") -> "Counts":
        """What was added since, of numbers that only grow."""
        return _joined(self, other, -1)

    def quantile(self, share: float) -> float | None:
        """Within how many seconds that share of the calls was answered, or None without calls.

        Within a bucket they are taken to lie evenly, as Prometheus' `histogram_quantile` does.
        """
        wanted = share * sum(self.times)
        if not wanted:
            return None
        low = seen = 0.0
        for bound, count in zip(SECONDS, self.times, strict=False):
            if count and seen + count >= wanted:
                return low + (bound - low) * (wanted - seen) / count
            low, seen = bound, seen + count
        return low  # or more

    @property
    def failing(self) -> float | None:
        """The share of the calls that ended in an error of ours."""
        return self.errors / self.calls if self.calls else None

    @property
    def rejected(self) -> float | None:
        """The share of the calls that ended in an error of the caller."""
        return self.turned_away / self.calls if self.calls else None

    @property
    def batch(self) -> float | None:
        """Rows in a batch."""
        return self.rows / self.batches if self.batches else None


def total(many: Iterable[Counts]) -> Counts:
    """All together."""
    result = Counts()
    for one in many:
        result = result.plus(one)
    return result


def _joined(one: Counts, other: Counts, sign: int) -> Counts:
    def added(a: float, b: float) -> float:
        return max(0.0, a + sign * b)

    return Counts(
        added(one.calls, other.calls),
        added(one.errors, other.errors),
        added(one.turned_away, other.turned_away),
        added(one.rows, other.rows),
        added(one.batches, other.batches),
        list(map(added, one.times, other.times)),
    )
