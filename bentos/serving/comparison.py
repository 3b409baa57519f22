"""Whether a release does worse than the one before it, beyond what chance explains.

One bad second is none: failures must come in several, and of times a second counts once, however
many batches it had.
"""

from collections.abc import Sequence
from statistics import median

from bentos.serving.disputed import Disputed
from bentos.serving.record import Record, Second

CHANCE = 0.001  # the probability that a release which does as well is taken for worse
FEWEST_FAILURES, FEWEST_SECONDS = 5, 3
FAILING = 0.01  # more of the calls than before may fail
FEWEST_TIMES = 10  # seconds with batches, of both
MOST_TIMES = 60
BEFORE = "the release before"
SLOWER, SLOWER_SECONDS = 3.0, 0.01  # a batch may take so many times as long, or so much longer


def failing(new: Record, old: Record, other: str = BEFORE) -> str:
    """How many calls fail, if that are more than before; else nothing.

    A binomial test against what failed before, and one in a hundred more.
    """
    calls, failed = _counted(new.seconds())
    calls_before, failed_before = _counted(old.seconds())
    allowed = min(1.0, (failed_before / calls_before if calls_before else 0.0) + FAILING)
    if not _too_many(new, allowed):
        return ""
    return f"{failed} of {calls} calls failed; of {other}, {failed_before} of {calls_before}"


def refusing(new: Record, disputed: Disputed, before: str) -> str:
    """How many calls are refused that the release `before` answers, if too many; else nothing.

    A binomial test against one in a hundred calls. Of those that were refused, a part was asked
    again: so many calls count as have that part of the refused ones among them.
    """
    seconds = new.seconds()
    calls, refused = _counted(seconds)[0], sum(second.refused for second in seconds)
    asked, taken = disputed.asked, disputed.taken
    counted = max(asked, round(asked * (calls + refused) / max(1, refused)))
    if taken < FEWEST_FAILURES or len(disputed.seconds) < FEWEST_SECONDS:
        return ""
    from scipy.stats import binomtest

    if binomtest(taken, counted, FAILING, "greater").pvalue >= CHANCE:
        return ""
    return (
        f"refuses rows that version {before} answers: {taken} of {asked} calls that it was asked, "
        f"too; {refused} of {calls + refused} calls were refused"
    )


def slower(new: Record, old: Record, other: str = BEFORE) -> str:
    """How long batches take, if that is much longer than before; else nothing.

    A rank test of Mann and Whitney of the seconds' means against three times those before.
    """
    now, before = _times(new), _times(old)
    if min(len(now), len(before)) < FEWEST_TIMES:
        return ""
    middle, middle_before = median(now), median(before)
    if middle <= SLOWER * middle_before or middle - middle_before <= SLOWER_SECONDS:
        return ""
    from scipy.stats import mannwhitneyu

    bounds = [SLOWER * seconds for seconds in before]
    if mannwhitneyu(now, bounds, alternative="greater").pvalue >= CHANCE:
        return ""
    return f"a batch takes {1000 * middle:.3g} ms; of {other}, {1000 * middle_before:.3g} ms"


def differing(compared: Record, bound: float) -> str:
    """How many answers differ, if that is a larger share than `bound`; else nothing.

    A binomial test.
    """
    calls, differed = _counted(compared.seconds())
    if not _too_many(compared, bound):
        return ""
    return f"{differed} of {calls} answers differ from the champion's; {bound:.3g} of them may"


def _too_many(record: Record, allowed: float) -> bool:
    """Whether more calls failed than this share, in several seconds and beyond chance."""
    seconds = record.seconds()
    calls, failed = _counted(seconds)
    bad = sum(second.failed > 0 for second in seconds)
    if failed < FEWEST_FAILURES or bad < FEWEST_SECONDS or failed <= allowed * calls:
        return False
    from scipy.stats import binomtest

    return bool(binomtest(failed, calls, allowed, "greater").pvalue < CHANCE)


def _counted(seconds: Sequence[Second]) -> tuple[int, int]:
    return sum(second.calls for second in seconds), sum(second.failed for second in seconds)


def _times(record: Record) -> list[float]:
    """Means of the last seconds in which batches ran."""
    ran = [second for second in record.seconds() if second.batches]
    return [second.busy / second.batches for second in ran[-MOST_TIMES:]]
