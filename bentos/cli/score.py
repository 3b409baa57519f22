"""`ascenso score`: the promoted version over a whole table."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
from pydantic import ValidationError
from tqdm import tqdm

from bentos.cli.errors import EXIT_CODES, Failed, Unreachable, serving_like
from bentos.cli.promotion import registry, registry_option
from bentos.registry.sources import FileMissing, StoreUnavailable
from bentos.settings import settings

LINE_SECONDS = 5.0


@click.command(epilog=EXIT_CODES)
@click.argument("model")
@click.option("--input", "source", required=True, help="A folder or a file: path or s3://...")
@click.option("--output", required=True, help="A folder: path or s3://...")
@click.option(
    "--version",
    "number",
    type=click.IntRange(min=1),
    help="[default: the one that began the output, or the promoted one]",
)
@click.option("--keep", multiple=True, metavar="COLUMN", help="Take a further column along.")
@click.option("--workers", type=click.IntRange(min=1), help="[default: one a core]")
@click.option("--address", default="", help="Of a Ray cluster.  [default: this machine]")
@registry_option
def score(
    model: str,
    source: str,
    output: str,
    number: int | None,
    keep: tuple[str, ...],
    workers: int | None,
    address: str,
    registry_uri: str | None,
) -> None:
    """Score a table of Parquet or CSV parts with the promoted version of MODEL.

    Each part becomes a Parquet part of its name in the output: its columns, then the model's
    answers. A run that was broken off goes on where it stood, with the version that began it.
    """
    with registry(registry_uri) as opened, _errors():
        from bentos.scoring.run import plan  # Ray and Arrow take seconds

        run = plan(opened, settings(), model, number or 0, source, output, keep)
        click.echo(f"{run.version} scores {len(run.left)} parts, {run.done} are done already")
        started, rows = time.monotonic(), 0
        with _progress(len(run.left)) as step:
            for scored in run.go(address, workers or 0):
                rows += scored.rows
                step(rows)
        seconds = time.monotonic() - started
        click.echo(f"{rows} rows in {seconds:.1f} s, {rows / seconds:.0f} a second")


@contextmanager
def _progress(parts: int) -> Iterator[Callable[[int], None]]:
    """A function to call after each part with the rows so far: a bar, or a line now and then."""
    if sys.stderr.isatty():
        with tqdm(total=parts, unit=" parts") as bar:

            def advance(rows: int) -> None:
                bar.set_postfix_str(f"{rows} rows")
                bar.update()

            yield advance
        return
    done, shown_at = 0, time.monotonic()

    def tell(rows: int) -> None:
        nonlocal done, shown_at
        done += 1
        if time.monotonic() - shown_at >= LINE_SECONDS:
            shown_at = time.monotonic()
            click.echo(f"{done} of {parts} parts, {rows} rows")

    yield tell


@contextmanager
def _errors() -> Iterator[None]:
    """What goes wrong, as errors of a command."""
    with serving_like("score"):
        from bentos.scoring.tables import Unfit

        try:
            yield
        except (Unfit, ValidationError) as error:
            raise Failed(str(error)) from error
        except (OSError, StoreUnavailable, FileMissing) as error:
            raise Unreachable(f"{error}. What is done stays done: the next run goes on") from error
