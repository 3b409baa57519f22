"""What training stored beside a model: its files' digests, its libraries, its samples.

`training/tracking.py` writes this format; the digest of the manifest itself is a tag of the
version, so that nobody who can only write to the bucket can change a file unseen.
"""

import hashlib
from pathlib import Path, PurePosixPath
from typing import Any, Literal, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")
MANIFEST = "ascenso/manifest.json"
SAMPLES = "ascenso/samples.json"


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The files of a version with their SHA-256, and the libraries that wrote them."""

    format: Literal[1]
    files: dict[str, str]
    libraries: dict[str, str]


class SampleTable(msgspec.Struct, frozen=True):
    """Rows under named columns."""

    columns: list[str]
    data: list[list[Any]]


class Samples(msgspec.Struct, frozen=True):
    """Inputs with the outputs that training saw for them."""

    inputs: SampleTable | list[Any]
    outputs: SampleTable | list[Any]
    rtol: float = 1e-5
    atol: float = 1e-8

    def batch(self) -> NDArray[Any]:
        """The inputs as a model takes them: float64, or object where there are strings."""
        return _array(self.inputs)

    def agree(self, found: NDArray[Any], expected: NDArray[Any]) -> bool:
        """Whether answers are those expected, within the tolerance of these samples."""
        return found.shape == expected.shape and bool(self.close(found, expected).all())

    def close(self, found: NDArray[Any], expected: NDArray[Any]) -> NDArray[np.bool_]:
        """Value by value, whether answers of one shape are equal within the tolerance."""
        if expected.dtype == object:
            return np.asarray(found == expected)
        near: NDArray[np.bool_] = np.isclose(
            found.astype(np.float64),
            expected.astype(np.float64),
            rtol=self.rtol,
            atol=self.atol,
            equal_nan=True,
        )
        return near

    def expected(self) -> NDArray[Any]:
        """The outputs that training saw."""
        return _array(self.outputs)


def _array(values: SampleTable | list[Any]) -> NDArray[Any]:
    rows = values.data if isinstance(values, SampleTable) else values
    plain = np.asarray(rows, dtype=object)
    if any(isinstance(value, str) for value in plain.flat):
        return plain  # "01234" is no number
    try:
        return plain.astype(np.float64)
    except (TypeError, ValueError):
        return plain


def is_inside(name: str) -> bool:
    """Whether a relative POSIX path stays inside its folder."""
    path = PurePosixPath(name)
    return bool(name) and not path.is_absolute() and ".." not in path.parts and "\\" not in name


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a fetched version. Raises FileNotFoundError or msgspec.DecodeError."""
    return _decoded(folder / MANIFEST, Manifest)


def read_samples(folder: Path) -> Samples:
    """The samples of a fetched version. Raises FileNotFoundError or msgspec.DecodeError."""
    return _decoded(folder / SAMPLES, Samples)


def _decoded(path: Path, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except UnicodeDecodeError as error:
        raise msgspec.DecodeError(str(error)) from error


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
