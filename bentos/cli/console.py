"""The terminal, or a file in its place."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import click
from rich.console import Console
from rich.table import Table

FILE_WIDTH = 200  # columns, where no terminal sets a width

Tell = Callable[[str], None]

JSON = "ascenso.json"  # in a command's context


def _note_json(context: click.Context, option: click.Parameter, given: bool) -> None:
    context.meta[JSON] = given


json_option = click.option(
    "--json",
    is_flag=True,
    expose_value=False,
    callback=_note_json,
    help="For scripts: JSON on standard output, and nothing else there.",
)


def for_scripts() -> bool:
    """Whether the command that runs was given --json."""
    context = click.get_current_context(silent=True)
    return bool(context and context.meta.get(JSON))


def outcome(value: object) -> None:
    """What a command ends with, for scripts; nothing where people read along."""
    if for_scripts():
        click.echo(json.dumps(value, indent=2))


def console() -> Console:
    """Standard output, as it is now; texts of others are shown as they are, never as markup."""
    width = None if sys.stdout.isatty() else FILE_WIDTH
    return Console(width=width, markup=False, emoji=False, highlight=False)


def table(*columns: str) -> Table:
    """An empty table; its cells fold where the terminal is narrow."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def say(text: str) -> None:
    """A line for people: on standard error, where --json keeps standard output for scripts."""
    click.echo(text, err=for_scripts())


@contextmanager
def progress() -> Iterator[Tell]:
    """A function to call with what is happening: a spinner on a terminal, else a line a change."""
    out = console()
    if out.is_terminal:
        with out.status("") as spinner:
            yield spinner.update
        return
    shown = ""

    def tell(text: str) -> None:
        nonlocal shown
        if text != shown:
            say(text)
        shown = text

    yield tell


def moment(iso: str) -> str:
    """A time of the services, to the second, in UTC."""
    return datetime.fromisoformat(iso).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
