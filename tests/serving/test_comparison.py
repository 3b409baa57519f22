"""What counts as worse than before, and that chance alone does not."""

from collections.abc import Iterable, Sequence

import numpy as np
import pytest

from bentos.serving.comparison import differing, failing, refusing, slower
from bentos.serving.disputed import Call, Disputed
from bentos.serving.record import Record, Second


def failed(*seconds: tuple[int, int]) -> Record:
    """In each second so many calls, and so many of them that failed."""
    return recorded(Second(at, calls, bad) for at, (calls, bad) in enumerate(seconds))


def took(*milliseconds: float) -> Record:
    """In each second one batch."""
    return recorded(
        Second(at, 1, 0, 1, each / 1000) for at, each in enumerate(map(float, milliseconds))
    )


def recorded(seconds: Iterable[Second]) -> Record:
    record = Record()
    record._seconds.extend(seconds)
    return record


@pytest.mark.parametrize(
    ("new", "old", "worse"),
    [
        (failed((2, 2), (2, 2), (1, 1)), failed((100, 0)), True),
        (failed((2, 2), (2, 2), (1, 1)), failed(), True),
        (failed((500, 500), (500, 0)), failed((100, 0)), False),  # one bad second
        (failed(*[(100, 1)] * 60), failed(*[(100, 0)] * 60), False),  # one in a hundred may
        (failed(*[(100, 3)] * 60), failed(*[(100, 0)] * 60), True),
        (failed(*[(100, 3)] * 60), failed(*[(100, 3)] * 60), False),  # as before
        (failed(*[(2, 2)] * 2), failed((100, 0)), False),  # too few
        (failed(*[(10, 10)] * 60), failed(*[(10, 10)] * 60), False),
    ],
)
def test_what_counts_as_failing(new: Record, old: Record, worse: bool) -> None:
    assert bool(failing(new, old)) == worse


@pytest.mark.parametrize(
    ("new", "old", "worse"),
    [
        (took(*[60] * 10), took(*[10] * 10), True),
        (took(*[60] * 9), took(*[10] * 10), False),
        (took(*[60] * 10), took(*[10] * 9), False),
        (took(*[1] * 30, 9000), took(*[1] * 30), False),  # one bad second
        (took(*[25] * 60), took(*[10] * 60), False),  # less than three times
        (took(*[5] * 60), took(*[1] * 60), False),  # 4 ms more are no matter
        (took(*[60, 10] * 10), took(*[10] * 20), False),
        (took(*[60] * 60), took(*[10] * 600), True),
    ],
)
def test_what_counts_as_slower(new: Record, old: Record, worse: bool) -> None:
    assert bool(slower(new, old)) == worse


@pytest.mark.parametrize(
    ("calls", "refused", "asked", "taken", "seconds", "worse"),
    [
        (20, 10, 10, 10, 3, True),
        (20, 10, 10, 10, 2, False),  # one bad moment
        (20, 10, 10, 4, 3, False),  # too few
        (10**5, 10**5, 300, 5, 30, False),  # a bad caller, and one in a hundred
        (10**5, 10**5, 300, 30, 30, True),
        (10**5, 300, 300, 300, 60, False),
        (10**5, 3000, 300, 300, 60, True),  # of which a part was asked
        (10, 10, 0, 0, 0, False),
        (10, 0, 10, 10, 3, True),  # so long ago that they are forgotten
    ],
)
def test_what_counts_as_refusing(
    calls: int, refused: int, asked: int, taken: int, seconds: int, worse: bool
) -> None:
    disputed, record = Disputed(), recorded([Second(0, calls, refused=refused)])
    for number in range(asked):
        disputed.note(Call(number % max(1, seconds), []), number < taken)
    assert bool(refusing(record, disputed, "1")) == worse


def test_what_is_said_has_both_figures() -> None:
    said = failing(failed((2, 2), (2, 2), (2, 1)), failed((100, 1)))
    assert said == "5 of 6 calls failed; of the release before, 1 of 100"
    said = slower(took(*[60] * 10), took(*[10] * 10))
    assert said == "a batch takes 60 ms; of the release before, 10 ms"


def test_chance_takes_nothing_back() -> None:
    """Of releases that do just as well, each looked at every second for five minutes."""
    random = np.random.default_rng(0)
    for _ in range(20):
        times = random.lognormal(3, 1, size=(2, 300))
        errors = random.binomial(20, 0.02, size=(2, 300))
        old, before = took(*times[0]), failed(*[(20, int(bad)) for bad in errors[0]])
        for until in range(1, 300, 7):
            assert not slower(took(*times[1][:until]), old)
            now = failed(*[(20, int(bad)) for bad in errors[1][:until]])
            assert not failing(now, before)


@pytest.mark.parametrize(
    ("differ", "bound", "too_many"),
    [((1,) * 10, 0.05, True), ((1,) * 10, 0.4, False), ((5, 5), 0.05, False), ((), 0.0, False)],
)
def test_what_counts_as_disagreeing(differ: Sequence[int], bound: float, too_many: bool) -> None:
    compared = Record.of(Second(at, 5, bad) for at, bad in enumerate(differ))
    assert bool(differing(compared, bound)) == too_many
