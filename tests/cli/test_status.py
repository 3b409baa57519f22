import json
import os
import re
import subprocess
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from tests.cli.conftest import Ascenso
from tests.cli.test_promotion import COMMAND
from tests.cli.versions import MODEL, live
from tests.stack import Stack, free_ports, wait_for
from tests.web.serving import serving


def cells(output: str) -> dict[str, str]:
    """The first line of the table, by column."""
    head, line = (re.split(r" {2,}", text.strip()) for text in output.splitlines()[:2])
    return dict(zip(head, line, strict=True))


def test_a_line_for_each_slot(stack: Stack, ascenso: Ascenso) -> None:
    result = ascenso("status")
    assert result.exit_code == 0, result.output
    shown = cells(result.output)
    assert (shown["service"], shown["model"]) == ("contugas", MODEL)
    assert shown["channel"] == "stage Production"
    assert re.fullmatch(live(stack) + r" since 20\S+ \S+Z", shown["live"])


def test_json_is_what_the_services_report(stack: Stack, ascenso: Ascenso) -> None:
    def reported(*options: str) -> Any:
        return json.loads(ascenso("status", "--json", *options).output)

    def asked() -> Any:
        return httpx.get(f"{stack.api}/releases", timeout=60).json()

    alone = ("--url", f"{stack.api}/contugas/")
    wait_for(lambda: reported() == asked(), 60)  # a look at the registry may come between
    wait_for(lambda: reported(*alone) == [o for o in asked() if o["service"] == "contugas"], 60)


def test_one_service_alone_is_shown_too(stack: Stack, ascenso: Ascenso) -> None:
    result = ascenso("status", "--url", f"{stack.api}/contugas")
    assert result.exit_code == 0, result.output
    assert MODEL in result.output


def test_what_is_wrong_is_shown(ascenso: Ascenso) -> None:
    slot = {
        "model": "m",
        "channel": "alias champion",
        "live": None,
        "previous": None,
        "candidate": "7",
        "refused": {
            "version": "6",
            "reason": "samples",
            "message": "[red]differ",
            "at": "2026-03-01T13:00:00.123+01:00",
        },
        "trouble": "S3 is down",
    }

    async def releases(request: Request) -> Response:
        return JSONResponse({"service": "s", "degraded": "MLflow is down", "releases": [slot]})

    with serving(Starlette(routes=[Route("/releases", releases)])) as url:
        result = ascenso("status", "--url", url)
    shown = cells(result.output)
    assert shown["live"] == shown["previous"] == "-"
    assert shown["candidate"] == "7"
    assert shown["last refusal"] == "6 at 2026-03-01 12:00:00Z: samples: [red]differ"
    assert shown["degraded"] == "MLflow is down; S3 is down"


def test_the_installed_command_says_that_nobody_answers() -> None:
    port = str(free_ports(1)[0])
    env = {key: value for key, value in os.environ.items() if key != "ASCENSO_URL"}
    result = subprocess.run(
        [COMMAND, "status"],
        env=env | {"ASCENSO_PORT": port},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert result.returncode == 2
    assert result.stdout == ""
    (error,) = result.stderr.splitlines()
    assert f"No service answers at http://127.0.0.1:{port}" in error
    assert "make up" in error
    assert "ASCENSO_URL" in error


@pytest.mark.parametrize("body", ["<html>", "{}", '[{"service": 1}]', '"text"', "\ud800"])
def test_something_else_at_the_address_is_no_service(ascenso: Ascenso, body: str) -> None:
    async def releases(request: Request) -> Response:
        return PlainTextResponse(body.encode("utf-8", "surrogatepass"))

    with serving(Starlette(routes=[Route("/releases", releases)])) as url:
        result = ascenso("status", "--url", url)
        lost = ascenso("status", "--url", f"{url}/elsewhere")
    for ended in (result, lost):
        assert ended.exit_code == 2
        (error,) = ended.stderr.splitlines()
        assert url in error


@pytest.mark.parametrize("url", ["nowhere", "http://[", "ftp://here", "http://a b"])
def test_no_address_at_all(ascenso: Ascenso, url: str) -> None:
    result = ascenso("status", "--url", url)
    assert result.exit_code == 2
    assert url in result.stderr
    assert "Traceback" not in result.output
