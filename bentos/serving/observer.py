"""Whoever counts what the serving side does; metrics, in practice."""

from collections.abc import Mapping
from typing import Literal, Protocol

from bentos.refusal import Refusal
from bentos.serving.drift import Drift
from bentos.serving.release import Release

Erred = Literal["refused", "failed"]


class Observer(Protocol):
    """Hears of batches, swaps, refusals and looks. Called from several threads."""

    def queued(self, release: Release, rows: int) -> None:
        """So many rows waited when a batch began, or none any more."""
        ...

    def batched(self, release: Release, rows: int, seconds: float) -> None:
        """A batch ran."""
        ...

    def erred(self, release: Release, what: Erred) -> None:
        """A model gave a call no answer: it refused what is in it, or failed."""
        ...

    def failed(self, release: Release, how: str) -> None:
        """The process of a release failed."""
        ...

    def swapped(self, channel: str, before: Release | None, release: Release, what: str) -> None:
        """A release serves now, after a swap, a rollback or a restore."""
        ...

    def vacated(self, channel: str, release: Release) -> None:
        """A release left its slot, and none took its place."""
        ...

    def refused(self, model: str, refusal: Refusal) -> None:
        """A candidate was turned down."""
        ...

    def compared(self, challenger: str, agreed: bool) -> None:
        """A challenger, as `model/version`, answered a call that the champion answered too."""
        ...

    def tried(self, challenger: str, error: bool) -> None:
        """A canary answered a call, or a challenger failed at one."""
        ...

    def drifted(self, release: Release, found: Drift) -> None:
        """What came to a release of late, beside what is usual, is known anew."""
        ...

    def weighed(self, models: Mapping[str, int]) -> None:
        """So many bytes are what the open models of each name take in this process."""
        ...

    def looked(self, trouble: str) -> None:
        """A look at the registry ended, well when `trouble` is empty."""
        ...
