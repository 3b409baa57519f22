"""A candidate is asked what was really asked: it may not answer too much of it otherwise."""

from bentos.admission.verdict import Case
from bentos.refusal import Refusal
from bentos.serving.release import Release
from bentos.settings import Rules

NAMED = 5  # of the worst rows


def check_replay(release: Release, case: Case, rules: Rules) -> tuple[str, ...]:
    """Ask a release the recorded rows of its case, if there are any; give warnings.

    Raises Refusal where it answers more of them otherwise than `admission.replay_differing`.
    """
    if case.replay is None:
        return ()
    from bentos.recording.reader import copies  # which brings Arrow
    from bentos.recording.replay import compared
    from bentos.recording.replaying import CannotReplay

    tables = copies(case.replay)
    try:
        found = compared(tables, release, case.contract, rules.replay_tolerance).report
    except CannotReplay as error:
        return (f"it was not replayed: {error}",)
    if found.share <= rules.replay_differing:
        return ()
    worst = ", ".join(
        f"{row.id} ({row.column}: {row.before}, now {row.after})" if row.column else row.id
        for row in found.worst[:NAMED]
    )
    raise Refusal(
        "replay",
        f"{found.differing} of {found.rows} recorded rows are answered otherwise "
        f"({found.share:.1%}; admission.replay_differing is {rules.replay_differing:.1%}). The "
        f"worst: {worst}. `ascenso replay {found.model} {found.version}` shows more",
    )
