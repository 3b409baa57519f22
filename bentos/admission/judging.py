"""One admission, from a fetched version to what is left on disk: what the child runs."""

import shutil
import time
from pathlib import Path

from msgspec import structs

from bentos.admission.budgets import grown_by, weight
from bentos.admission.cache import placed
from bentos.admission.columns import admit_by_schema
from bentos.admission.judge import admit
from bentos.admission.releases import open_release
from bentos.admission.replays import check_replay
from bentos.admission.verdict import Admitted, Case, Refused, Verdict, digests, write
from bentos.refusal import OF_MEMORY, Refusal, lacked_memory
from bentos.serving.failures import REASONS, Failing
from bentos.settings import ProcessSettings
from bentos.tracing.steps import step


def judge(case: Case) -> Verdict:
    """Judge a version, and leave at its place what that ended in, whole or not at all.

    Raises OSError where the disk is in the way.
    """
    with placed(case.place) as partial:
        verdict = _judged(case, partial)
        write(verdict, partial)
    return verdict


def _judged(case: Case, place: Path) -> Verdict:
    try:
        return _admitted(case, place)
    except MemoryError:
        refusal = OF_MEMORY
    except Failing as error:
        refusal = Refusal(REASONS[error.how], str(error))
    except Refusal as error:
        refusal = OF_MEMORY if lacked_memory(error) else error
    for path in place.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return Refused(case.key, refusal.reason, refusal.message)


def _admitted(case: Case, place: Path) -> Admitted:
    """Admitted, and opened once as workers will."""
    started = time.perf_counter()
    settings = case.settings
    kind = admit_by_schema if case.contract.by_schema else admit
    admitted = kind(case, settings, place)
    processes = ProcessSettings.model_validate_json(case.processes)
    with step("open"):
        release, grown = grown_by(lambda: open_release(case.version, admitted, place, processes))
    if release.process:
        grown += release.process.memory
    with step("replay"):
        warnings = (*admitted.warnings, *check_replay(release, case, settings))
    memory = max(grown, weight(place, admitted.runs, admitted.flavor))
    seconds = time.perf_counter() - started
    return structs.replace(
        admitted, opens=digests(place), memory=memory, seconds=seconds, warnings=warnings
    )
