import asyncio
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bentos.cli import main
from bentos.settings import settings
from bentos.web.auth.users import UserFile, Users

PASSWORD = "correct horse battery"
Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Run `ascenso user` on a home of its own, with a standard input."""
    monkeypatch.setenv("ASCENSO_HOME", str(tmp_path / "home"))
    settings.cache_clear()
    yield lambda *arguments, typed="": CliRunner().invoke(
        main, ["user", *arguments], input=typed, terminal_width=100
    )
    settings.cache_clear()


@pytest.fixture
def users(tmp_path: Path) -> Users:
    """The users as a running service knows them."""
    return Users({}, UserFile(tmp_path / "home" / "users.json"))


def test_adds_lists_and_removes_users_while_a_service_runs(run: Run, users: Users) -> None:
    assert run("list").output == "There are no users; `ascenso user add` adds one\n"
    added = run("add", "ana", "--admin", typed=f"{PASSWORD}\n")
    assert (added.exit_code, added.output) == (0, "ana may log in, as an admin\n")
    assert run("add", "eva", typed=PASSWORD).output == "eva may log in\n"
    ana = asyncio.run(users.verify("ana", PASSWORD))
    assert ana
    assert ana.admin
    result = [line.split()[:2] for line in run("list").output.splitlines()]
    assert result == [["name", "admin"], ["ana", "yes"], ["eva", "no"]]
    assert run("remove", "ana").output == "ana may log in no more\n"
    assert users.get("ana") is None
    assert users.get("eva")


@pytest.mark.parametrize(
    ("arguments", "typed", "message"),
    [
        (["add", "ana"], "short\n", "The password has 5 characters: use 12 to 1024"),
        (["add", "ana"], "", "The password has 0 characters"),
        (["add", "ana maria"], f"{PASSWORD}\n", "'ana maria' is no user name"),
        (["add", "eva"], f"{PASSWORD}\n", "eva exists; remove that user first"),
        (["remove", "ana"], "", "There is no user 'ana'"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(
    run: Run, arguments: list[str], typed: str, message: str
) -> None:
    run("add", "eva", typed=PASSWORD)
    result = run(*arguments, typed=typed)
    assert result.exit_code == 1
    assert message in result.output
    assert result.output.startswith("Error: ")
    assert result.output.count("\n") == 1


def test_users_of_the_configuration_are_shown_and_left(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(
        "ASCENSO_SECURITY__USERS", '{"ana": {"hash": "$argon2id$v=19$x", "admin": true}}'
    )
    settings.cache_clear()
    assert run("list").output.splitlines()[1].split() == ["ana", "yes", "configuration"]
    for command in ("add", "remove"):
        result = run(command, "ana", typed=PASSWORD)
        assert result.exit_code == 1
        assert "ana is a user of the configuration" in result.output


def test_a_broken_file_is_left_as_it_is(run: Run, users: Users, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "users.json").write_text("{")
    for arguments in (["list"], ["add", "ana"], ["remove", "ana"]):
        result = run(*arguments, typed=PASSWORD)
        assert result.exit_code == 1
        assert "users.json cannot be used" in result.output
    assert (tmp_path / "home" / "users.json").read_text() == "{"


def test_on_a_terminal_the_password_is_asked_for_twice(tmp_path: Path, users: Users) -> None:
    terminal, end = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", "from bentos.cli import main; main()", "user", "add", "ana"],
        env=os.environ | {"ASCENSO_HOME": str(tmp_path / "home")},
        stdin=end,
        stdout=end,
        stderr=end,
        start_new_session=True,  # so that it asks here, not at the terminal of these tests
    )
    os.close(end)
    whole = ""
    for asked, typed in [
        ("Password: ", PASSWORD),
        ("Repeat for confirmation: ", "another one"),
        ("do not match.\r\nPassword: ", PASSWORD),
        ("Repeat for confirmation: ", PASSWORD),
        ("ana may log in", ""),
    ]:
        shown = ""
        while asked not in shown:
            shown += os.read(terminal, 1000).decode()
        whole += shown
        if typed:
            os.write(terminal, f"{typed}\n".encode())
    assert process.wait(120) == 0
    os.close(terminal)
    assert PASSWORD not in whole
    assert asyncio.run(users.verify("ana", PASSWORD))
