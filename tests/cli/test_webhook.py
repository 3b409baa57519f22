import json
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result

from bentos.cli import main
from bentos.registry import webhooks
from bentos.registry.client import Registry
from bentos.registry.webhooks import PATH, Webhooks
from bentos.settings import settings
from deploy.local import keys
from tests.cli.conftest import Ascenso
from tests.serving.servers import Server, answering, storing, tracking
from tests.stack import Stack, free_ports
from tests.web.hooked import BODY, signed

PUBLIC = "https://8.8.8.8/hooks/mlflow"  # no delivery goes there: nothing happens


@pytest.fixture
def webhook(stack: Stack, ascenso: Ascenso) -> Iterator[Ascenso]:
    """The commands, with the state folder of the shared stack, which loses all webhooks after."""

    def run(*arguments: str, **more: str) -> Result:
        settings.cache_clear()  # a process of its own would read them anew
        return ascenso("webhook", *arguments, **{"ASCENSO_HOME": str(stack.home)} | more)

    yield run
    settings.cache_clear()
    registry = Registry(stack.mlflow)
    webhooks = Webhooks(registry)
    for one in list(webhooks.all()):
        webhooks.remove(one)
    registry.http.close()


def rows(listed: Result) -> list[str]:
    return listed.output.splitlines()[1:]


def test_installed_once_listed_and_removed(stack: Stack, webhook: Ascenso) -> None:
    assert webhook("list").output == "There are no webhooks\n"
    for _ in range(2):
        installed = webhook("install")
        assert installed.exit_code == 0, installed.output
        assert f"MLflow wakes {stack.api}{PATH} from now on" in installed.output
    (row,) = rows(webhook("list"))
    assert f"{stack.api}{PATH}" in row
    assert "ACTIVE" in row
    for event in ("alias.created", "alias.deleted", "model_version.created"):
        assert event in row
    assert webhook("remove").exit_code == 0
    assert webhook("list").output == "There are no webhooks\n"
    again = webhook("remove")
    assert again.exit_code == 1
    assert f"No webhook goes to {stack.api}{PATH}" in again.stderr


def test_for_one_service(stack: Stack, webhook: Ascenso) -> None:
    installed = webhook("install", "--url", f"{stack.api}/contugas/")
    assert installed.exit_code == 0, installed.output
    webhook("install", "--url", f"{stack.api}{PATH}")
    assert len(rows(webhook("list"))) == 2
    assert webhook("remove", "--url", f"{stack.api}/contugas").exit_code == 0
    (row,) = rows(webhook("list"))
    assert f"{stack.api}{PATH}" in row


def test_another_secret_than_the_services_have(
    stack: Stack, webhook: Ascenso, ascenso: Ascenso
) -> None:
    failed = webhook("install", ASCENSO_WEBHOOK_SECRET="another")
    assert failed.exit_code == 1
    assert "it answered 401" in failed.stderr
    assert "the same ASCENSO_WEBHOOK_SECRET" in failed.stderr
    assert "another" not in failed.output
    result = ascenso("doctor", "webhooks", ASCENSO_HOME=str(stack.home))
    assert result.output.startswith("warning  webhooks: webhook: an example does not arrive")
    assert "it answered 401" in result.output
    assert webhook("install").exit_code == 0  # the right one takes its place
    assert len(rows(webhook("list"))) == 1


def test_the_secret_is_never_shown(stack: Stack, webhook: Ascenso) -> None:
    secret = keys.ensure(stack.home / "secrets.env")["ASCENSO_WEBHOOK_SECRET"]
    shown = webhook("install").output + webhook("list").output
    result = httpx.get(f"{stack.mlflow}/api/2.0/mlflow/webhooks", timeout=60).text
    logs = "".join(file.read_text() for file in (stack.home / "logs").glob("*.log"))
    assert secret not in shown + result + logs


def test_no_such_path(stack: Stack, webhook: Ascenso) -> None:
    failed = webhook("install", "--url", f"{stack.api}/nothing")
    assert failed.exit_code == 1
    assert "it answered 404" in failed.stderr


def test_no_secret_at_all(tmp_path: Path, webhook: Ascenso) -> None:
    failed = webhook("install", ASCENSO_HOME=str(tmp_path))
    assert failed.exit_code == 1
    assert "ASCENSO_WEBHOOK_SECRET is not set" in failed.stderr
    assert str(tmp_path / "secrets.env") in failed.stderr


