"""The mirror of a prefix, in a real S3."""

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bentos.cripto.mirror import Changed, Mirror
from bentos.registry.sources import S3Source, StoreUnavailable
from bentos.settings import RegistrySettings
from tests.serving.servers import BUCKET, Store
from tests.stack import wait_for

QUICK = RegistrySettings(poll_seconds=0.05, max_backoff_seconds=0.1)


@dataclass
class Seen:
    """What the mirror reported last, and each set of changes."""

    files: dict[str, bytes] = field(default_factory=dict)
    changes: list[set[str]] = field(default_factory=list)

    def __call__(self, files: Mapping[str, bytes], changed: Set[str]) -> None:
        self.files = dict(files)
        self.changes.append(set(changed))


@dataclass(frozen=True)
class Prefix:
    """A place of one test's own in the store."""

    store: Store
    name: str

    @property
    def root(self) -> str:
        return f"s3://{BUCKET}/artifacts/{self.name}"

    def put(self, name: str, body: bytes) -> None:
        self.store.put(f"{self.name}/{name}", body)

    def delete(self, name: str) -> None:
        self.store.delete(f"{self.name}/{name}")

    def mirror(self, folder: Path, changed: Changed) -> Mirror:
        return Mirror(self.root, folder, lambda name: name.endswith(".csv"), changed, QUICK)


@pytest.fixture
def prefix(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Prefix:
    for name, value in store.env.items():
        monkeypatch.setenv(name, value)
    return Prefix(store, tmp_path.name)


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def mirror(prefix: Prefix, tmp_path: Path, seen: Seen) -> Mirror:
    return prefix.mirror(tmp_path / "mirror", seen)


@pytest.fixture
def running(mirror: Mirror) -> Iterator[Mirror]:
    mirror.start()
    yield mirror
    mirror._loop.stop(60)


def test_only_what_changed_is_reported(prefix: Prefix, mirror: Mirror, seen: Seen) -> None:
    prefix.put("A/x.csv", b"1")
    prefix.put("B/y.csv", b"2")
    prefix.put("B/notes.txt", b"not wanted")
    mirror.look()
    mirror.look()
    assert seen.changes == [{"A/x.csv", "B/y.csv"}]
    prefix.put("A/x.csv", b"3")
    prefix.delete("B/y.csv")
    mirror.look()
    assert seen.changes[1:] == [{"A/x.csv", "B/y.csv"}]
    assert seen.files == {"A/x.csv": b"3"}


def test_a_change_is_seen_without_a_restart(prefix: Prefix, running: Mirror, seen: Seen) -> None:
    wait_for(lambda: not running.trouble, 60)
    prefix.put("A/x.csv", b"1")
    wait_for(lambda: seen.files == {"A/x.csv": b"1"}, 60)
    prefix.put("A/x.csv", b"2")
    wait_for(lambda: seen.files == {"A/x.csv": b"2"}, 60)


def test_the_next_start_needs_no_s3(
    prefix: Prefix, mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {"A/x.csv": b"1", "A@B/é %2F.csv": b"2"}
    for name, body in names.items():
        prefix.put(name, body)
    prefix.put("A/gone.csv", b"0")
    mirror.look()
    prefix.put("A/x.csv", b"3")
    prefix.delete("A/gone.csv")
    mirror.look()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    seen = Seen()
    again = prefix.mirror(tmp_path / "mirror", seen)
    again.start()
    try:
        wait_for(lambda: seen.changes, 60)
        assert seen.files == names | {"A/x.csv": b"3"}
        wait_for(lambda: f"cannot list s3://{BUCKET}" in again.trouble, 60)
    finally:
        again.stop()
        again._loop._thread.join(60)
    assert len(list((tmp_path / "mirror").iterdir())) == 2


def test_what_lies_on_disk_is_not_fetched_again(
    prefix: Prefix, mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix.put("A/x.csv", b"1")
    mirror.look()
    fetched: list[str] = []
    chunks = S3Source.chunks

    def counted(source: S3Source, name: str) -> Iterator[bytes]:
        fetched.append(name)
        return chunks(source, name)

    monkeypatch.setattr(S3Source, "chunks", counted)
    again = prefix.mirror(tmp_path / "mirror", Seen())
    again._restore()
    again.look()
    assert fetched == []
    prefix.put("A/x.csv", b"2")
    again.look()
    assert fetched == ["A/x.csv"]


def test_what_came_before_s3_broke_off_is_reported(
    prefix: Prefix, mirror: Mirror, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix.put("A/x.csv", b"1")
    prefix.put("B/y.csv", b"2")
    chunks = S3Source.chunks

    def breaking(source: S3Source, name: str) -> Iterator[bytes]:
        if name == "B/y.csv":
            raise StoreUnavailable("it broke off")
        return chunks(source, name)

    monkeypatch.setattr(S3Source, "chunks", breaking)
    with pytest.raises(StoreUnavailable, match="it broke off"):
        mirror.look()
    assert seen.files == {"A/x.csv": b"1"}
    monkeypatch.undo()
    mirror._source = S3Source(prefix.store.client, prefix.root)
    mirror.look()
    assert seen.changes == [{"A/x.csv"}, {"B/y.csv"}]


def test_a_file_that_goes_after_the_listing_is_left_to_the_next_look(
    prefix: Prefix, mirror: Mirror, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix.put("A/x.csv", b"1")
    etags = S3Source.etags
    monkeypatch.setattr(S3Source, "etags", lambda source: etags(source) | {"A/gone.csv": "e"})
    mirror.look()
    assert "A/gone.csv" not in seen.files


def test_a_bucket_that_is_missing_is_trouble_and_nothing_is_lost(
    prefix: Prefix, mirror: Mirror, seen: Seen
) -> None:
    prefix.put("A/x.csv", b"1")
    mirror.look()
    mirror._source = S3Source(prefix.store.client, "s3://nowhere/prices")
    mirror._loop.look_safely()
    assert "cannot list s3://nowhere" in mirror.trouble
    assert seen.files == {"A/x.csv": b"1"}
    mirror._source = S3Source(prefix.store.client, prefix.root)
    mirror._loop.look_safely()
    assert mirror.trouble == ""


def test_an_error_in_who_listens_does_not_stop_the_looks(
    prefix: Prefix, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(files: Mapping[str, bytes], changed: Set[str]) -> None:
        raise ZeroDivisionError

    mirror = prefix.mirror(tmp_path / "mirror", fail)
    prefix.put("A/x.csv", b"1")
    mirror._loop.look_safely()
    assert f"an internal error while looking at {prefix.root}" in mirror.trouble
    assert "ZeroDivisionError" in caplog.text


def test_a_disk_that_cannot_be_written_costs_only_the_next_start(
    prefix: Prefix, tmp_path: Path, seen: Seen, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    mirror = prefix.mirror(tmp_path / "file" / "mirror", seen)
    prefix.put("A/x.csv", b"1")
    mirror.look()
    assert seen.files == {"A/x.csv": b"1"}
    assert "a restart may not find it on disk" in caplog.text


def test_an_endpoint_that_is_none_is_trouble(
    prefix: Prefix, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "nonsense")
    with pytest.raises(StoreUnavailable, match=f"S3 cannot be used for {prefix.root}"):
        mirror.look()
