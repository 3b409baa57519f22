"""How long a batch of so many rows takes, as was measured of the live release."""

from bisect import bisect

from bentos.serving.release import Release

SMOOTHING = 0.2
HELPS = 0.8  # of the time: with half of the rows a batch must take less than this


class Pace:
    """Moving averages of the seconds that batches took, by their sizes in powers of two.

    The warm-up measured one row. A new release begins anew.
    """

    def __init__(self) -> None:
        self._release: Release | None = None
        self._seconds: dict[int, float] = {}

    def note(self, release: Release, rows: int, seconds: float) -> None:
        """A batch took so long."""
        if self._release is release:  # and none that took its place meanwhile
            size = rows.bit_length()
            before = self._seconds.get(size, seconds)
            self._seconds[size] = before + SMOOTHING * (seconds - before)

    def at_most(self, release: Release, rows: int) -> float:
        """Seconds; of a size that never ran by the next larger one, or else in proportion."""
        known, size = self._of(release), rows.bit_length()
        if size in known:
            return known[size]
        sizes = sorted(known)  # at once: another thread may add one
        if sizes[-1] > size:
            return known[sizes[bisect(sizes, size)]]
        return known[sizes[-1]] * 2.0 ** (size - sizes[-1])

    def at_least(self, release: Release, rows: int) -> float:
        """Seconds; of a size that never ran by the next smaller one."""
        known, size = self._of(release), rows.bit_length()
        if size in known:
            return known[size]
        sizes = sorted(known)
        return known[sizes[bisect(sizes, size) - 1]]

    def rows_within(self, release: Release, seconds: float, most: int) -> int:
        """How many rows take no longer than that, or less than `most` as far as fewer help.

        Sizes that never ran are taken for quick.
        """
        rows, taken = most, self.at_least(release, most)
        while rows > 1 and taken > seconds:
            half = self.at_least(release, rows // 2)
            if half > HELPS * taken:
                break
            rows, taken = rows // 2, half
        return rows

    def _of(self, release: Release) -> dict[int, float]:
        if self._release is not release:
            self._release, self._seconds = release, {1: release.row_seconds}
        return self._seconds
