import socket
from base64 import b64encode
from pathlib import Path

import httpx
import pytest

from bentos.registry import client as module
from bentos.registry.access import AccessError, is_loopback
from bentos.registry.client import (
    TAG_LIMIT,
    NotInRegistry,
    Registry,
    RegistryRefused,
    RegistryUnavailable,
    Version,
)
from bentos.registry.runs import Runs
from bentos.registry.sources import ProxySource, StoreUnavailable
from bentos.registry.webhooks import Webhooks
from tests.serving.servers import answering, certified
from tests.serving.versions import Shelf
from tests.stack import free_ports


def create(registry: Registry, name: str) -> None:
    registry.http.post("mlflow/registered-models/create", json={"name": name}).raise_for_status()


def test_model_with_its_stages_and_aliases(shelf: Shelf) -> None:
    first, second = shelf.add(), shelf.add()
    shelf.registry.promote(shelf.name, first.version, "Production")
    shelf.registry.set_alias(shelf.name, second.version, "champion")
    model = shelf.registry.models()[shelf.name]
    stages = {version.version: version.stage for version in model.latest_versions}
    assert stages == {"1": "Production", "2": "None"}
    assert model.alias("champion") == "2"
    assert model.alias("challenger") is None
    promoted = shelf.version(1)
    assert promoted.last_updated_timestamp == model.last_updated_timestamp
    assert promoted.digest.startswith("sha256:")
    assert promoted.run_id
    assert str(promoted) == f"{shelf.name}/1"


def test_promoting_archives_the_one_before(shelf: Shelf) -> None:
    for version in (shelf.add(), shelf.add()):
        shelf.registry.promote(shelf.name, version.version, "Production")
    assert {v.version: v.stage for v in shelf.registry.versions(shelf.name)} == {
        "1": "Archived",
        "2": "Production",
    }


def test_every_page_is_read(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {f"paged-{number}" for number in range(7)}
    for name in names:
        create(registry, name)
    monkeypatch.setattr(module, "PAGE", 3)
    assert names <= registry.models().keys()


def test_every_page_of_versions_is_read(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    create(shelf.registry, shelf.name)
    for _ in range(5):
        body = {"name": shelf.name, "source": "s3://models/nowhere"}
        made = shelf.registry.http.post("mlflow/model-versions/create", json=body)
        made.raise_for_status()
    monkeypatch.setattr(module, "PAGE", 2)
    found = [version.version for version in shelf.registry.versions(shelf.name)]
    assert sorted(found) == ["1", "2", "3", "4", "5"]


@pytest.mark.parametrize(
    "name",
    [
        *("it's 100% ours", 'the "new" one', "gás & água", "a+b?c#d"),
        *("a'b\"c", "_'%\"", "back\\slash", "new\nline", " space ", "房" * 255),
    ],
)
def test_any_name_can_be_asked_for(registry: Registry, name: str) -> None:
    create(registry, name)
    body = {"name": name, "source": "s3://models/nowhere"}
    registry.http.post("mlflow/model-versions/create", json=body).raise_for_status()
    assert [version.name for version in registry.versions(name)] == [name]
    assert registry.version(name, "1").name == name


def test_tags(shelf: Shelf) -> None:
    version = shelf.add()
    shelf.registry.set_tag(version, "serving.state", "live")
    shelf.registry.set_tag(version, "serving.reason", "")
    shelf.registry.set_tag(version, "serving.long", "x" * (TAG_LIMIT + 1))
    found = shelf.version(1)
    assert found.tag("serving.state") == "live"
    assert len(found.tag("serving.long")) == TAG_LIMIT
    assert found.tag("serving.reason") == found.tag("never.set") == ""
    shelf.registry.delete_tag(version, "serving.state")
    assert shelf.version(1).tag("serving.state") == ""


def test_what_is_not_there(registry: Registry) -> None:
    nobody = Version("nobody", "1")
    for ask in (
        lambda: registry.version("nobody", "1"),
        lambda: registry.artifact_uri(nobody),
        lambda: registry.set_tag(nobody, "serving.state", "live"),
        lambda: registry.promote("nobody", "1", "Production"),
        lambda: registry.set_alias("nobody", "1", "champion"),
    ):
        with pytest.raises(NotInRegistry, match="nobody"):
            ask()
    assert registry.versions("nobody") == []


def test_deleted_version(shelf: Shelf) -> None:
    version = shelf.add()
    body = {"name": shelf.name, "version": version.version}
    shelf.registry.http.request("DELETE", "mlflow/model-versions/delete", json=body)
    with pytest.raises(NotInRegistry):
        shelf.version(1)
    with pytest.raises(NotInRegistry):
        shelf.registry.set_tag(version, "serving.state", "live")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"Internal Server Error", 500),
        (b"<html>maintenance</html>", 200),
        (b"", 200),
        (b'{"registered_models": ["contugas"]}', 200),
        (b'{"registered_models": [{"name": 7}]}', 200),
        (b'{"registered_models": [{"name": "\xff"}]}', 200),
        (b'{"registered_models": [', 200),
        (b"[]", 200),
        (b"null", 200),
        (b"not here", 404),
        (b"elsewhere", 302),
        (b"no entry", 403),
    ],
)
def test_garbage_is_a_registry_that_cannot_be_read(body: bytes, status: int) -> None:
    with answering(body, status) as (url, _), pytest.raises(RegistryUnavailable, match=url):
        Registry(url).models()


