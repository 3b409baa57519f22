"""What an admission ends in, and what it leaves on disk beside a fetched version.

A folder that is there whole or not at all: `verdict.json`, and, of a version that may serve, the
files that workers open: `model.onnx`, or `model/` as its library wrote it, with no pickle in it,
and `bands.safetensors` of one that has bands.
Of one that runs in a process of its own, `model/` is what that opens.
"""

from functools import cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path
from platform import python_version
from typing import Any, Literal, TypeAlias

import msgspec

from bentos.admission import manifest
from bentos.refusal import Reason
from bentos.registry.client import Version
from bentos.serving.release import Contract, Runs
from bentos.settings import AdmissionSettings, Rules
from bentos.tensors import Schema

Code: TypeAlias = Literal["none", "isolated", "network"]  # of a version that may bring some
Apart: TypeAlias = Literal["shut", "network", "nothing"]  # in: a sandbox, or nothing but a process
VERDICT = "verdict.json"
GRAPH = "model.onnx"
NATIVE = "model"
BANDS = "bands.safetensors"
PACKAGE = Path(__file__).parents[1]
ROOMS = ("admission", "flavors", "tensors")
LIBRARIES = ("numpy", "onnx", "onnxruntime", "onnxscript", "scikit-learn", "skops", "xgboost-cpu",
             "lightgbm", "catboost", "torch", "keras")  # fmt: skip


class Case(msgspec.Struct, frozen=True):
    """What is judged: a version, fetched to `folder`, for a service; `rules` are its settings.

    `rules` are AdmissionSettings as JSON; `memory_mb` is what it may take where they say nothing,
    which depends on the machine. What the admission ends in is left at `place`. It is opened by
    the Python of an `environment`, if one of its own releases was made, or as one with code by
    the Python of a `house`. That it may be is said by `code`; `processes` are ProcessSettings as
    JSON. With `replay` it is asked the recorded rows in that folder.
    """

    version: Version
    folder: Path
    place: Path
    contract: Contract
    rules: str
    environment: Path | None = None
    house: Path | None = None
    code: Code = "none"
    processes: str = "{}"
    memory_mb: int = 2048
    replay: Path | None = None

    @property
    def settings(self) -> Rules:
        """The rules, with a budget of memory where they leave it open."""
        given = AdmissionSettings.model_validate_json(self.rules).model_dump(exclude_none=True)
        return Rules.model_validate({"memory_mb": self.memory_mb, **given})

    def encode(self) -> bytes:
        """As `decode` takes it."""
        return msgspec.json.encode(self, enc_hook=str)

    @classmethod
    def decode(cls, content: bytes) -> "Case":
        """A case in another process."""
        return msgspec.json.decode(content, type=cls, dec_hook=lambda kind, value: kind(value))

    @property
    def key(self) -> str:
        """The same for what is judged alike, by this code and these libraries."""
        version = self.version
        which = version.name, version.version, version.creation_timestamp, version.run_id
        rules = (self.rules, self.code) if self.code != "none" else (self.rules,)
        asked = msgspec.json.encode([which, version.digest, self.contract, *rules, runtime()])
        return sha256(asked).hexdigest()


class Admitted(msgspec.Struct, frozen=True, tag="admitted"):
    """The version may serve.

    `opens` has the SHA-256 of each file that workers open, `files` is the digest of the version's
    own, `answers` what its samples are answered with. `row` is one row of the samples, of a
    version that is asked without a schema; the `example` of one that is asked by it may be
    `made_up`. `classes` and `lacks` are those of its probabilities. `memory` is how many bytes a
    process grew by when it opened them. One that runs in a process of its own has the `python` of
    that, and what it is `apart` in.
    """

    key: str
    flavor: str
    runs: Runs
    note: str
    row_seconds: float
    opens: dict[str, str] = {}
    memory: int = 0
    seconds: float = 0.0
    warnings: tuple[str, ...] = ()
    row: Any = None
    row_shape: tuple[int, ...] = ()
    metadata: dict[str, Any] = {}
    schema: Schema | None = None
    example: bytes = b""
    made_up: bool = False
    classes: tuple[str, ...] = ()
    lacks: str = ""
    files: str = ""
    answers: str = ""
    python: str = ""
    apart: Apart = "shut"

    def holds(self, place: Path) -> bool:
        """Whether the files at a place are those that were admitted, and its Python is there."""
        if self.python and not Path(self.python).exists():
            return False
        try:
            return digests(place) == self.opens
        except OSError:
            return False


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """The version may not serve."""

    key: str
    reason: Reason
    message: str


Verdict: TypeAlias = Admitted | Refused


def read(place: Path) -> Verdict | None:
    """The verdict that was left at a place, or None where there is none that can be read."""
    try:
        found: Verdict = msgspec.json.decode((place / VERDICT).read_bytes(), type=Verdict)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
    return found


def write(verdict: Verdict, place: Path) -> None:
    """Leave a verdict at a place."""
    content = msgspec.json.encode(verdict, enc_hook=lambda value: value.item())  # numpy's scalars
    (place / VERDICT).write_bytes(content)


def digests(place: Path) -> dict[str, str]:
    """The SHA-256 of each file that workers open, by its name below the place."""
    files = sorted(p for p in place.rglob("*") if p.is_file() and p != place / VERDICT)
    return {path.relative_to(place).as_posix(): manifest.sha256(path) for path in files}


@cache
def runtime() -> str:
    """What a verdict depends on besides its version: this code, Python and the libraries."""
    digest = sha256(python_version().encode())
    for room in ROOMS:
        for path in sorted((PACKAGE / room).rglob("*.py")):
            digest.update(path.read_bytes())
    for library in LIBRARIES:
        try:
            digest.update(f"{library} {installed(library)}".encode())
        except PackageNotFoundError:
            continue
    return digest.hexdigest()[:16]
