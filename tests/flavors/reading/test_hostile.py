"""What strangers send is refused, by name where it has one, and nothing of it runs."""

import bz2
import gzip
import io
import lzma
import pickle
import socket
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest

from bentos.flavors.reading import (
    Damaged,
    Limits,
    Unreadable,
    Unreviewed,
    read_joblib,
    read_pickle,
)
from tests.flavors.reading.hostile import CALLED, TRICKS, call, canary, old_call


@pytest.fixture
def command(tmp_path: Path) -> Iterator[str]:
    """A command whose traces would show that it ran."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield canary(tmp_path, server.getsockname()[1])
        with pytest.raises(BlockingIOError):
            server.accept()
    assert not (tmp_path / "sang").exists()


def test_the_canary_sings_where_a_pickle_is_loaded(tmp_path: Path) -> None:
    pickle.loads(old_call("os.system")(canary(tmp_path, 9)))
    assert (tmp_path / "sang").exists()


@pytest.mark.parametrize("name", CALLED.split())
def test_a_call_of_anything_is_refused_by_its_name(name: str, command: str) -> None:
    module, _, function = name.rpartition(".")
    for data in (old_call(name)(command), call(module, function, command)):
        with pytest.raises(Unreviewed, match="is not a type that Ascenso knows") as refused:
            read_pickle(data)
        assert refused.value.name == name


@pytest.mark.parametrize("trick", TRICKS)
def test_a_trick_is_refused(trick: str, command: str) -> None:
    with pytest.raises(Unreadable):
        read_pickle(TRICKS[trick](command))


def test_the_refusal_says_what_to_do() -> None:
    with pytest.raises(Unreviewed) as refused:
        read_pickle(call("my_package.features", "Ratio", ""))
    assert str(refused.value) == (
        "my_package.features.Ratio is not a type that Ascenso knows: see quarantine in "
        "docs/models.md"
    )


class Evil:
    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> Any:
        import os

        return os.system, (self.command,)


@pytest.mark.parametrize("compress", [0, ("zlib", 3), ("gzip", 3), ("bz2", 3), ("xz", 3)], ids=str)
def test_an_array_of_objects_in_a_file_of_joblib_runs_nothing(
    compress: Any, tmp_path: Path, command: str
) -> None:
    array = np.empty(1, dtype=object)
    array[0] = Evil(command)
    path = tmp_path / "evil.joblib"
    joblib.dump({"scaler": array}, path, compress=compress)
    with pytest.raises(Unreviewed, match="system"):
        read_joblib(path)


SMALL = Limits(objects=10_000, depth=50, bytes=1 << 20)
PACK: dict[str, Callable[[bytes], bytes]] = {
    "zlib": zlib.compress,
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
}


@pytest.mark.parametrize("name", PACK)
def test_a_file_that_unpacks_to_too_much_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "bomb.joblib"
    path.write_bytes(PACK[name](bytes(16 << 20)))
    with pytest.raises(Damaged, match="unpacks to more than 1,048,576 bytes"):
        read_joblib(path, SMALL)
    path.write_bytes(PACK[name](pickle.dumps(1))[:-9])
    with pytest.raises(Damaged):
        read_joblib(path, SMALL)


def test_an_array_of_joblib_that_is_longer_than_its_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "short.joblib"
    joblib.dump(np.arange(1000.0), path)
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(Damaged, match="has not the bytes"):
        read_joblib(path)


def test_what_is_asked_for_again_and_again_is_counted() -> None:
    raw = pickle.dumps(bytes(1 << 19), protocol=4)[:-1]
    copies = b"".join(b"0cbuiltins\nbytearray\nh\x00\x85R" for _ in range(3))
    with pytest.raises(Damaged, match="copies of more than"):
        read_pickle(raw + copies + b".", SMALL)
    with pytest.raises(Damaged, match="more than 10,000 steps"):
        read_pickle(b"\x80\x04" + b"N0" * 20_000 + b"N.", SMALL)
    with pytest.raises(Damaged, match="1,048,576 are read"):
        read_pickle(bytes(2 << 20), SMALL)


def test_arrays_of_objects_count_together(tmp_path: Path) -> None:
    path = tmp_path / "many.joblib"
    joblib.dump([np.arange(1000).astype(object) for _ in range(20)], path)
    with pytest.raises(Damaged, match="more than 10,000 steps"):
        read_joblib(path, SMALL)


def test_whatever_byte_is_changed_the_reader_says_what_it_is() -> None:
    from sklearn.preprocessing import StandardScaler

    data = pickle.dumps(StandardScaler().fit(np.arange(8.0).reshape(4, 2)))
    random = np.random.default_rng(0)
    for _ in range(2000):
        changed = bytearray(data)
        changed[random.integers(len(data))] = random.integers(256)
        try:
            read_pickle(bytes(changed), SMALL)
        except Unreadable:
            continue


def test_a_name_of_nothing_in_a_stream_of_joblib_is_no_array() -> None:
    buffer = io.BytesIO()
    joblib.dump(np.arange(3.0), buffer)
    with pytest.raises(Unreviewed, match="NumpyArrayWrapper"):
        read_pickle(buffer.getvalue())
