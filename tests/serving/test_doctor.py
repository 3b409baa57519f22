"""`ascenso doctor` on real servers: well, and broken in one way after another."""

import json
import resource
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bentos.cli import main
from bentos.cli.doctor import SUBJECTS, packages
from bentos.registry.client import Registry
from bentos.registry.runs import Runs
from tests.serving.servers import Server, Store, answering
from tests.serving.versions import Shelf
from tests.stack import free_ports

Doctor = Callable[..., Result]
WEAK = "a" * 64
EXAMINED = "examined"  # an alias: other tests leave versions in stages, without files too
FOLLOWED: dict[str, object] = {"stage": None, "aliases": [], "alias": EXAMINED}


@pytest.fixture
def doctor(server: Server, store: Store, tmp_path: Path) -> Doctor:
    """Run it on the servers of the tests; more of its environment by keyword."""
    ports = map(str, free_ports(3))
    names = ("ASCENSO_PORT", "ASCENSO_MLFLOW_PORT", "ASCENSO_S3_PORT")
    well = store.env | dict(zip(names, ports, strict=True)) | {
        "ASCENSO_CHANNELS": json.dumps({"default": FOLLOWED}),
        "ASCENSO_HOME": str(tmp_path / "home"),
        "ASCENSO_DATA": "s3://models/data",
        "ASCENSO_SECURITY__SECRET": secrets.token_hex(32),
        "ASCENSO_WEBHOOK_SECRET": secrets.token_hex(32),
        "ASCENSO_URL": "http://127.0.0.1:1",
        "MLFLOW_TRACKING_URI": server.url,
    }  # fmt: skip

    def run(*arguments: str, **environment: str) -> Result:
        return CliRunner().invoke(main, ["doctor", *arguments], env=well | environment)

    return run


def not_ok(result: Result) -> dict[str, str]:
    """What is not as it should be: the check, and its state with what was said."""
    found = json.loads(result.output)
    return {
        f"{one['subject']}: {one['check']}": f"{one['state']}: {one['text']} -> {one['mend']}"
        for one in found
        if one["state"] != "ok"
    }


def only(result: Result, check: str, *words: str) -> None:
    """Exactly one thing is wrong; what is said of it has these words."""
    found = not_ok(result)
    assert list(found) == [check], found
    assert result.exit_code == (1 if found[check].startswith("failure") else 0)
    for word in words:
        assert word in found[check]


def test_all_is_well(shelf: Shelf, doctor: Doctor, registry: Registry) -> None:
    registry.set_alias(shelf.name, shelf.add().version, EXAMINED)
    before = registry.models()
    result = doctor("--json")
    found = json.loads(result.output)
    assert result.exit_code == 0, result.output
    assert {one["subject"] for one in found} == set(SUBJECTS)
    bad = {name for name in not_ok(result) if not name.startswith("sandbox")}  # of this machine
    assert bad == {"secrets: users"}
    assert registry.models().keys() == before.keys()
    runs = Runs(registry.address)
    assert runs.find_runs(runs.experiment("ascenso-doctor"), "") == []
    runs.http.close()


def test_a_line_for_each_check_and_what_to_set_below(doctor: Doctor) -> None:
    result = doctor("secrets", ASCENSO_SECURITY__SECRET=WEAK)
    assert result.exit_code == 1
    failed, mend = result.output.splitlines()[:2]
    assert failed == "failure  secrets: tokens: ASCENSO_SECURITY__SECRET is weak"
    assert mend.startswith("         -> set ASCENSO_SECURITY__SECRET")
    assert "ok       secrets: admin key: none is set" in result.output


