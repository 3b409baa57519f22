"""Versions with code: opened by permission alone, in a process and a sandbox of their own."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from msgspec import structs

from bentos.admission import housing
from bentos.admission.judging import judge
from bentos.admission.processes import Process
from bentos.admission.releases import open_release
from bentos.admission.verdict import Admitted, Case, Code, Refused
from bentos.serving.failures import Failing
from bentos.serving.release import Release
from bentos.settings import ProcessSettings
from bentos.tensors import BadInput, Batch, Column, Schema
from tests.admission import coded
from tests.admission.judged import BY_SCHEMA, case
from tests.shut_in import require_sandbox

LIMITS = ProcessSettings(memory_mb=1024, batch_seconds=2.0)


@pytest.fixture(scope="module", autouse=True)
def _available() -> None:
    require_sandbox()


def with_code(folder: Path, code: Code = "isolated", **rules: Any) -> Case:
    """A version that may run its code with the packages that run here."""
    return structs.replace(
        case(folder, BY_SCHEMA, **rules),
        house=Path(sys.executable), code=code, processes=LIMITS.model_dump_json(),
    )  # fmt: skip


def admitted(asked: Case) -> Admitted:
    verdict = judge(asked)
    assert isinstance(verdict, Admitted), verdict
    return verdict


def rows(*values: float) -> Batch:
    return Batch({"x": np.array(values)})


class Opened:
    """A version that opens again when its process has failed, as a service does."""

    def __init__(self, asked: Case) -> None:
        self.asked, self.verdict = asked, admitted(asked)

    def release(self) -> Release:
        return open_release(self.asked.version, self.verdict, self.asked.place, LIMITS)


@pytest.fixture(scope="module")
def listening() -> Iterator[socket.socket]:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield server


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory, listening: socket.socket) -> Opened:
    folder = tmp_path_factory.mktemp("coded")
    (canary := folder / "canary").write_text("ours")
    port = listening.getsockname()[1]
    paths = [str(canary), "/etc/passwd", f"/proc/{os.getpid()}/environ"]
    os.environ["AWS_SECRET_ACCESS_KEY"] = "canary"
    place = coded.saved(coded.script(folder, paths, port), folder, **coded.described())
    return Opened(with_code(place))


def test_it_answers_and_sees_nothing_of_ours(
    opened: Opened, listening: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdict = opened.verdict
    assert (verdict.runs, verdict.flavor, verdict.apart) == ("isolated", "python_function", "shut")
    assert verdict.memory > 50 << 20
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "ours")
    release = opened.release()
    assert release.predict(rows(1.0, 10.0))["double"].tolist() == [2.0, 20.0]
    (seen,) = release.predict(rows(coded.LOOKS))["double"].tolist()
    assert "AWS_SECRET_ACCESS_KEY" not in seen["environment"]
    assert seen["files"] == ["FileNotFoundError"] * 3
    assert seen["network"] != "open"
    listening.settimeout(0.1)
    with pytest.raises(TimeoutError):
        listening.accept()


def for_ever(release: Release, value: float) -> None:
    while True:
        release.predict(rows(value))


@pytest.mark.parametrize(
    ("value", "how", "said"),
    [
        (coded.CRASHES, "crash", "SIGABRT"),
        (coded.HANGS, "deadline", "more than 2 s"),
        (coded.LEAKS, "memory", "more than 1024 MB"),
        (coded.SHORT, "answer", "0 answers to 1 rows"),
        (coded.LARGE, "answer", "a message of 73,400,"),
    ],
)
def test_what_fails_is_ended_and_named(opened: Opened, value: float, how: str, said: str) -> None:
    release = opened.release()
    process = release.process
    assert process
    with pytest.raises(BadInput, match="seven is unlucky"):
        release.predict(rows(coded.RAISES))
    with pytest.raises(Failing, match=said) as failing:
        for_ever(release, value)
    assert failing.value.how == how
    with pytest.raises(Failing):
        process.check()
    with pytest.raises(Failing, match=said):  # not that it is gone: an admission asks again
        release.predict(rows(1.0))


def test_with_permission_it_reaches_the_network(opened: Opened, listening: socket.socket) -> None:
    verdict = structs.replace(opened.verdict, apart="network")
    asked = opened.asked
    release = open_release(asked.version, verdict, asked.place, LIMITS)
    (seen,) = release.predict(rows(coded.LOOKS))["double"].tolist()
    assert (seen["network"], seen["files"]) == ("open", ["FileNotFoundError"] * 3)
    listening.settimeout(10)
    listening.accept()[0].close()


def test_without_a_sandbox_it_is_refused_unless_that_is_permitted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = coded.saved(coded.Doubles(), tmp_path, **coded.described())
    monkeypatch.setattr(housing, "unavailable", lambda: "bwrap is not installed")
    verdict = judge(with_code(place))
    assert isinstance(verdict, Refused)
    assert verdict.reason == "code"
    assert "none can be had here: bwrap is not installed; admission.quar" in verdict.message
    asked = with_code(place, quarantine_without_sandbox=True)
    admission = admitted(asked)
    assert admission.apart == "nothing"
    release = open_release(asked.version, admission, asked.place, LIMITS)
    assert release.predict(rows(1.0))["double"].tolist() == [2.0]


def test_one_of_unknown_columns_is_refused(tmp_path: Path) -> None:
    verdict = judge(with_code(coded.saved(coded.Doubles(), tmp_path)))
    assert isinstance(verdict, Refused)
    assert verdict.reason == "schema"
    assert "set_signature(MODEL_URI, infer_signature(inputs, outputs))" in verdict.message


def test_one_that_cannot_answer_its_example_is_refused(tmp_path: Path) -> None:
    table = coded.TABLE.assign(x=coded.RAISES)
    model = coded.script(tmp_path)
    place = coded.saved(model, tmp_path, input_example=table, **coded.described())
    verdict = judge(with_code(place))
    assert isinstance(verdict, Refused)
    said = "it cannot answer its input example: ValueError: seven is unlucky"
    assert (verdict.reason, verdict.message) == ("samples", said)


def test_its_processes_end_with_their_starter(opened: Opened, tmp_path: Path) -> None:
    """Also when that is killed."""
    code = (
        "import sys, time\n"
        "from tests.admission.test_isolated import started\n"
        "process = started(*sys.argv[1:])\n"
        "print(process._popen.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    folder = str(opened.asked.place / "model")
    with subprocess.Popen([sys.executable, "-c", code, folder], stdout=subprocess.PIPE) as starter:
        assert starter.stdout
        outer = psutil.Process(int(starter.stdout.readline()))
        inside = [outer, *outer.children(recursive=True)]
        starter.kill()
    _, alive = psutil.wait_procs(inside, 30)
    assert alive == []


def started(folder: str) -> Process:
    """The process of a version, as another process starts it."""
    schema = Schema((Column("x", "float64"),))
    return housing.isolate(Path(sys.executable), Path(folder), schema, "shut", LIMITS).process
