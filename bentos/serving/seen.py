"""What calls showed of a challenger and its champion, side by side."""

from bentos.serving.evidence import Evidence, joined
from bentos.serving.record import Record, Second
from bentos.serving.release import Release


class Seen:
    """What the calls showed of two releases since they were side by side, in this process."""

    def __init__(self, challenger: Release | None, champion: Release | None) -> None:
        self.pair = challenger, champion
        self.challenger, self.champion, self.compared = Record(), Record(), Record()

    def are(self, challenger: Release | None, champion: Release | None) -> bool:
        """Whether these are the two."""
        return self.pair[0] is challenger and self.pair[1] is champion

    def evidence(self) -> Evidence:
        """With the times of their batches."""
        calls = self.challenger, self.champion
        new, old = (
            joined([seen, _times(release)]) for seen, release in zip(calls, self.pair, strict=True)
        )
        return Evidence(new, old, joined([self.compared]))


def _times(release: Release | None) -> Record:
    """The batches of a release by the second, without their calls."""
    seconds = release.record.seconds() if release else []
    return Record.of(Second(s.at, 0, 0, s.batches, s.busy) for s in seconds)