@pytest.mark.parametrize(
    ("subject", "check", "variables", "words"),
    [
        ("registry", "answers", {"MLFLOW_TRACKING_URI": "http://127.0.0.1:1"}, ["make up"]),
        ("store", "listing", {"AWS_SECRET_ACCESS_KEY": "x"}, ["AWS_SECRET_ACCESS_KEY"]),
        ("store", "keys", {"AWS_SECRET_ACCESS_KEY": ""}, ["AWS_SECRET_ACCESS_KEY"]),
        ("store", "listing", {"ASCENSO_DATA": "s3://nowhere"}, ["make the bucket nowhere"]),
        ("store", "clock", {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, ["AWS_ENDPOINT_URL"]),
        ("ports", "s3", {"ASCENSO_S3_PORT": "many"}, ["'many'", "ASCENSO_S3_PORT"]),
        ("machine", "state folder", {"ASCENSO_HOME": "/dev/null/home"}, ["ASCENSO_HOME"]),
        ("machine", "disk", {"ASCENSO_CACHE__BYTES": "9" * 18}, ["ASCENSO_CACHE__BYTES"]),
        ("machine", "memory", {"ASCENSO_ADMISSION__MEMORY_MB": "9" * 9}, ["KEEP_PREVIOUS"]),
        ("sandbox", "package index", {"UV_INDEX_URL": "http://127.0.0.1:1"}, ["UV_INDEX_URL"]),
        ("admission", "tiny model", {"ASCENSO_ADMISSION__LATENCY_MS": "1e-9"}, ["latency_ms"]),
    ],
)  # fmt: skip
def test_what_is_broken_is_named(
    doctor: Doctor, subject: str, check: str, variables: dict[str, str], words: list[str]
) -> None:
    only(doctor(subject, "--json", **variables), f"{subject}: {check}", *words)


def test_a_setting_that_cannot_be_used_is_all_that_is_said(doctor: Doctor) -> None:
    result = doctor("--json", ASCENSO_LIMITS__BATCH_ROWS="many")
    only(result, "settings: configs", "limits.batch_rows", "ASCENSO_LIMITS__BATCH_ROWS")


def test_another_server_is_no_registry_and_no_service(doctor: Doctor) -> None:
    with answering(b"<html>") as (url, _):
        port = url.rpartition(":")[2]
        only(doctor("registry", "--json", "--registry", url), "registry: version", url)
        only(doctor("ports", "--json", ASCENSO_PORT=port), "ports: services", port)


def test_clocks_that_differ(doctor: Doctor) -> None:
    late = format_datetime(datetime.now(UTC) - timedelta(hours=1))
    with answering(b"<Error>", headers=f"Date: {late}\r\n") as (url, _):
        result = doctor("store", "--json", AWS_ENDPOINT_URL=url)
    only(result, "store: clock", " 36", "timedatectl")


def test_files_that_are_gone_from_the_store(shelf: Shelf, store: Store, doctor: Doctor) -> None:
    version = shelf.add()
    shelf.registry.set_alias(shelf.name, version.version, EXAMINED)
    for name in shelf.files(version):
        store.delete(shelf.key(version, name))
    result = doctor("store", "--json")
    shelf.registry.delete_alias(shelf.name, EXAMINED)
    only(result, "store: download", str(version), "restore its files")


def test_few_open_files(doctor: Doctor) -> None:
    with lowered(200):
        only(doctor("machine", "--json"), "machine: open files", "200", "ulimit -n")


@contextmanager
def lowered(files: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_secrets_that_others_may_read(doctor: Doctor, tmp_path: Path) -> None:
    file = tmp_path / "home" / "secrets.env"
    file.parent.mkdir()
    file.write_text(f"ASCENSO_ADMIN_KEY={WEAK}\n")
    file.chmod(0o644)
    found = not_ok(doctor("secrets", "--json"))
    assert "chmod 600" in found["secrets: file of secrets"]
    assert "ASCENSO_ADMIN_KEY is weak" in found["secrets: admin key"]
    assert WEAK not in str(found)


def test_no_sandbox_and_no_uv_are_warned_of(doctor: Doctor, tmp_path: Path) -> None:
    found = not_ok(doctor("sandbox", "--json", PATH=str(tmp_path)))
    assert "apt-get install bubblewrap" in found["sandbox: bubblewrap"]
    assert all(said.startswith("warning") for said in found.values())


def test_other_packages_than_the_lock_has(
    doctor: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text("numpy==1.0 \\\n    --hash=sha256:0\nno-such-package==2.0\n")
    monkeypatch.setattr(packages, "LOCK", lock)
    only(doctor("packages", "--json"), "packages: locked", "not 1.0", "make up")
