import asyncio
import shutil
import signal
import socket
import sqlite3
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import boto3
import httpx
import pytest
from dotenv import dotenv_values

from bentos.web.auth.users import UserFile, Users
from deploy.local.settings import BUCKET, Settings
from tests.deploy.test_orphans import process as left_behind
from tests.e2e.caller import allowed
from tests.e2e.service import status
from tests.stack import UP, Stack, running, start, wait_for

NAMES = ("s3", "mlflow", "services")
SERVICES = {"ASCENSO_ADMIN_KEY", "ASCENSO_SECURITY__SECRET", "ASCENSO_WEBHOOK_SECRET"}
TINY = (sys.executable, "-m", "tests.deploy.tiny", "tests.deploy.tiny:Tiny")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running(tmp_path_factory.mktemp("tiny") / "home", TINY) as stack:
        yield stack


def urls(settings: Settings) -> dict[str, str]:
    return {
        "s3": settings.s3,
        "mlflow": f"{settings.mlflow}/health",
        "services": f"{settings.api}/readyz",
    }


def answers(url: str) -> bool:
    return 0 < status(url) < 500


def is_free(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) != 0


def wait_gone(stack: Stack) -> None:
    """What is killed goes a moment later; what is not, stays."""
    wait_for(lambda: not [p for n in (*NAMES, "training") for p in stack.processes(n)], 60)
    wait_for(lambda: all(map(is_free, stack.settings.ports.values())), 60)


def test_the_table_tells_where_everything_is(tiny: Stack) -> None:
    output = tiny.said
    for address in (tiny.mlflow, tiny.settings.s3, str(tiny.home)[:60]):
        assert address in output


def test_its_user_has_a_password_that_nobody_else_has(tiny: Stack) -> None:
    keys = dotenv_values(tiny.settings.secrets)
    assert keys["ASCENSO_LOCAL_PASSWORD"]
    users = Users({}, UserFile(tiny.home / "users.json"))
    user = asyncio.run(users.verify("ascenso", keys["ASCENSO_LOCAL_PASSWORD"]))
    assert user
    assert user.admin
    assert stat.S_IMODE((tiny.home / "users.json").stat().st_mode) == 0o600
    output = tiny.said
    assert "ASCENSO_LOCAL_PASSWORD in secrets.env" in output
    assert keys["ASCENSO_LOCAL_PASSWORD"] not in output


def test_the_bucket_takes_files(tiny: Stack) -> None:
    keys = dotenv_values(tiny.settings.secrets)
    client = boto3.client(
        "s3",
        endpoint_url=tiny.settings.s3,
        region_name="us-east-1",
        aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
    )
    client.put_object(Bucket=BUCKET, Key="data/a.csv", Body=b"a\n1\n")
    assert client.get_object(Bucket=BUCKET, Key="data/a.csv")["Body"].read() == b"a\n1\n"


def test_secrets_stay_secret(tiny: Stack) -> None:
    assert stat.S_IMODE(tiny.settings.secrets.stat().st_mode) == 0o600
    secrets = {value: name for name, value in dotenv_values(tiny.settings.secrets).items()}
    for process in (p for name in NAMES for p in tiny.processes(name)):
        assert not [word for word in process.cmdline() if any(str(key) in word for key in secrets)]
    for process in tiny.processes("services"):
        env = process.environ()
        known = {secrets[value] for value in env.values() if value in secrets}
        reads = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}  # prices, from this stack's own S3
        assert known == {*SERVICES, *reads}
        assert env["AWS_ENDPOINT_URL"] == tiny.settings.s3


def test_a_second_stack_on_the_same_home_is_refused(tiny: Stack) -> None:
    second = start(tiny.home.parent / "home")
    assert second.supervisor.wait(timeout=180) == 1
    said = " ".join(second.said.split())  # the console breaks long lines
    assert f"(pid {tiny.supervisor.pid})" in said
    wait_for(lambda: all(map(answers, urls(tiny.settings).values())), 60)


