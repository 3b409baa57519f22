import json
from contextlib import closing, suppress

import psutil
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bentos.cli.rollback import served_before
from bentos.cli.services import ReleaseReport, Services, SlotReport
from bentos.promotion.back import back
from bentos.registry.client import Tag, Version
from tests.cli.conftest import Ascenso
from tests.cli.versions import MODEL, Versions, answering, live
from tests.itransformer.bench import ended
from tests.services import ready
from tests.stack import Stack, free_ports, wait_for
from tests.web.serving import serving


def promoted(ascenso: Ascenso, version: str) -> str:
    result = ascenso("promote", MODEL, version, "--json", LOGNAME="ana")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == {
        "model": MODEL,
        "version": version,
        "channel": "stage Production",
        "services": ["contugas"],
    }
    return version


def test_rollback_goes_to_the_version_before(
    stack: Stack, ascenso: Ascenso, versions: Versions
) -> None:
    first, second = (promoted(ascenso, versions.copy()) for _ in range(2))
    result = ascenso("rollback", MODEL, LOGNAME="bea")
    assert result.exit_code == 0, result.output
    assert f"Rolling {MODEL} back to version {first} from version {second}" in result.stdout
    assert result.stdout.splitlines()[-1] == f"contugas serves {MODEL}/{first}"
    assert answering(stack) == live(stack) == first
    assert versions.get(first)["current_stage"] == "Production"
    assert versions.get(second)["current_stage"] == "Archived"
    last = json.loads(ascenso("history", MODEL, "--limit", "1", "--json").output)[0]
    assert (last["what"], last["version"], last["who"]) == ("rollback", first, "bea")


def test_after_a_restart_the_ledger_knows_where_to_go_back_to(
    stack: Stack, ascenso: Ascenso, versions: Versions
) -> None:
    first, second = (promoted(ascenso, versions.copy()) for _ in range(2))
    bad = versions.copy("sha256:0000")
    assert ascenso("promote", MODEL, bad).exit_code == 1
    promoted(ascenso, second)
    old = stack.processes("services")
    for process in old:
        with suppress(psutil.NoSuchProcess):  # the supervisor ends what a killed one left
            process.kill()
    wait_for(lambda: all(map(ended, old)))
    wait_for(lambda: ready(stack.api), 240)
    slot = json.loads(ascenso("status", "--json").output)[0]["releases"][0]
    assert (slot["live"]["version"], slot["previous"]) == (second, None)
    result = ascenso("rollback", MODEL, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["from"] == second
    assert live(stack) == first
    at = json.loads(ascenso("history", MODEL, "--limit", "1", "--json").output)[0]["at"]
    then = json.loads(ascenso("history", MODEL, "--at", at, "--json").output)
    assert [event["version"] for event in then] == [first]  # and nothing of the killed process


def test_an_unknown_model_and_a_silent_stack_end_it(ascenso: Ascenso) -> None:
    result = ascenso("rollback", "no-such-model")
    assert result.exit_code == 1
    assert "No version of no-such-model is promoted" in result.stderr
    nobody = f"http://127.0.0.1:{free_ports(1)[0]}"
    assert ascenso("rollback", MODEL, ASCENSO_URL=nobody).exit_code == 2
    assert ascenso("rollback", MODEL, MLFLOW_TRACKING_URI=nobody).exit_code == 2


def version(number: str, state: str = "", since: str = "") -> Version:
    tags = (Tag("serving.state", state), Tag("serving.since", since))
    return Version("m", number, run_id=f"run{number}", tags=tags)


def report(live: str, previous: str | None = None) -> SlotReport:
    return SlotReport(
        "m",
        "stage Production",
        live=ReleaseReport(live, f"run{live}"),
        previous=ReleaseReport(previous, f"run{previous}") if previous else None,
    )


def targets(slot: SlotReport, versions: list[Version], *served: str) -> list[str]:
    """Where a rollback goes, by preference, when the ledger says that these served."""
    events = [
        {
            "at": f"2026-01-01T00:00:0{second}+00:00",
            "replica": "host-1",
            "channel": "stage Production",
            "model": "m",
            "version": number.removesuffix("!"),
            "run_id": f"run{number.removesuffix('!')}",
            "digest": "",
            "what": "refusal" if number.endswith("!") else "swap",
            "who": "",
            "why": "",
        }
        for second, number in enumerate(served)
    ]

    async def releases(request: Request) -> Response:
        return JSONResponse({"service": "s", "releases": []})

    async def history(request: Request) -> Response:
        return JSONResponse({"model": "m", "events": events})

    app = Starlette(routes=[Route("/releases", releases), Route("/history", history)])
    with serving(app) as url, closing(Services(url)) as services:
        (service,) = services.all()
        present = (slot.live.version, slot.live.run_id) if slot.live else None
        found = back(present, served_before(services, service, slot), versions)
        return [version.version for version in found]


def test_the_slot_is_asked_first_then_the_ledger_then_the_registry() -> None:
    versions = [version("1", "retired"), version("2"), version("3"), version("4"), version("5")]
    assert targets(report("5", "4"), versions, "2", "3", "5")[0] == "4"
    assert targets(report("5"), versions, "2", "3", "5")[0] == "3"
    assert targets(report("5"), versions) == ["1"]
    assert targets(report("5"), versions[1:]) == []


def test_refused_and_deleted_versions_are_passed_over() -> None:
    versions = [version("1"), version("2"), version("5")]
    assert targets(report("5"), versions, "1", "2", "5", "3", "1!", "5")[0] == "2"
    other_run = [Version("m", "2", run_id="another"), version("1")]
    assert targets(report("5", "2"), other_run, "1", "2", "5") == ["1"]


def test_of_the_retired_the_last_one_is_taken() -> None:
    versions = [
        version("1", "retired", "2026-01-01T00:00:03+00:00"),
        version("2", "retired", "2026-01-01T00:00:02+00:00"),
        version("3", "refused", "2026-01-01T00:00:04+00:00"),
    ]
    assert targets(report("5"), versions)[0] == "1"
