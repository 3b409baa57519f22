"""The replicas that share a ledger: each says what it serves, and hears what others ask for."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from msgspec.structs import replace

from bentos.loop import Loop
from bentos.promotion.ledger import Ledger
from bentos.promotion.pauses import backoff
from bentos.promotion.postgres import SharedAway
from bentos.promotion.shared import Replica, Serving, Shared
from bentos.serving.release import Release
from bentos.serving.slot import Slot

BEAT_SECONDS = 2.0
LONGEST_PAUSE = 30.0
QUIET = timedelta(seconds=15)  # after which a replica is no more


class Fleet:
    """This process among all replicas, from `start` to `stop`.

    `slots` gives what it serves now; `asked` is called when another replica wants all to look.
    """

    def __init__(
        self,
        ledger: Ledger,
        shared: Shared,
        me: str,
        slots: Callable[[], Sequence[Slot[Any, Any]]],
        asked: Callable[[], None],
    ) -> None:
        self.replicas: list[Replica] = []  # as of the last beat
        self._ledger = ledger
        self._shared = shared
        self._me = me
        self._slots = slots
        self._asked = asked
        self._heard: int | None = None  # the last wish
        self._loop = Loop(
            "the shared ledger", self.beat, self._pause, (SharedAway,), "its lines wait on disk",
            end=self._leave,
        )  # fmt: skip

    @property
    def trouble(self) -> str:
        """Why the last beat failed, and what waits for the next; empty when well."""
        if not self._loop.failures:
            return ""
        return f"the ledger is not shared now, its lines wait on disk: {self._loop.trouble}"

    def start(self) -> None:
        """Begin to beat."""
        self._loop.start()

    def stop(self, seconds: float) -> None:
        """Leave the fleet."""
        self._loop.stop(seconds)

    def beat(self) -> None:
        """Send what waits, say what serves, and hear what is asked for. Raises SharedAway."""
        self._ledger.trim()
        self._ledger.send()
        self._shared.beat(self._me, [one for slot in self._slots() for one in serving(slot)])
        self.replicas = self._shared.fleet(QUIET)
        wished = self._shared.wished()
        if self._heard is not None and wished > self._heard:
            self._asked()
        self._heard = wished

    def of(self, slot: Slot[Any, Any]) -> list[Serving]:
        """What each replica says that serves what the slot does."""
        if slot.live is None:
            return []
        here = slot.name, str(slot.channel), slot.live.version.version
        return [
            one
            for replica in self.replicas
            for one in replica.serves
            if (one.model, one.channel, one.version) == here
        ]

    def ask_all(self) -> None:
        """Let all replicas look at the registry. Raises SharedAway."""
        self._heard = self._shared.wish(self._me)

    def _pause(self, failures: int) -> float:
        return backoff(failures, BEAT_SECONDS, LONGEST_PAUSE) if failures else BEAT_SECONDS

    def _leave(self) -> None:
        try:
            self._ledger.send()
            self._shared.leave(self._me)
        except SharedAway:
            pass  # the others see that it is quiet
        self._shared.close()


def serving(slot: Slot[Any, Any]) -> list[Serving]:
    """What a slot serves, and its challenger, with what calls showed of that."""
    found = []
    if slot.live:
        found.append(_serving(slot, slot.live))
    if slot.trial and slot.trial.slot.live:
        counts = slot.trial.report()
        tried = _serving(slot.trial.slot, slot.trial.slot.live)
        told = {name: counts[name] for name in ("compared", "agreed", "answered", "errors")}
        found.append(replace(tried, **told))
    return found


def _serving(slot: Slot[Any, Any], live: Release) -> Serving:
    since = live.since.isoformat(timespec="milliseconds")
    return Serving(slot.name, str(slot.channel), live.version.version, since)
