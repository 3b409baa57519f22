import getpass
import json
import os
import pty
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from click.testing import CliRunner
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bentos.cli import main
from tests.cli.conftest import Ascenso
from tests.cli.versions import MODEL, Versions, answering, live
from tests.stack import Stack, free_ports
from tests.web.serving import serving

WRONG = "sha256:0000"
COMMAND = str(Path(sys.executable).with_name("ascenso"))


def test_promote_ends_when_the_version_answers(
    stack: Stack, ascenso: Ascenso, versions: Versions
) -> None:
    before, new = live(stack), versions.copy()
    result = ascenso("promote", MODEL, new)
    assert result.exit_code == 0, result.output
    assert answering(stack) == live(stack) == new
    assert result.stdout.splitlines()[-1] == f"contugas serves {MODEL}/{new}"
    assert versions.get(new)["current_stage"] == "Production"
    assert versions.get(before)["current_stage"] == "Archived"
    by = f"{getpass.getuser()}, stage Production, "
    assert versions.tags(new)["ascenso.promoted_by"].startswith(by)


def test_a_version_that_serves_already_is_no_trouble(
    stack: Stack, ascenso: Ascenso, versions: Versions
) -> None:
    result = ascenso("promote", MODEL, live(stack))
    assert result.exit_code == 0, result.output


def test_a_refusal_is_reported_and_the_old_version_goes_on(
    stack: Stack, ascenso: Ascenso, versions: Versions
) -> None:
    before, bad = live(stack), versions.copy(WRONG)
    for _ in range(2):  # the second time it is refused anew, not taken from memory
        result = ascenso("promote", MODEL, bad)
        assert result.exit_code == 1
        (error,) = result.stderr.splitlines()
        assert f"{MODEL}/{bad} does not serve: contugas refused it: digest: " in error
        assert WRONG in error
        assert "Traceback" not in result.output
    assert answering(stack) == live(stack) == before
    events = json.loads(ascenso("history", MODEL, "--limit", "2", "--json").output)
    assert [(event["what"], event["version"]) for event in events] == [("refusal", bad)] * 2


def test_nothing_is_promoted_where_nobody_follows(
    stack: Stack, ascenso: Ascenso, versions: Versions
) -> None:
    new = versions.copy()
    result = ascenso("promote", MODEL, new, "--alias", "rival")
    assert result.exit_code == 1
    assert f"No running service follows the alias rival of {MODEL}" in result.stderr
    assert "contugas follows the stage Production" in result.stderr
    assert "aliases" not in versions.get(new)
    assert "ascenso.promoted_by" not in versions.tags(new)
    result = ascenso("promote", MODEL, new, "--stage", "Staging")
    assert result.exit_code == 1
    assert versions.get(new)["current_stage"] == "None"


def test_no_wait_needs_no_services(ascenso: Ascenso, versions: Versions) -> None:
    new = versions.copy()
    nobody = f"http://127.0.0.1:{free_ports(1)[0]}"
    result = ascenso("promote", MODEL, new, "--alias", "tried", "--no-wait", ASCENSO_URL=nobody)
    assert result.exit_code == 0, result.output
    assert versions.alias("tried") == new
    result = ascenso("promote", MODEL, new, "--stage", "Staging", "--no-wait", ASCENSO_URL=nobody)
    assert result.exit_code == 0, result.output
    assert versions.get(new)["current_stage"] == "Staging"


def test_an_alias_set_to_a_refused_version_again_has_it_tried_again(
    ascenso: Ascenso, versions: Versions
) -> None:
    """MLflow keeps no trace of an alias that is set to where it points already."""
    bad = versions.copy()
    refused = {"version": bad, "reason": "digest", "message": "differs", "at": "12:00"}
    slot = {"model": MODEL, "channel": "alias tried-again", "refused": refused}

    async def releases(request: Request) -> Response:
        return JSONResponse({"service": "s", "releases": [slot]})

    async def reload(request: Request) -> Response:
        slot["refused"] = refused | {"at": "12:01", "message": "differs still"}
        return await releases(request)

    routes = [Route("/releases", releases), Route("/reload", reload, methods=["POST"])]
    with serving(Starlette(routes=routes)) as url:
        result = ascenso("promote", MODEL, bad, "--alias", "tried-again", ASCENSO_URL=url)
    assert result.exit_code == 1
    assert "digest: differs still" in result.stderr
    assert versions.alias("tried-again") == bad


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((MODEL, "99999"), "but not 99999"),
        (("no-such-model", "1"), "has no 'no-such-model'"),
    ],
)
def test_what_is_not_in_the_registry_is_named(
    ascenso: Ascenso, arguments: tuple[str, ...], reason: str
) -> None:
    result = ascenso("promote", *arguments)
    assert result.exit_code == 1
    (error,) = result.stderr.splitlines()
    assert reason in error


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("one",), "'one' is not a valid integer"),
        (("0",), "0 is not in the range x>=1"),
        (("1", "--stage", "Archived"), "'Archived' is not one of"),
        (("1", "--stage", "Production", "--alias", "rival"), "--stage or --alias, not both"),
    ],
)
def test_a_wrong_call_is_explained(arguments: tuple[str, ...], reason: str) -> None:
    result = CliRunner().invoke(main, ["promote", MODEL, *arguments])
    assert result.exit_code == 2
    assert reason in result.stderr


def test_unreachable_servers_end_with_2_and_what_to_do(
    stack: Stack, ascenso: Ascenso, versions: Versions
) -> None:
    before, new = live(stack), versions.copy()
    nobody = f"http://127.0.0.1:{free_ports(1)[0]}"
    without_registry = ascenso("promote", MODEL, new, MLFLOW_TRACKING_URI=nobody)
    without_services = ascenso("promote", MODEL, new, ASCENSO_URL=nobody)
    for result, variable in (
        (without_registry, "MLFLOW_TRACKING_URI"),
        (without_services, "ASCENSO_URL"),
    ):
        assert result.exit_code == 2
        (error,) = result.stderr.splitlines()
        assert nobody in error
        assert "make up" in error
        assert variable in error
    assert live(stack) == before
    assert versions.get(new)["current_stage"] == "None"


def test_the_installed_command_promotes_on_a_terminal(stack: Stack, versions: Versions) -> None:
    new = versions.copy()
    ours, theirs = pty.openpty()
    addresses = {"ASCENSO_URL": stack.api, "MLFLOW_TRACKING_URI": stack.mlflow, "TERM": "xterm"}
    try:
        process = subprocess.Popen(
            [COMMAND, "promote", MODEL, new], stdout=theirs, env=os.environ | addresses
        )
        os.close(theirs)
        shown = read(ours)
        assert process.wait(timeout=60) == 0
    finally:
        os.close(ours)
    assert f"contugas serves {MODEL}/{new}" in shown
    assert "\x1b[?25l" in shown  # a spinner hides the cursor
    assert live(stack) == new


def read(terminal: int) -> str:
    """What is shown until nobody may write any more; a terminal holds a few pages at most."""
    shown = b""
    with suppress(OSError):  # Linux says so by EIO
        while more := os.read(terminal, 65536):
            shown += more
    return shown.decode()
