import os
from collections.abc import Callable
from pathlib import Path

import boto3
import pytest
from botocore.stub import Stubber

from bentos.registry.client import Registry, RegistryUnavailable
from bentos.registry.sources import (
    CHUNK,
    FileMissing,
    ProxySource,
    S3Source,
    Source,
    StoreUnavailable,
    open_source,
)
from bentos.settings import RegistrySettings
from tests.serving.gate import gated
from tests.serving.servers import BUCKET, Server, Store, answering, reading, storing

FILES = {
    "MLmodel": b"flavors: {}",
    "model.skops": bytes(range(256)) * 8192,  # more than one chunk
    "ascenso/manifest.json": b"{}",
    "deep/er/a b.txt": b"spaces",
    "deep/a+b&c=1.txt": b"marks",
    "deep/gás.txt": b"accents",
    "empty": b"",
}
PROXY = RegistrySettings()
S3 = RegistrySettings(artifacts="s3", s3_root=f"s3://{BUCKET}/artifacts/")

Place = Callable[[str], Source]


def put(store: Store, folder: str, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        store.put(f"{folder}/{name}", content)


def use(monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
    for name, value in store.env.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(params=["proxy", "s3 below a root", "s3 by address"])
def place(
    request: pytest.FixtureRequest,
    registry: Registry,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
) -> Place:
    use(monkeypatch, store)

    def opened(folder: str) -> Source:
        if request.param == "proxy":
            return open_source(registry, PROXY, f"mlflow-artifacts:/{folder}")
        if request.param == "s3 below a root":
            return open_source(registry, S3, f"mlflow-artifacts:/{folder}")
        return open_source(registry, PROXY, f"s3://{BUCKET}/artifacts/{folder}")

    return opened


def read(source: Source, name: str) -> bytes:
    return b"".join(source.chunks(name))


def test_every_file(place: Place, store: Store) -> None:
    put(store, "1/models/m-1/artifacts", FILES)
    put(store, "1/models/m-10/artifacts", {"neighbour": b""})
    source = place("1/models/m-1/artifacts")
    assert source.names() == sorted(FILES)
    assert {name: read(source, name) for name in FILES} == FILES


def test_what_a_console_makes_as_a_folder_is_no_file() -> None:
    keys = ["m/", "m/MLmodel", "m/ascenso/", "m/ascenso/manifest.json"]
    contents = [{"Key": key, "ETag": '"e"', "Size": 0} for key in keys]
    client = boto3.client(
        "s3", region_name="us-east-1", aws_access_key_id="k", aws_secret_access_key="s"
    )
    with Stubber(client) as stubbed:
        stubbed.add_response("list_objects_v2", {"Contents": contents})
        assert S3Source(client, "s3://models/m").names() == ["MLmodel", "ascenso/manifest.json"]


def test_chunks_are_bounded(place: Place, store: Store) -> None:
    put(store, "1/models/m-2", FILES)
    sizes = [len(chunk) for chunk in place("1/models/m-2").chunks("model.skops")]
    assert len(sizes) >= 2
    assert max(sizes) <= CHUNK


def test_missing_file(place: Place, store: Store) -> None:
    put(store, "1/models/m-3", {"MLmodel": b""})
    # MLflow tells of a file missing in S3 as of any other trouble there
    with pytest.raises((FileMissing, StoreUnavailable), match=r"ascenso/manifest\.json"):
        read(place("1/models/m-3"), "ascenso/manifest.json")


def test_folder_that_is_not_there(place: Place) -> None:
    assert place("1/models/never").names() == []


def test_s3_killed_amid_a_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with storing(tmp_path / "s3") as (store, server):
        use(monkeypatch, store)
        put(store, "m", {"model.skops": os.urandom(64 * CHUNK)})
        source = open_source(Registry("http://127.0.0.1:1"), S3, "mlflow-artifacts:/m")
        chunks = source.chunks("model.skops")
        assert len(next(chunks)) == CHUNK
        server.kill()
        with pytest.raises(StoreUnavailable, match=r"s3://models/artifacts/m/model\.skops"):
            list(chunks)
        server.start()
        assert sum(map(len, source.chunks("model.skops"))) == 64 * CHUNK


def test_mlflow_lost_amid_a_download(server: Server, store: Store) -> None:
    put(store, "1/models/m-4", {"model.skops": os.urandom(4 * CHUNK)})
    with gated(server.url) as gate, reading(gate.url) as registry:
        source = ProxySource(registry, "1/models/m-4")
        gate.cut_after = 2 * CHUNK
        with pytest.raises(StoreUnavailable, match=r"model\.skops"):
            read(source, "model.skops")
        gate.cut_after = None
        assert len(read(source, "model.skops")) == 4 * CHUNK


def test_mlflow_down(server: Server) -> None:
    with gated(server.url) as gate, reading(gate.url) as registry:
        source = ProxySource(registry, "1/models/m-4")
        gate.shut()
        with pytest.raises(StoreUnavailable, match="cannot list '1/models/m-4'"):
            source.names()
        with pytest.raises(StoreUnavailable, match="cannot read 'MLmodel'"):
            read(source, "MLmodel")


@pytest.mark.parametrize(
    ("body", "status"), [(b"<html>", 200), (b'{"files": "\xff"}', 200), (b"", 500), (b"[]", 200)]
)
def test_garbage_for_a_listing(body: bytes, status: int) -> None:
    with answering(body, status) as (url, _), pytest.raises(StoreUnavailable):
        ProxySource(Registry(url), "m").names()


def test_server_error_for_a_file() -> None:
    with answering(b"oops", 500) as (url, _), pytest.raises(StoreUnavailable, match="500"):
        read(ProxySource(Registry(url), "m"), "MLmodel")


def test_file_that_a_server_does_not_have() -> None:
    with answering(b"", 404) as (url, _), pytest.raises(FileMissing, match="MLmodel"):
        read(ProxySource(Registry(url), "m"), "MLmodel")


def test_wrong_keys(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, store)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    source = open_source(Registry("http://127.0.0.1:1"), S3, "mlflow-artifacts:/m")
    assert isinstance(source, S3Source)
    with pytest.raises(StoreUnavailable, match="cannot list s3://models"):
        source.names()
    with pytest.raises(StoreUnavailable, match="cannot read s3://models/artifacts/m/MLmodel"):
        read(source, "MLmodel")


def test_no_keys_at_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    source = open_source(Registry("http://127.0.0.1:1"), S3, "s3://models/m")
    with pytest.raises(StoreUnavailable, match="credentials"):
        source.names()


@pytest.mark.parametrize("uri", ["file:///var/mlruns/1", "/var/mlruns", "ftp://host/m", ""])
def test_places_that_cannot_be_read(uri: str) -> None:
    with pytest.raises(RegistryUnavailable, match="--serve-artifacts"):
        open_source(Registry("http://127.0.0.1:1"), PROXY, uri)
