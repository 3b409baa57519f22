"""Counts what the serving side reports."""

from collections.abc import Iterator, Mapping
from typing import get_args

from bentos.refusal import Reason, Refusal
from bentos.serving.drift import Drift
from bentos.serving.observer import Erred
from bentos.serving.release import Release
from bentos.web import plain
from bentos.web.exposition import share
from bentos.web.metrics import (
    ADMISSION_SECONDS,
    BATCH_ROWS,
    BATCH_SECONDS,
    COMPARED,
    DEGRADED,
    DRIFT_COLUMNS,
    DRIFT_PSI,
    DRIFT_ROWS,
    DRIFT_SHARE,
    ERRORS,
    FAILURES,
    LIVE,
    LOOKED_AT,
    MODEL_BYTES,
    QUEUE_ROWS,
    REFUSALS,
    SWAPS,
    TRIED,
)


class Metrics:
    """Counts what the serving side reports; an Observer.

    Of a model that is known from the start, refusals and errors count from 0, so that the first
    is seen.
    """

    _told: tuple[tuple[plain.Gauge, plain.Labels], ...] = ()  # of columns

    def __init__(self, model: str | None = None) -> None:
        for reason in get_args(Reason) if model else ():
            REFUSALS.labels(model, reason)
        for what in get_args(Erred) if model else ():
            ERRORS.labels(model, what)

    def queued(self, release: Release, rows: int) -> None:
        """A batch begins, or the queue ran dry."""
        QUEUE_ROWS.set((release.version.name,), rows)

    def batched(self, release: Release, rows: int, seconds: float) -> None:
        """A batch ran."""
        model = (release.version.name,)
        BATCH_ROWS.observe(model, rows)
        BATCH_SECONDS.observe(model, seconds)

    def failed(self, release: Release, how: str) -> None:
        """The process of a release failed."""
        FAILURES.labels(release.version.name, how).inc()

    def erred(self, release: Release, what: Erred) -> None:
        """A model gave a call no answer."""
        ERRORS.labels(release.version.name, what).inc()

    def swapped(self, channel: str, before: Release | None, release: Release, what: str) -> None:
        """A release serves now."""
        model = release.version.name
        if before:
            LIVE.labels(model, channel, before.version.version).set(0)
        LIVE.labels(model, channel, release.version.version).set(1)
        SWAPS.labels(model, what).inc()
        if what != "rollback":
            ADMISSION_SECONDS.labels(model).observe(release.admission_seconds)

    def vacated(self, channel: str, release: Release) -> None:
        """A release left its slot."""
        self._forget()
        LIVE.labels(release.version.name, channel, release.version.version).set(0)

    def refused(self, model: str, refusal: Refusal) -> None:
        """A candidate was turned down."""
        REFUSALS.labels(model, refusal.reason).inc()

    def compared(self, challenger: str, agreed: bool) -> None:
        """A challenger answered a call that the champion answered too."""
        COMPARED.labels(*challenger.rsplit("/", 1), str(agreed).lower()).inc()

    def tried(self, challenger: str, error: bool) -> None:
        """A canary answered a call, or a challenger failed at one."""
        TRIED.labels(*challenger.rsplit("/", 1), str(error).lower()).inc()

    def drifted(self, release: Release, found: Drift) -> None:
        """What came to a release of late, beside what is usual, is known anew."""
        self._forget()
        told = list(drifts(release, found))
        for gauge, labels, value in told:
            gauge.set(labels, value)
        self._told = tuple((gauge, labels) for gauge, labels, _ in told)

    def _forget(self) -> None:
        """Tell no more of columns, which may be those of another version."""
        for gauge, labels in self._told:
            gauge.drop(labels)
        self._told = ()

    def weighed(self, models: Mapping[str, int]) -> None:
        """So much memory do the open models of this process take."""
        MODEL_BYTES.values = {(name,): [float(size)] for name, size in models.items() if size}

    def looked(self, trouble: str) -> None:
        """A look at the registry ended."""
        DEGRADED.set(1 if trouble else 0)
        if not trouble:
            LOOKED_AT.set_to_current_time()
        share()


def drifts(release: Release, found: Drift) -> Iterator[tuple[plain.Gauge, plain.Labels, float]]:
    """The numbers of the columns that are shifted most."""
    model = release.version.name
    yield DRIFT_ROWS, (model,), found.rows
    for side, columns in (("inputs", found.columns), ("outputs", found.outputs)):
        worst = sorted(columns, key=lambda name: -(columns[name].psi or 0))[:DRIFT_COLUMNS]
        for name in worst:
            column, labels = columns[name], (model, side, name)
            if column.psi is not None:
                yield DRIFT_PSI, labels, column.psi
            for what in ("missing", "unknown", "outside"):
                share = getattr(column, what)
                if share is not None:
                    yield DRIFT_SHARE, (*labels, what), share
