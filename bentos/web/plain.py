"""Counts of calls as plain numbers, which are handed to Prometheus when it asks.

`prometheus_client` finds a child by its labels and writes to a mapped file at every count, which
takes as long as all else of a small call. Here a worker counts in its own memory and writes its
numbers to a folder now and then; the worker that is asked adds up those of all.
"""

import os
from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import TypeAlias

import msgspec
import psutil
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from bentos.files import written

Labels: TypeAlias = tuple[str, ...]
Values: TypeAlias = dict[Labels, list[float]]


class Plain(ABC):
    """Numbers by labels; `live` ones count only while the process that has them lives."""

    live = False

    def __init__(self, name: str, about: str, labels: Sequence[str]) -> None:
        self.name = name
        self.about = about
        self.labels = labels
        self.values: Values = {}
        self._lock = Lock()

    @abstractmethod
    def family(self, values: Mapping[Labels, Sequence[float]]) -> Metric:
        """Values as Prometheus has them."""


class Counter(Plain):
    """Counts what happens."""

    def add(self, labels: Labels, count: int = 1) -> None:
        """Count once, or so many times."""
        with self._lock:
            self.values.setdefault(labels, [0.0])[0] += count

    def family(self, values: Mapping[Labels, Sequence[float]]) -> Metric:
        """Values as Prometheus has them."""
        family = CounterMetricFamily(self.name, self.about, labels=self.labels)
        for labels, (count,) in values.items():
            family.add_metric(labels, count)
        return family


class Gauge(Plain):
    """Holds a number, which is added to those of the other workers that live."""

    live = True

    def set(self, labels: Labels, value: float) -> None:
        """Hold another number."""
        self.values[labels] = [value]

    def drop(self, labels: Labels) -> None:
        """Hold none any more."""
        self.values.pop(labels, None)

    def family(self, values: Mapping[Labels, Sequence[float]]) -> Metric:
        """Values as Prometheus has them."""
        family = GaugeMetricFamily(self.name, self.about, labels=self.labels)
        for labels, (value,) in values.items():
            family.add_metric(labels, value)
        return family


class Histogram(Plain):
    """Counts values by the smallest of `bounds` that they do not exceed, and sums them up."""

    def __init__(
        self, name: str, about: str, labels: Sequence[str], bounds: Sequence[float]
    ) -> None:
        super().__init__(name, about, labels)
        self.bounds = [float(bound) for bound in bounds]

    def observe(self, labels: Labels, value: float) -> None:
        """Count a value."""
        with self._lock:
            found = self.values.get(labels)
            if found is None:
                found = self.values[labels] = [0.0] * (len(self.bounds) + 2)
            found[bisect_left(self.bounds, value)] += 1  # that after all bounds is beyond them
            found[-1] += value

    def family(self, values: Mapping[Labels, Sequence[float]]) -> Metric:
        """Values as Prometheus has them."""
        family = HistogramMetricFamily(self.name, self.about, labels=self.labels)
        names = [*map(str, self.bounds), "+Inf"]
        for labels, (*counts, total) in values.items():
            sums = [sum(counts[: place + 1]) for place in range(len(counts))]
            family.add_metric(labels, list(zip(names, sums, strict=True)), total)
        return family


class Numbers(Collector):
    """All plain numbers of a process, and of the workers that share a folder with it."""

    def __init__(self, metrics: Iterable[Plain]) -> None:
        self.metrics = list(metrics)
        self._shared = b""

    def share(self, folder: Path) -> None:
        """Write the numbers of this process to a folder, if they have changed."""
        own = {metric.name: list(metric.values.copy().items()) for metric in self.metrics}
        content = msgspec.msgpack.encode(own)
        if content != self._shared:
            with written(folder / f"plain_{os.getpid()}.numbers") as file:
                file.write(content)
            self._shared = content

    def collect(self) -> Iterator[Metric]:
        """What Prometheus asks for."""
        for metric, values in self.totals():
            yield metric.family(values)

    def totals(self) -> Iterator[tuple[Plain, Values]]:
        """The numbers of this process, and those that others shared, of each metric."""
        others = list(_others(os.environ.get("PROMETHEUS_MULTIPROC_DIR")))
        for metric in self.metrics:
            values = {labels: [*numbers] for labels, numbers in metric.values.copy().items()}
            for alive, shared in others:
                if alive or not metric.live:
                    _add(values, shared.get(metric.name, []))
            yield metric, values


def _others(
    folder: str | None,
) -> Iterator[tuple[bool, dict[str, list[tuple[Labels, list[float]]]]]]:
    """Of each other worker whether it lives, and what it shared."""
    for path in Path(folder).glob("plain_*.numbers") if folder else ():
        pid = int(path.stem.removeprefix("plain_"))
        if pid != os.getpid():
            shared = msgspec.msgpack.decode(
                path.read_bytes(), type=dict[str, list[tuple[Labels, list[float]]]]
            )
            yield psutil.pid_exists(pid), shared


def _add(values: Values, more: Iterable[tuple[Labels, list[float]]]) -> None:
    for labels, numbers in more:
        known = values.get(labels)
        values[labels] = [a + b for a, b in zip(known, numbers, strict=True)] if known else numbers
