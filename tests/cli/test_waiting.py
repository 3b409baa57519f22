"""What a wait makes of the services' reports, given one by one by a real server."""

from contextlib import closing
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bentos.cli.errors import Failed, Unreachable
from bentos.cli.services import Services
from bentos.cli.waiting import Wait, followers
from bentos.registry.client import Version
from bentos.settings import Channel
from tests.web.serving import serving

NEW = Version("m", "2", run_id="run2")
PRODUCTION = Channel(stage="Production")


def slot(live: str = "1", **more: Any) -> dict[str, Any]:
    served = {"version": live, "run_id": f"run{live}", "since": "2026-01-01T00:00:00+00:00"}
    return {"model": "m", "channel": "stage Production", "live": served} | more


def refused(at: str, message: str = "too big") -> dict[str, Any]:
    result = {"version": "2", "reason": "memory", "message": message, "at": at}
    return slot(refused=result)


def waits(*reports: dict[str, Any] | None, seconds: float = 120) -> None:
    """Wait for version 2 while `{service: slot}` reports follow each other; None is a 503.

    A service without the slot makes it once a version is promoted.
    """
    coming = list(reports)

    async def releases(request: Request) -> Response:
        report = coming.pop(0) if len(coming) > 1 else coming[0]
        if report is None:
            return Response(status_code=503)
        result = [
            {"service": s, "releases": [slot] if slot else [], "racks": ["m*"]}
            for s, slot in report.items()
        ]
        return JSONResponse(result)

    app = Starlette(routes=[Route("/releases", releases)])
    with serving(app) as url, closing(Services(url)) as services:
        before = followers(services.all(), "m", PRODUCTION)
        Wait(services, NEW, PRODUCTION, before).until_live(seconds)


def test_every_step_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    waits(
        {"a": slot()},
        {"a": slot()},
        {"a": slot()},
        {"a": slot(candidate="2")},
        {"a": slot(trouble="S3 is down")},
        None,
        {},
        {"a": slot("2")},
    )
    result = capsys.readouterr().out.splitlines()
    assert result[:3] == [
        "m/2: a has not noticed it yet",
        "m/2: a is checking it",
        "m/2: a has not brought it: S3 is down",
    ]
    assert "answers 503" in result[3]
    assert result[4:] == ["m/2: a is starting", "a serves m/2"]


def test_a_slot_that_is_yet_to_be_made(capsys: pytest.CaptureFixture[str]) -> None:
    waits({"a": {}}, {"a": {}}, {"a": slot("2")})
    assert capsys.readouterr().out.splitlines() == [
        "m/2: a has not noticed it yet",
        "a serves m/2",
    ]
    with pytest.raises(Failed, match="too big"):
        waits({"a": {}}, {"a": refused("12:00") | {"live": None}})


def test_all_services_must_serve_it(capsys: pytest.CaptureFixture[str]) -> None:
    waits(
        {"a": slot(), "b": slot()},
        {"a": slot("2"), "b": slot()},
        {"a": slot("2"), "b": slot("2")},
    )
    result = capsys.readouterr().out.splitlines()
    assert result == ["m/2: b has not noticed it yet", "a serves m/2", "b serves m/2"]


def test_one_refusal_fails_it_when_all_have_decided() -> None:
    with pytest.raises(
        Failed, match=r"m/2 does not serve: b refused it: memory: too big"
    ) as caught:
        waits(
            {"a": slot(), "b": slot()},
            {"a": slot(), "b": refused("12:00")},
            {"a": slot("2"), "b": refused("12:00")},
        )
    assert caught.value.exit_code == 1
    with pytest.raises(Failed, match=r"a refused it: memory: too slow; b refused it"):
        waits(
            {"a": slot(), "b": slot()},
            {"a": slot(), "b": refused("12:00")},
            {"a": refused("12:01", "too slow"), "b": refused("12:00")},
        )


def test_an_old_refusal_is_no_answer() -> None:
    waits({"a": refused("12:00")}, {"a": refused("12:00")}, {"a": slot("2")})
    with pytest.raises(Failed, match="still too big"):
        waits({"a": refused("12:00")}, {"a": refused("12:01", "still too big")})


def test_the_same_number_of_another_run_is_not_awaited() -> None:
    other = slot("2")
    other["live"]["run_id"] = "of a deleted model"
    with pytest.raises(Failed):
        waits({"a": other}, seconds=0)


def test_time_runs_out() -> None:
    with pytest.raises(Failed, match=r"does not serve after 0.1 s: a is checking it") as caught:
        waits({"a": slot(candidate="2")}, seconds=0.1)
    assert caught.value.exit_code == 1
    with pytest.raises(Unreachable) as silent:
        waits({"a": slot()}, None, seconds=0.1)
    assert silent.value.exit_code == 2
