"""All processes that share a ledger judge a version together, by the sum of what each saw.

Each hands its evidence over every few seconds, and one of them judges all of it. What it finds is
written where all read it. A process that does not reach the ledger is told so, and judges alone.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from sqlite3 import Error as LedgerError

import msgspec

from bentos.loop import Loop
from bentos.promotion.findings import Findings
from bentos.promotion.pauses import backoff
from bentos.serving.evidence import Evidence, added, read, written

log = logging.getLogger(__name__)

EVERY = 2.0  # seconds
LONGEST_PAUSE = 30.0
LASTING = 15.0  # seconds after which nothing heard of the others is as if there were none
TRIM_EVERY = 600.0


@dataclass(frozen=True)
class Case:
    """A version that is watched here: what this process saw of it, and how that is judged.

    `subject` is the same in all processes. `judge` gives what speaks against it, if anything;
    None where this process lacks what it is to be compared with.
    """

    subject: str
    evidence: Evidence
    judge: Callable[[Evidence], str] | None


class Jury:
    """This process among those that judge, from `start` to `stop`.

    `cases` gives what is watched now; `found` is called when something was found.
    """

    def __init__(
        self,
        findings: Findings,
        me: str,
        cases: Callable[[], Sequence[Case]],
        found: Callable[[], None],
    ) -> None:
        self._findings = findings
        self._me = me
        self._cases = cases
        self._notify = found
        self._ahead = round(time.time() - time.monotonic())
        self._sat = -LASTING  # when it last went well
        self._trimmed = time.monotonic()
        self._said: dict[str, str] = {}
        self._found: dict[str, str] = {}
        self._forgotten: set[str] = set()
        self._loop = Loop(
            "the evidence of all replicas", self.sit, self._pause, (LedgerError,),
            "this process judges by its own",
        )  # fmt: skip

    @property
    def sits(self) -> bool:
        """Whether the others are heard."""
        return time.monotonic() - self._sat < LASTING

    def start(self) -> None:
        """Begin to sit."""
        self._loop.start()

    def stop(self, seconds: float = 0.0) -> None:
        """Sit no more."""
        self._loop.stop(seconds)

    def against(self, case: Case) -> str:
        """What speaks against a version, as all found, or this process where it is alone."""
        found = self._found.get(case.subject)
        if found and case.subject not in self._forgotten:
            return found
        return "" if self.sits or case.judge is None else case.judge(case.evidence)

    def forget(self, subject: str) -> None:
        """Let what was found against a version count no more: it has another chance."""
        self._forgotten.add(subject)

    def sit(self) -> None:
        """Hand over what was seen here, judge if nobody just did, and hear what was found.

        Raises sqlite3.Error.
        """
        self._let_go()
        cases = self._cases()
        said = {case.subject: written(case.evidence, self._ahead) for case in cases}
        if news := {s: words for s, words in said.items() if words != self._said.get(s)}:
            self._findings.tell(self._me, news)
        self._said = said
        for case in cases:
            if case.judge and case.subject not in self._found:
                self._judge(case, case.judge)
        known, self._found = self._found, self._findings.of(said)
        self._sat = time.monotonic()
        if self._found.keys() - known.keys():
            self._notify()

    def _let_go(self) -> None:
        for subject in list(self._forgotten):
            self._findings.forget(subject)
            self._said.pop(subject, None)
            self._found.pop(subject, None)
            self._forgotten.discard(subject)
        if time.monotonic() - self._trimmed > TRIM_EVERY:
            self._findings.trim()
            self._trimmed = time.monotonic()

    def _judge(self, case: Case, judge: Callable[[Evidence], str]) -> None:
        def judged(said: list[str]) -> str:
            words = judge(added(_readable(said)))
            count = f"{len(said)} process" if len(said) == 1 else f"{len(said)} processes"
            return f"{words} (as {count} counted)" if words else ""

        if words := self._findings.judge(case.subject, self._me, judged):
            log.warning("%s, of %s: that is said to all", words, case.subject)

    def _pause(self, failures: int) -> float:
        return backoff(failures, EVERY, LONGEST_PAUSE) if failures else EVERY


def _readable(said: Sequence[str]) -> list[Evidence]:
    """Evidence as far as this release of Ascenso can read it; of others, it may lack."""
    found = []
    for one in said:
        try:
            found.append(read(one))
        except (msgspec.DecodeError, TypeError):
            log.debug("evidence of another release of Ascenso is left out: %s", one)
    return found
