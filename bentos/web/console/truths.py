"""How good the answers were, as `ascenso label` measured it: metrics by day and version.

It keeps them as truth/metrics.json with the run of each version; see docs/recording.md.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from bentos.registry.client import Registry, RegistryUnavailable
from bentos.registry.runs import Run
from bentos.registry.sources import FileMissing, StoreUnavailable, open_source
from bentos.settings import RegistrySettings
from bentos.web.console.charts import Box, bars

FOLDER, FILE = "truth", "metrics.json"
MOST_BYTES = 1 << 20
MOST_BARS, FEWEST_PLACES = 90, 30


class Day(msgspec.Struct, frozen=True):
    """What was measured of a version on a day (UTC)."""

    day: str
    version: str
    rows: int
    metrics: dict[str, float]


class Truth(msgspec.Struct, frozen=True):
    """Of one column of the answers, so many `joined` to a truth, the oldest day first."""

    column: str
    joined: int
    days: tuple[Day, ...]


@dataclass(frozen=True)
class Course:
    """A metric over time: a bar for each day and version, up to the highest value."""

    name: str
    most: str
    last: str
    bars: Sequence[Box]


def read(registry: Registry, settings: RegistrySettings, run: Run) -> Truth | None:
    """What was kept with a run, if anything that can be read was."""
    try:
        source = open_source(registry, settings, f"{run.info.artifact_uri}/{FOLDER}")
        content = b"".join(_bounded(source.chunks(FILE)))
        return msgspec.json.decode(content, type=Truth)
    except (FileMissing, StoreUnavailable, RegistryUnavailable, msgspec.DecodeError):
        return None


def _bounded(chunks: Iterator[bytes]) -> Iterator[bytes]:
    left = MOST_BYTES
    for chunk in chunks:
        left -= len(chunk)
        if left < 0:
            raise StoreUnavailable(f"{FILE} has more than {MOST_BYTES} bytes")
        yield chunk


def courses(truth: Truth) -> list[Course]:
    """The metrics over the latest days, by their names."""
    names = sorted({name for day in truth.days for name in day.metrics})
    return [_course(name, [day for day in truth.days if name in day.metrics]) for name in names]


def _course(name: str, days: Sequence[Day]) -> Course:
    shown = days[-MOST_BARS:]
    values = [day.metrics[name] for day in shown]
    most = max(values)
    tips = [f"{day.day}, version {day.version}: {_of(day, name)}" for day in shown]
    free = max(0, FEWEST_PLACES - len(shown))
    drawn = bars([0.0] * free + values, most, [""] * free + tips)
    return Course(name, f"{most:.3g}", tips[-1], drawn)


def _of(day: Day, name: str) -> str:
    return f"{day.metrics[name]:.3g} over {day.rows:,} rows"