@pytest.mark.parametrize(
    ("name", "which"),
    [
        ("s3", "parent"),
        ("mlflow", "parent"),
        ("mlflow", "child"),
        ("services", "parent"),
        ("services", "child"),
    ],
)
def test_a_killed_process_comes_back_alone(tiny: Stack, name: str, which: str) -> None:
    family = tiny.processes(name)
    victim = family[0] if which == "parent" else family[-1]
    doomed = set(family if which == "parent" else family[-1:])  # no child outlives its parent
    others = {other: tiny.processes(other) for other in NAMES if other != name}
    victim.kill()

    def is_back() -> bool:
        now = tiny.processes(name)
        return len(now) == len(family) and not doomed & set(now) and answers(well[name])

    well = urls(tiny.settings)
    wait_for(is_back, 240)
    assert {other: tiny.processes(other) for other in others} == others
    assert tiny.supervisor.poll() is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stop_amid_the_start_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    stack = start(tmp_path / "home", TINY)
    try:
        wait_for(lambda: answers(stack.settings.s3) and stack.processes("mlflow"), 180)
        stack.supervisor.send_signal(number)
        assert stack.stop(number) == 0  # stopped twice
    finally:
        stack.supervisor.kill()
    wait_gone(stack)
    assert "Traceback" not in stack.said


def test_what_a_killed_supervisor_left_is_ended_by_the_next(tmp_path: Path) -> None:
    home = tmp_path / "home"
    first = start(home, TINY)
    wait_for(lambda: answers(first.settings.s3) and first.processes("mlflow"), 180)
    with left_behind(home, "services") as left:  # nothing tells it; Linux tells the servers
        first.supervisor.kill()
        first.supervisor.wait()
        second = start(home, TINY)
        try:
            wait_for(lambda: left.poll() is not None and answers(second.settings.s3), 180)
        finally:
            assert second.stop() == 0
    assert "of a stack that was killed" in second.said
    wait_gone(second)
    wait_gone(first)


def test_a_busy_port_is_named_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        busy = str(server.getsockname()[1])
        stack = start(tmp_path / "home", TINY, ASCENSO_MLFLOW_PORT=busy)
        assert stack.supervisor.wait(timeout=180) == 1
    assert f"Port {busy} is in use by" in stack.said
    assert "Set ASCENSO_MLFLOW_PORT" in stack.said
    assert not stack.settings.logs.exists()


def test_a_wrong_value_is_named(tmp_path: Path) -> None:
    stack = start(tmp_path / "home", ASCENSO_PORT="many")
    assert stack.supervisor.wait(timeout=180) == 1
    assert stack.said.startswith("ASCENSO_PORT has value 'many'.")


def test_a_server_that_cannot_start_is_shown_with_its_log(tmp_path: Path) -> None:
    command = (*TINY[:-1], "tests.deploy.tiny:Nothing")
    stack = start(tmp_path / "home", command, COLUMNS="1000")  # no path is broken
    assert stack.supervisor.wait(timeout=240) == 1
    assert "services does not stay up." in stack.said
    assert "Nothing" in stack.said.partition("services.log")[2]
    wait_gone(stack)


def test_a_second_start_keeps_the_models_and_answers_at_once(stack: Stack, tmp_path: Path) -> None:
    began = time.monotonic()
    second = start(copy(stack, tmp_path / "home"))
    try:
        wait_for(lambda: status(f"{second.api}/contugas/readyz") == 200, 240)
        took = time.monotonic() - began
        assert predict(second).json() == predict(stack).json()
        version = predict(second).headers["x-model-version"]
        assert version == predict(stack).headers["x-model-version"]
        wait_for(lambda: UP in second.said)
    finally:
        assert second.stop(signal.SIGTERM) == 0
    assert "training" not in second.said
    assert took < allowed(30)
    wait_gone(second)


def predict(stack: Stack) -> httpx.Response:
    reading = {"presion": 1.2, "temperatura": 25.5, "volumen": 100.0}
    return httpx.post(f"{stack.api}/contugas/predict", json=reading, timeout=60)


def copy(stack: Stack, home: Path) -> Path:
    """The state folder that the stack would leave behind if it stopped now."""
    ignore = shutil.ignore_patterns("lock", "logs", "mlflow.db*")
    shutil.copytree(stack.home, home, ignore=ignore)
    with (
        closing(sqlite3.connect(stack.home / "mlflow.db")) as source,
        closing(sqlite3.connect(home / "mlflow.db")) as target,
    ):
        source.backup(target)
    return home
