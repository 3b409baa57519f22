"""How a command ends when it does not succeed: one line on standard error, and an exit code."""

import click

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
