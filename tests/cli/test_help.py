"""What every command says of itself."""

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from bentos.cli import main


def commands(group: click.Group, *before: str) -> Iterator[tuple[str, ...]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, *before, name)
        else:
            yield (*before, name)


@pytest.mark.parametrize("command", [(), *commands(main)], ids=" ".join)
def test_exit_codes_are_in_the_help(command: tuple[str, ...]) -> None:
    result = CliRunner().invoke(main, [*command, "--help"])
    assert result.exit_code == 0
    assert "Exit codes: 0 " in result.output
    wrong = CliRunner().invoke(main, [*command, "--no-such-option"])
    assert wrong.exit_code == 2
    assert "command line" in " ".join(result.output.split())


def test_shells_complete_commands_and_options() -> None:
    def completed(words: str, at: int) -> list[str]:
        asked = {"_ASCENSO_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(at)}
        return CliRunner().invoke(main, env=asked, prog_name="ascenso").output.split()

    assert completed("ascenso pro", 1) == ["plain,promote"]
    assert "plain,--when-agreed" in completed("ascenso promote --", 2)
    assert completed("ascenso doctor sto", 2) == ["plain,store"]
