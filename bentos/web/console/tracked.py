"""What MLflow tells of what serves: the run that it is from, and how good its answers were."""

from functools import cached_property
from typing import Any

from anyio import move_on_after
from anyio.to_thread import run_sync

from bentos.registry.client import NotInRegistry, RegistryUnavailable
from bentos.registry.runs import Run, Runs
from bentos.serving.release import Release
from bentos.serving.slot import Slot
from bentos.settings import Settings
from bentos.web.console import truths
from bentos.web.console.templating import render

SECONDS = 2.0  # that a page waits for MLflow
MOST_METRICS = 100


class Tracked:
    """Asks MLflow for the pages of a service."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @cached_property
    def _runs(self) -> Runs:
        return Runs(self._settings.tracking_uri, SECONDS)

    async def of(self, slot: Slot[Any, Any]) -> tuple[Run | None, str]:
        """The run of what serves, if MLflow tells of it in time, and its answers' truth, drawn."""
        run = await run_sync(self._run, slot.live)
        truth = ""
        with move_on_after(SECONDS):
            truth = await run_sync(self._truth, run, slot.previous, abandon_on_cancel=True)
        return run, truth

    def _run(self, release: Release | None) -> Run | None:
        if release is None or not release.version.run_id:
            return None
        try:
            return self._runs.run(release.version.run_id)
        except (RegistryUnavailable, NotInRegistry):
            return None

    def _truth(self, run: Run | None, previous: Release | None) -> str:
        """That of the release before, while none is known of the one that serves."""
        return self._drawn(run) or self._drawn(self._run(previous))

    def _drawn(self, run: Run | None) -> str:
        found = truths.read(self._runs, self._settings.registry, run) if run else None
        if not (found and found.days):
            return ""
        return render("truth.html", truth=found, courses=truths.courses(found))


def metrics(run: Run | None) -> list[tuple[str, str]]:
    """The metrics of a run, by name."""
    found = run.data.metrics if run else ()
    return sorted((metric.key, str(metric.value)) for metric in found)[:MOST_METRICS]
