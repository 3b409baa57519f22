"""Processes that judge a challenger by what all of them saw."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bentos.promotion import findings, jury
from bentos.promotion.findings import Findings
from bentos.promotion.jury import Case, Jury
from bentos.promotion.ledger import Ledger
from bentos.promotion.shared import Shared
from bentos.serving.comparison import differing, failing, slower
from bentos.serving.evidence import Evidence, added, read, written
from bentos.serving.record import Record, Second
from tests.serving.gate import Gate


@pytest.fixture(params=["file", "postgres"])
def meeting(
    request: pytest.FixtureRequest, tmp_path: Path, gate: tuple[Gate, str]
) -> Iterator[Findings]:
    """Where processes meet: in the file of a machine, or in PostgreSQL."""
    shared = Shared(gate[1]) if request.param == "postgres" else None
    yield Findings(Ledger(tmp_path / "ledger.db", shared).transaction)
    if shared:
        shared.close()


def calls(*failed: int, first: int = 0) -> Evidence:
    """Two calls a second, of which so many failed; the other release answered all of a hundred."""
    new = Record.of(Second(first + at, 2, bad) for at, bad in enumerate(failed))
    return Evidence(new, Record.of([Second(first, 100)]))


def worse(seen: Evidence) -> str:
    return failing(seen.new, seen.old)


class Process:
    """One of those that judge, with evidence of its own."""

    def __init__(self, meeting: Findings, name: str, evidence: Evidence, judges: bool) -> None:
        self.case = Case("gas/2", evidence, worse if judges else None)
        self.heard = 0
        self.jury = Jury(meeting, name, lambda: [self.case], self._hear)

    def _hear(self) -> None:
        self.heard += 1

    @property
    def against(self) -> str:
        return self.jury.against(self.case)


def test_together_they_find_what_none_finds_alone(
    meeting: Findings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(findings, "JUDGED_EVERY", 0.0)
    one = Process(meeting, "one", calls(1, 1), judges=True)
    two = Process(meeting, "two", calls(2, 1, first=2), judges=True)
    late = Process(meeting, "late", calls(), judges=False)  # without a release to compare with
    one.jury.sit()
    assert not worse(one.case.evidence)
    assert not worse(two.case.evidence)
    assert not one.against
    two.jury.sit()
    for process in (one, late):
        process.jury.sit()
    said = "5 of 8 calls failed; of the release before, 0 of 200 (as 2 processes counted)"
    assert [process.against for process in (one, two, late)] == [said] * 3
    assert [process.heard for process in (one, two, late)] == [1, 1, 1]
    one.jury.forget("gas/2")  # it was promoted anew
    assert not one.against
    one.case = Case("gas/2", calls(0), worse)
    for process in (one, two, late):
        process.jury.sit()
        assert not process.against


def test_one_judges_at_a_time(meeting: Findings) -> None:
    asked: list[str] = []

    def judged(said: list[str]) -> str:
        asked.extend(said)
        return ""

    meeting.tell("one", {"gas/3": "a"})
    meeting.tell("one", {"gas/3": "b"})
    meeting.judge("gas/3", "one", judged)
    meeting.judge("gas/3", "two", judged)  # too soon
    assert asked == ["b"]


def test_who_reaches_no_other_judges_alone(
    gate: tuple[Gate, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = Shared(gate[1])
    meeting = Findings(Ledger(tmp_path / "ledger.db", shared).transaction)
    few, enough = calls(1, 1), calls(2, 2, 2)
    alone = Process(meeting, "alone", few, judges=True)
    assert (alone.jury.sits, alone.against) == (False, "")
    alone.case = Case("gas/4", enough, worse)
    assert "6 of 6 calls failed" in alone.against
    alone.jury.sit()
    assert alone.jury.sits
    gate[0].shut()
    try:
        alone.jury._loop.look_safely()
        assert alone.jury.sits, "for a while"
        monkeypatch.setattr(jury, "LASTING", 0.0)
        alone.case = Case("gas/5", enough, worse)
        assert "6 of 6 calls failed" in alone.against
    finally:
        gate[0].open()
    shared.close()


def test_what_is_handed_over_leads_to_the_same_finding() -> None:
    """However long the record: seconds that matter are kept one by one, the rest as a sum."""
    seconds = [Second(at, 9, at % 50 == 0, 2, 0.5 + at / 1000) for at in range(600)]
    usual = [Second(at, 9, 0, 2, 0.01) for at in range(600)]
    evidence = Evidence(Record.of(seconds), Record.of(usual), Record.of(seconds))
    said = written(evidence, ahead=1_800_000_000)
    assert len(said) < 12_000
    again = added([read(said)])
    assert failing(again.new, again.old) == failing(evidence.new, evidence.old)
    assert slower(again.new, again.old) == slower(evidence.new, evidence.old)
    assert differing(again.compared, 0.01) == differing(evidence.compared, 0.01)
    doubled = added([read(said), read(said)])
    assert sum(s.calls for s in doubled.new.seconds()) == 2 * 9 * 600
    assert sum(s.failed > 0 for s in doubled.new.seconds()) == 12, "a second counts once"
