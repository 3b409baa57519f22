"""`ascenso replay`: a version asked what was really asked, and what would change."""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click
import msgspec
from pydantic import ValidationError

from bentos.cli.console import (
    Tell,
    console,
    for_scripts,
    json_option,
    outcome,
    progress,
    say,
    table,
)
from bentos.cli.errors import EXIT_CODES, Failed, Unreachable, serving_like
from bentos.cli.promotion import find, registry, registry_option
from bentos.refusal import Refusal
from bentos.registry.client import CallFailed, NotInRegistry, Registry, RegistryUnavailable
from bentos.registry.digests import signed
from bentos.registry.runs import Info, Runs
from bentos.registry.sources import FileMissing, StoreUnavailable
from bentos.settings import settings
from bentos.settings.spans import span
from bentos.version import Version

if TYPE_CHECKING:
    from bentos.recording.comparing import Report
    from bentos.recording.replay import Replayed
    from bentos.serving.release import Release

FOLDER = "replay"  # of the run's artifacts
EXPERIMENT = "ascenso"  # of runs for versions that are of none, as MLflow 3 makes them


class Since(click.ParamType[timedelta]):
    """A span of time, such as 7d."""

    name = "span"

    def convert(
        self, value: str | timedelta, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        """Raise BadParameter."""
        try:
            return value if isinstance(value, timedelta) else span(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


since_option = click.option(
    "--since", type=Since(), default="7d", show_default=True, metavar="SPAN",
    help="How far back: 7d, 12h, 30m.",
)  # fmt: skip
recordings_option = click.option(
    "--recordings", metavar="URI", help="Where they are kept.  [default: recording.uri]"
)


@click.command(epilog=EXIT_CODES)
@click.argument("model")
@click.argument("version", type=click.IntRange(min=1))
@since_option
@click.option(
    "--against", type=click.IntRange(min=1),
    help="A version to compare with.  [default: what was answered]",
)  # fmt: skip
@click.option(
    "--rows", "most", type=click.IntRange(min=1), default=10_000, show_default=True,
    help="The newest so many rows.",
)  # fmt: skip
@click.option(
    "--tolerance", type=click.FloatRange(min=0), default=0.01, show_default=True,
    help="Numbers that differ by no more, relative to what was answered, are equal.",
)  # fmt: skip
@recordings_option
@json_option
@registry_option
def replay(
    model: str,
    version: int,
    since: timedelta,
    against: int | None,
    most: int,
    tolerance: float,
    recordings: str | None,
    registry_uri: str | None,
) -> None:
    """Ask VERSION of MODEL what was really asked, and tell what would change.

    It is admitted on this machine as a service admits it. The report goes to the version's run in
    MLflow, with a picture.
    """
    with registry(registry_uri) as opened, errors(), serving_like("score"):
        from bentos.recording.replay import replayed  # Arrow and what opens models take seconds
        from bentos.recording.store import Store
        from bentos.scoring.model import contract_of

        found = signed(opened, find(opened, model, version))
        other = signed(opened, find(opened, model, against)) if against else None
        place, contract = Store(recordings or kept()), contract_of(model, settings())
        with progress() as tell, ExitStack() as judging:
            release = _admitted(opened, found, judging, tell)
            before = _admitted(opened, other, judging, tell) if other else None
            made = replayed(
                place, release, contract, datetime.now(UTC) - since, most, tolerance, before,
                lambda rows: tell(f"{rows} rows are compared"),
            )  # fmt: skip
        show(made.report)
        _log(opened, found, made)
        outcome(msgspec.json.decode(msgspec.json.encode(made.report)))  # no infinities


def _admitted(opened: Registry, version: Version, judging: ExitStack, tell: Tell) -> "Release":
    """A version as it would serve, also one that a replay at its admission would refuse."""
    from bentos.scoring.model import contract_of
    from bentos.scoring.model import judging as judged

    tell(f"Judging {version}")
    found = settings()
    contract = contract_of(version.name, found)
    try:
        return judging.enter_context(judged(opened, found)).admit(contract, version)
    except Refusal as refusal:
        if refusal.reason != "replay":
            raise
    without = found.admission.model_copy(update={"replay": ""})
    found = found.model_copy(update={"admission": without})
    return judging.enter_context(judged(opened, found)).admit(contract, version)


def kept() -> str:
    """Where recordings are kept. Raises Failed."""
    if uri := settings().recording.uri:
        return uri
    raise Failed("recording.uri says no place: set ASCENSO_RECORDING__URI, or give --recordings")


def show(report: "Report") -> None:
    """The report, for people."""
    say(
        f"{report.rows} rows, asked from {report.since} to {report.until}: "
        f"{report.equal} equal, {report.differing} differ ({report.share:.1%}), "
        f"{report.failed} of them without an answer"
    )
    if for_scripts():
        return
    for name, column in report.columns.items():
        say(f"\n{name}: {column.differing} differ")
        shown = table("before", f"version {report.version}", "rows")
        for before, after, rows in column.labels:
            shown.add_row(before, after, str(rows))
        if column.differences:
            shown = table("of the rows", "differ by up to")
            for quantile, value in column.differences.items():
                shown.add_row(f"{float(quantile):.0%}", f"{value:.6g}")
        console().print(shown)
    if report.worst:
        say("\nThe worst:")
        shown = table("call#row", "column", "before", f"version {report.version}")
        for row in report.worst:
            shown.add_row(row.id, row.column, row.before, row.after)
        console().print(shown)


def _log(opened: Registry, version: Version, made: "Replayed") -> None:
    from bentos.recording.drawing import replay as drawn

    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    files = {
        f"{FOLDER}/{stamp}.json": msgspec.json.encode(made.report),
        f"{FOLDER}/{stamp}.png": drawn(made.report, made.numbers),
    }
    log(opened, version, files)


def log(opened: Registry, version: Version, files: dict[str, bytes]) -> None:
    """Store files with the run of a version, or where it is of none, with a new one."""
    runs = Runs(opened.address)
    try:
        with closing(runs.http):
            run = _run(runs, version)
            for name, content in files.items():
                runs.put(run.artifact_uri, name, content)
    except (RegistryUnavailable, CallFailed, NotInRegistry) as error:
        raise Unreachable(f"The report is not logged: {error}") from error
    say(f"Logged to the run {run.run_id}: {', '.join(files)}")


def _run(runs: Runs, version: Version) -> Info:
    if version.run_id:
        return runs.run(version.run_id).info
    made = runs.create_run(runs.experiment(EXPERIMENT), str(version)).info
    runs.set_status(made.run_id, "FINISHED")
    return made


@contextmanager
def errors() -> Iterator[None]:
    """What goes wrong with recordings, as errors of a command."""
    from pyarrow import ArrowInvalid

    from bentos.recording.replaying import CannotReplay
    from bentos.recording.truth import NoTruth

    try:
        yield
    except (CannotReplay, NoTruth, ValidationError) as error:
        raise Failed(str(error)) from error
    except ArrowInvalid as error:
        raise Failed(f"a recording cannot be read: {error}") from error
    except (OSError, StoreUnavailable, FileMissing) as error:
        raise Unreachable(str(error)) from error
