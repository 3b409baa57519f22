import hashlib
import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from bentos.admission.manifest import (
    MANIFEST,
    SAMPLES,
    Samples,
    SampleTable,
    is_inside,
    read_manifest,
    read_samples,
    sha256,
)
from tests.serving import versions

GOOD: dict[str, Any] = {"format": 1, "files": {"MLmodel": "ab"}, "libraries": {"numpy": "2.0"}}


def written(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return folder


def test_what_training_wrote_can_be_read(tmp_path: Path) -> None:
    folder = versions.signed(versions.line(2.0), tmp_path / "model")
    manifest = read_manifest(folder)
    assert manifest.files.keys() >= {"MLmodel", "model.skops", SAMPLES}
    assert manifest.files["MLmodel"] == sha256(folder / "MLmodel")
    assert manifest.libraries.keys() == {"python", *versions.LIBRARIES}
    samples = read_samples(folder)
    assert samples.batch().shape == (8, 1)
    np.testing.assert_allclose(samples.expected(), 2 * samples.batch()[:, 0])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b'{"format": 1, "files": {"\xff": ""}, "libraries": {}}',
        json.dumps(GOOD | {"format": 2}).encode(),
        json.dumps(GOOD | {"more": 1}).encode(),
        json.dumps(GOOD | {"files": ["MLmodel"]}).encode(),
        json.dumps({"format": 1, "files": {}}).encode(),
    ],
)
def test_another_manifest_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        read_manifest(written(tmp_path, MANIFEST, content))


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"\xff", b'{"inputs": "\xff", "outputs": []}', b'{"inputs": [[1]]}']
)
def test_other_samples_are_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        read_samples(written(tmp_path, SAMPLES, content))


def test_absence_has_an_error_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_manifest(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_samples(tmp_path)


@pytest.mark.parametrize("name", ["MLmodel", "a/b.json", "a b", "..a", "a/..b", "gás"])
def test_inside(name: str) -> None:
    assert is_inside(name)


@pytest.mark.parametrize("name", ["", "..", "../a", "a/../../b", "a/..", "/etc", "a\\..\\b"])
def test_outside(name: str) -> None:
    assert not is_inside(name)


def test_tables_and_tensors() -> None:
    numbers = Samples([[1, 2], [3, 4]], [1, 2])
    assert numbers.batch().dtype == np.float64
    assert numbers.expected().tolist() == [1.0, 2.0]
    gaps = Samples(SampleTable(["x"], [[1.5], [None]]), [])
    np.testing.assert_array_equal(gaps.batch(), [[1.5], [np.nan]])
    words = Samples(SampleTable(["x", "word"], [[1, "a"], [2, "b"]]), [["yes"], ["no"]])
    assert words.batch().dtype == object
    assert words.batch().tolist() == [[1, "a"], [2, "b"]]
    codes = Samples([["01234"], [None]], [["1"], ["0"]])
    assert codes.batch().tolist() == [["01234"], [None]]
    assert codes.agree(np.array([["1"], ["0"]]), codes.expected())


def test_agreement() -> None:
    samples = Samples([], [], rtol=0.1, atol=0.0)
    expected = np.array([1.0, np.nan])
    assert samples.agree(np.array([1.05, np.nan]), expected)
    assert not samples.agree(np.array([1.2, np.nan]), expected)
    assert not samples.agree(np.array([1.0, 0.0]), expected)
    assert not samples.agree(np.array([[1.0, np.nan]]), expected)
    words = np.array(["yes", "no"], dtype=object)
    assert samples.agree(words.copy(), words)
    assert not samples.agree(words[::-1], words)


def test_sha256(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc" * 100_000)
    assert sha256(tmp_path / "file") == hashlib.sha256(b"abc" * 100_000).hexdigest()
