"""The recorded rows that a candidate is asked at its admission, brought to this machine."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec import structs

from bentos.admission.verdict import Case
from bentos.registry.sources import StoreUnavailable
from bentos.settings import Settings
from bentos.settings.spans import span


@contextmanager
def with_recorded(case: Case, settings: Settings) -> Iterator[Case]:
    """The case, with the newest recorded rows of its model, if `admission.replay` wants them.

    Raises StoreUnavailable where they cannot be read.
    """
    rules = settings.admission
    if not rules.replay:
        yield case
        return
    with TemporaryDirectory(prefix="replay-") as folder:
        _bring(case.version.name, settings, Path(folder))
        yield structs.replace(case, replay=Path(folder))


def _bring(model: str, settings: Settings, folder: Path) -> None:
    import pyarrow as pa

    from bentos.recording.reader import copied, newest
    from bentos.recording.store import TROUBLES, Store

    try:
        settings.check_recording()
    except ValueError as error:
        raise StoreUnavailable(str(error)) from None
    rules, since = settings.admission, datetime.now(UTC) - span(settings.admission.replay)
    try:
        copied(newest(Store(settings.recording.uri), model, since, rules.replay_rows), folder)
    except (*TROUBLES, pa.ArrowInvalid) as error:
        raise StoreUnavailable(
            f"the recordings of {model} cannot be read, which admission.replay wants: {error}"
        ) from error
