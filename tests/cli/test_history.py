import json
import signal
from datetime import UTC, datetime

import pytest

from tests.cli.conftest import Ascenso
from tests.cli.versions import MODEL, Versions, live
from tests.stack import Stack


def lines(ascenso: Ascenso, *options: str) -> list[dict[str, str]]:
    result = ascenso("history", MODEL, "--json", *options)
    assert result.exit_code == 0, result.output
    events: list[dict[str, str]] = json.loads(result.output)
    return events


def test_every_promotion_leaves_a_line(stack: Stack, ascenso: Ascenso, versions: Versions) -> None:
    good, bad, again = versions.copy(), versions.copy("sha256:0000"), live(stack)
    for version, code in ((good, 0), (bad, 1), (again, 0)):
        assert ascenso("promote", MODEL, version).exit_code == code
    result = lines(ascenso, "--limit", "3")
    assert [(line["what"], line["version"]) for line in result] == [
        ("swap", good),
        ("refusal", bad),
        ("rollback", again),
    ]
    table = ascenso("history", MODEL, "--limit", "2").output.splitlines()
    assert table[0].split() == [
        *("time", "what", "version", "channel", "run", "digest", "who", "why"),
    ]
    assert not any(f"swap      {good}" in line for line in table)
    assert result[2]["at"][:19].replace("T", " ") + "Z" in table[-1]
    assert result[2]["digest"].removeprefix("sha256:")[:12] in table[-1]


def test_what_served_at_a_time(stack: Stack, ascenso: Ascenso, versions: Versions) -> None:
    before, new = live(stack), versions.copy()
    between = datetime.now(UTC)
    assert ascenso("promote", MODEL, new).exit_code == 0
    after = lines(ascenso, "--limit", "1")[0]["at"]

    def served(time: str) -> list[str]:
        return [line["version"] for line in lines(ascenso, "--at", time)]

    assert served(between.isoformat()) == [before]
    assert served(between.replace(tzinfo=None).isoformat(" ")) == [before]
    assert served(after) == [new]
    assert served("2020-01-01") == []
    result = ascenso("history", MODEL, "--at", "2020-01-01")
    assert result.exit_code == 0
    assert result.output == f"No version of {MODEL} has served by 2020-01-01\n"


def test_the_registry_is_not_needed(stack: Stack, ascenso: Ascenso) -> None:
    processes = stack.processes("mlflow")
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    try:
        assert lines(ascenso, "--limit", "1")[0]["what"]
    finally:
        for process in processes:
            process.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("time", ["yesterday", "12:00", "2026-13-01", "0001-01-01T00:00+14:00"])
def test_a_bad_time_is_named(ascenso: Ascenso, time: str) -> None:
    result = ascenso("history", MODEL, "--at", time)
    assert result.exit_code == 1
    (error,) = result.stderr.splitlines()
    assert "--at" in error
    assert repr(time) in error


def test_an_unknown_model_is_named(ascenso: Ascenso) -> None:
    result = ascenso("history", "no-such-model")
    assert result.exit_code == 1
    assert "'no-such-model'; there is" in result.stderr
    assert MODEL in result.stderr