def test_a_delivery_is_taken_once_whatever_the_path(stack: Stack) -> None:
    secret = keys.ensure(stack.home / "secrets.env")["ASCENSO_WEBHOOK_SECRET"]
    for first, second in (("", "/contugas"), ("/contugas", "")):
        headers = signed(secret=secret)
        taken = httpx.post(f"{stack.api}{first}{PATH}", content=BODY, headers=headers, timeout=60)
        assert taken.status_code == 202
        replayed = httpx.post(
            f"{stack.api}{second}{PATH}", content=BODY, headers=headers, timeout=60
        )
        assert replayed.status_code == 401
        assert "taken before" in replayed.text


def test_the_stack_refuses_strangers(stack: Stack) -> None:
    for path in ("", "/contugas"):
        assert httpx.post(f"{stack.api}{path}{PATH}", content=BODY, timeout=60).status_code == 401
        old = signed(timestamp=str(int(time.time()) - 3600))
        assert httpx.post(f"{stack.api}{path}{PATH}", headers=old, timeout=60).status_code == 401
    assert PATH in httpx.get(f"{stack.api}/contugas/openapi.json", timeout=60).json()["paths"]


def run(mlflow: str, *arguments: str) -> Result:
    env = {"MLFLOW_TRACKING_URI": mlflow, "ASCENSO_WEBHOOK_SECRET": "mine"}
    settings.cache_clear()
    try:
        return CliRunner().invoke(main, ["webhook", *arguments], env=env)
    finally:
        settings.cache_clear()


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An MLflow server as it comes: https only, public addresses only, no key for secrets."""
    folder = tmp_path_factory.mktemp("strict")
    with storing(folder / "s3") as (store, _), tracking(folder, store) as server:
        yield server


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("http://127.0.0.1:3000", "MLFLOW_WEBHOOK_ALLOWED_SCHEMES=http,https"),
        ("http://models.example.com", "MLFLOW_WEBHOOK_ALLOWED_SCHEMES=http,https"),
        ("https://127.0.0.1:3000", "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS=true"),
        ("https://10.0.0.7", "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS=true"),
        ("https://169.254.169.254", "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS=true"),
        ("nonsense", "MLFLOW_WEBHOOK_ALLOWED_SCHEMES"),
    ],
)
def test_an_address_that_mlflow_refuses(strict: Server, url: str, advice: str) -> None:
    failed = run(strict.url, "install", "--url", url)
    assert failed.exit_code == 1
    assert advice in failed.stderr
    assert failed.stderr.count("\n") == 1
    assert run(strict.url, "list").output == "There are no webhooks\n"


def test_every_page_is_listed(strict: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "PAGE", 2)
    registry = Registry(strict.url)
    kept = Webhooks(registry)
    made = [kept.install(f"{PUBLIC}/{number}", "mine") for number in range(5)]
    listed = run(strict.url, "list").output
    for one in made:
        kept.remove(one)
    assert [one.url in listed for one in made] == [True] * 5
    assert list(kept.all()) == []
    registry.http.close()


def test_mlflow_restarted_without_its_key(strict: Server) -> None:
    registry = Registry(strict.url)
    Webhooks(registry).install(PUBLIC, "mine")
    strict.kill()
    strict.start()
    failed = run(strict.url, "list")
    assert failed.exit_code == 1
    assert "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY" in failed.stderr
    registry.http.close()


@pytest.mark.parametrize("command", ["install", "list", "remove"])
def test_mlflow_is_down(command: str) -> None:
    (port,) = free_ports(1)
    failed = run(f"http://127.0.0.1:{port}", command)
    assert failed.exit_code == 2
    assert f"MLflow at http://127.0.0.1:{port} does not answer" in failed.stderr


def test_the_services_are_down() -> None:
    """What MLflow answers then, after eight seconds of trying."""
    known = {"webhook_id": "1", "name": "ascenso", "url": f"http://127.0.0.1:3000{PATH}"}
    result = {"success": False, "error_message": "Failed to test webhook: ConnectionError()"}
    answer = json.dumps({"webhook": known, "result": result}).encode()
    with answering(answer) as (url, _):
        failed = run(url, "install")
    assert failed.exit_code == 1
    assert "ConnectionError(). MLflow must reach the services at --url" in failed.stderr


@pytest.mark.parametrize("body", [b"<html>", b"", b"\xff", b'{"webhooks": [7]}'])
def test_something_else_answers(body: bytes) -> None:
    with answering(body) as (url, _):
        failed = run(url, "list")
    assert failed.exit_code == 2
    assert f"{url} is no MLflow with webhooks" in failed.stderr
