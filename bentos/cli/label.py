"""`ascenso label`: the truth, joined to what was answered, and how good the answers were."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from bentos.cli.console import console, for_scripts, json_option, outcome, progress, say, table
from bentos.cli.errors import EXIT_CODES
from bentos.cli.promotion import find, registry, registry_option
from bentos.cli.replay import errors, kept, log, recordings_option, since_option
from bentos.registry.client import Registry

if TYPE_CHECKING:
    from bentos.recording.truth import Truth

FOLDER = "truth"  # of the runs' artifacts, and of the recordings
MOST = 1_000_000


@click.command(epilog=EXIT_CODES)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--model", required=True, help="Whose answers they are the truth of.")
@click.option("--column", default="", help="Of the answers, where there are several.")
@since_option
@recordings_option
@json_option
@registry_option
def label(
    file: Path,
    model: str,
    column: str,
    since: timedelta,
    recordings: str | None,
    registry_uri: str | None,
) -> None:
    """Keep the truths of FILE beside the recordings, and tell how good the answers were.

    FILE is a CSV or Parquet with the columns request (the x-request-id of a call), truth, and row
    where a call had several (from 0). Metrics are by day and version; with a picture, they go to
    each version's run in MLflow.
    """
    with registry(registry_uri) as opened, errors():
        from bentos.recording import truth  # Arrow takes a second
        from bentos.recording.reader import newest
        from bentos.recording.store import Store

        place = Store(recordings or kept())
        given = truth.read(file)
        with progress() as tell:
            tell(f"Reading what is recorded of {model}")
            tables = [*truth.known(place, model), given]
            recorded = newest(place, model, datetime.now(UTC) - since, MOST)
            found = truth.measured(model, tables, recorded, column)
        truth.store(place, model, given)
        written = msgspec.json.encode(found)
        truth.write(place, found)
        _show(found)
        if found.days:
            _log(opened, found, written)
        outcome(msgspec.to_builtins(found))


def _show(found: "Truth") -> None:
    say(f"{found.joined} answers have a truth, of {found.truths} truths that are known")
    if for_scripts() or not found.days:
        return
    names = sorted({name for day in found.days for name in day.metrics})
    shown = table("day", "version", "rows", *names)
    for day in found.days:
        values = (f"{day.metrics[name]:.4g}" if name in day.metrics else "" for name in names)
        shown.add_row(day.day, day.version, str(day.rows), *values)
    console().print(shown)


def _log(opened: Registry, found: "Truth", written: bytes) -> None:
    from bentos.recording.drawing import truth as drawn

    picture = drawn(found.days, found.model)
    for version in sorted({day.version for day in found.days}):
        files = {f"{FOLDER}/metrics.json": written, f"{FOLDER}/metrics.png": picture}
        log(opened, find(opened, found.model, int(version)), files)
