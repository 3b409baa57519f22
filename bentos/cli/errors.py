"""How a command ends when it does not succeed: one line on standard error, and an exit code."""

from collections.abc import Iterator
from contextlib import contextmanager

import click

from bentos.refusal import Refusal

EXIT_CODES = (
    "Exit codes: 0 done; 1 refused, or cannot be done; 2 a server cannot be reached, or the "
    "command line is wrong."
)


class Failed(click.ClickException):
    """It was refused, or cannot be done."""

    exit_code = 1

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class Unreachable(Failed):
    """A server does not answer, or is not what it should be."""

    exit_code = 2


@contextmanager
def serving_like(extra: str) -> Iterator[None]:
    """Do here what a service does with a version, by libraries of an extra of this package."""
    try:
        yield
    except ImportError as error:
        raise Failed(f"{error.name} is not installed: pip install 'ascenso[{extra}]'") from error
    except Refusal as refusal:
        raise Failed(f"A service would refuse it: {refusal}") from refusal
