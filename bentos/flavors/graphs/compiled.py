"""What compiling ends in."""

from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from numpy.typing import NDArray

if TYPE_CHECKING:
    from onnx import ModelProto

Kind: TypeAlias = Literal["exact", "network"]

LIBRARIES = ("onnxruntime", "onnx", "numpy", "scikit-learn", "torch", "onnxscript", "keras",
             "xgboost-cpu", "lightgbm")  # fmt: skip


class NoGraph(Exception):
    """A model that has no graph with exactly its answers; the message says what stands against."""


class TooFar(NoGraph):
    """Values as large as the graph lets in would leave the range of a dtype inside it."""


@dataclass(frozen=True)
class Compiled:
    """A graph, and of each input column the numbers at which its model turns, or known texts.

    `kind` says how near its answers are: a network's differ in the last bits of float32.
    """

    proto: "ModelProto"
    critical: dict[str, NDArray[Any]]
    kind: Kind = "exact"


@cache
def fingerprint() -> str:
    """What a kept graph depends on besides its model: this compiler and the libraries."""
    digest = sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    for library in LIBRARIES:
        try:
            digest.update(f"{library} {version(library)}".encode())
        except PackageNotFoundError:
            continue
    return digest.hexdigest()[:16]
