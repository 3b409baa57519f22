"""`ascenso user`: who may log in to the guarded services of this machine."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click
from filelock import Timeout
from pydantic import ValidationError

from bentos.cli.console import console, table
from bentos.cli.errors import EXIT_CODES, Failed
from bentos.settings import settings
from bentos.web.auth.users import User, UserError, UserFile


@click.group()
def user() -> None:
    """Say who may log in to the guarded services of this machine.

    The users lie in `users.json` in ASCENSO_HOME. Running services know of a change at once.
    """


@user.command(epilog=EXIT_CODES)
@click.argument("name")
@click.option("--admin", is_flag=True, help="May change state, such as clear the cache.")
def add(name: str, admin: bool) -> None:
    """Add a user.

    The password, of 12 characters or more, is asked for twice, or is the first line of standard
    input: never an argument, which others could see.
    """
    with _users() as (file, configured):
        if name in configured:
            raise Failed(f"{name} is a user of the configuration (security.users)")
        file.add(name, _password(), admin)
    click.echo(f"{name} may log in{', as an admin' if admin else ''}")


@user.command(epilog=EXIT_CODES)
@click.argument("name")
def remove(name: str) -> None:
    """Remove a user; their tokens end with them."""
    with _users() as (file, configured):
        if name in configured:
            raise Failed(f"{name} is a user of the configuration: remove security.users.{name}")
        file.remove(name)
    click.echo(f"{name} may log in no more")


@user.command("list", epilog=EXIT_CODES)
def show() -> None:
    """Show the users."""
    lines = table("name", "admin", "from")
    with _users() as (file, configured):
        for name, one in sorted((file.read() | configured).items()):
            source = "configuration" if name in configured else str(file.path)
            lines.add_row(name, "yes" if one.admin else "no", source)
    if lines.row_count:
        console().print(lines)
    else:
        click.echo("There are no users; `ascenso user add` adds one")


@contextmanager
def _users() -> Iterator[tuple[UserFile, dict[str, User]]]:
    """The file of users, and those of the configuration. Raises Failed for what goes wrong."""
    try:
        security, home = settings().security, settings().home
        configured = {name: User(one.hash, one.admin) for name, one in security.users.items()}
        yield UserFile(home / "users.json"), configured
    except ValidationError as error:
        raise Failed(f"The configuration cannot be used: {error}") from error
    except (UserError, OSError, Timeout) as error:
        raise Failed(str(error)) from error


def _password() -> str:
    if sys.stdin.isatty():
        asked: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
        return asked
    return sys.stdin.readline().rstrip("\r\n")
