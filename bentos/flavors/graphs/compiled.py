"""What compiling ends in."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from numpy.typing import NDArray

if TYPE_CHECKING:
    from onnx import ModelProto

Kind: TypeAlias = Literal["exact", "network"]


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