def test_half_an_answer() -> None:
    with (
        answering(b'{"registered_models":', length=1000) as (url, _),
        pytest.raises(RegistryUnavailable, match=url),
    ):
        Registry(url).models()


def test_nobody_listens() -> None:
    url = f"http://127.0.0.1:{free_ports(1)[0]}"
    with pytest.raises(RegistryUnavailable, match=f"MLflow at {url} does not answer"):
        Registry(url).models()


def test_silence_ends() -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        url = f"http://127.0.0.1:{sock.getsockname()[1]}"
        with pytest.raises(RegistryUnavailable, match=url):
            Registry(url, timeout=0.1).models()


def test_credentials_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ana")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "a:b")
    with answering(b"{}") as (url, heard):
        assert Registry(url).models() == {}
    assert b"Authorization: Basic " + b64encode(b"ana:a:b") in heard[0]


def test_a_name_with_both_quotes_is_not_taken_for_a_pattern(registry: Registry) -> None:
    for name in ("one'of\"them", 'one-of"them'):
        create(registry, name)
        body = {"name": name, "source": "s3://models/nowhere"}
        registry.http.post("mlflow/model-versions/create", json=body).raise_for_status()
    assert [version.name for version in registry.versions("one'of\"them")] == ["one'of\"them"]


def test_a_token_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_USERNAME", raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "hunter2")
    with answering(b"{}") as (url, heard):
        assert Registry(url).models() == {}
    assert b"authorization: bearer hunter2" in heard[0].lower()


def test_certificates_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with answering(b"{}", tls=certified(tmp_path)) as (url, _):
        with pytest.raises(RegistryUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
            Registry(url).models()
        monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(tmp_path / "cert.pem"))
        assert Registry(url).models() == {}
        monkeypatch.setenv("MLFLOW_TRACKING_INSECURE_TLS", "true")
        with pytest.raises(AccessError, match="exclude each other"):
            Registry(url)
        monkeypatch.delenv("MLFLOW_TRACKING_SERVER_CERT_PATH")
        assert Registry(url).models() == {}
        monkeypatch.setenv("MLFLOW_TRACKING_CLIENT_CERT_PATH", str(tmp_path / "none.pem"))
        with pytest.raises(AccessError, match=r"CLIENT_CERT_PATH is '.*none\.pem', which cannot"):
            Registry(url)


@pytest.mark.parametrize(
    ("uri", "near"),
    [
        ("http://127.0.0.1:5000", True),
        ("http://ana:hunter2@localhost:5000", True),
        ("http://[::1]:5000", True),
        ("http://mlflow:5000", False),
        ("https://192.168.0.7", False),
        ("http://[bad", False),
    ],
)
def test_whether_a_server_is_on_this_machine(uri: str, near: bool) -> None:
    assert is_loopback(uri) == near


@pytest.mark.parametrize(
    ("credentials", "sent"),
    [
        ("ana:hunter2", b"ana:hunter2"),
        ("ana:p%40ss%2Fword", b"ana:p@ss/word"),
        ("ana:hunter@2/3", b"ana:hunter@2/3"),  # not encoded as it should be
        ("hunter2", b"hunter2:"),  # a token
    ],
)
def test_credentials_of_the_address_are_sent_and_never_shown(
    monkeypatch: pytest.MonkeyPatch, credentials: str, sent: bytes
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_USERNAME", raising=False)
    with answering(b"no entry", 403) as (url, heard):
        address = url.replace("//", f"//{credentials}@")
        for ask in (
            Registry(address).models,
            lambda: Runs(address).put("mlflow-artifacts:/1", "name", b""),
            ProxySource(Registry(address), "1/files").names,
            lambda: list(Webhooks(Registry(address)).all()),
        ):
            with pytest.raises((RegistryUnavailable, RegistryRefused, StoreUnavailable)) as caught:
                ask()
            assert "hunter" not in str(caught.value)
            assert "p%40" not in str(caught.value)
    assert all(b"Basic " + b64encode(sent) in request for request in heard)


@pytest.mark.parametrize(
    "address", ["http://ana:hunter2@", "ana:hunter2@mlflow:5000", "http://hunter2@mlflow:x"]
)
def test_an_address_that_cannot_be_used_does_not_show_its_password(address: str) -> None:
    with pytest.raises((RegistryUnavailable, httpx.InvalidURL)) as caught:
        Registry(address).models()
    assert "hunter2" not in str(caught.value)
