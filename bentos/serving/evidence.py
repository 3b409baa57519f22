"""What calls showed of a release beside another one, small enough to be handed from one process
to another. That of several processes adds up: seconds are told by the clock on the wall.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

import msgspec

from bentos.serving.record import Record, Second

KEPT = 60  # seconds that are told one by one, and as many more in which calls failed
REST = 0  # the second that stands for all others

Row: TypeAlias = tuple[int, int, int, int, float]  # as a Second has them


@dataclass(frozen=True)
class Evidence:
    """Of a release that is judged, the `new` one, and of the `old` one beside it.

    Of the calls that were `compared`, those whose answers differed count as failed.
    """

    new: Record
    old: Record
    compared: Record = field(default_factory=Record)


def written(evidence: Evidence, ahead: int) -> str:
    """As JSON. The wall clock is so many seconds ahead of the clock of the records."""
    records = evidence.new, evidence.old, evidence.compared
    return msgspec.json.encode([_rows(record, ahead) for record in records]).decode()


def read(said: str) -> Evidence:
    """Evidence that was written. Raises msgspec.DecodeError."""
    rows = msgspec.json.decode(said, type=tuple[list[Row], list[Row], list[Row]])
    return Evidence(*(Record.of(Second(*row) for row in part) for part in rows))


def added(parts: Iterable[Evidence]) -> Evidence:
    """That of several processes together."""
    all_of = list(parts)
    return Evidence(
        joined(part.new for part in all_of),
        joined(part.old for part in all_of),
        joined(part.compared for part in all_of),
    )


def joined(records: Iterable[Record]) -> Record:
    """Records of the same seconds as one."""
    return Record.of(second for record in records for second in record.seconds())


def _rows(record: Record, ahead: int) -> list[Row]:
    """Its last seconds, the last ones before in which calls failed, and the rest in one."""
    seconds = record.seconds()
    earlier, last = seconds[:-KEPT], seconds[-KEPT:]
    bad = [second for second in earlier if second.failed][-KEPT:]
    kept = {second.at for second in bad}
    rest = [second for second in earlier if second.at not in kept]
    folded = (sum(s.calls for s in rest), sum(s.failed for s in rest), 0, 0.0)
    rows = [_row(second, ahead) for second in (*bad, *last)]
    return [(REST, *folded), *rows] if rest else rows


def _row(second: Second, ahead: int) -> Row:
    busy = round(second.busy, 6)
    return second.at + ahead, second.calls, second.failed, second.batches, busy
