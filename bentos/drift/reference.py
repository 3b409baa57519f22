"""What is usual for a version: the shares of what its columns hold, at training or since.

A training writes it as `ascenso/reference.json` beside the model, in this format; so may anybody
who logs a model. `docs/drift.md` tells it.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

FILE = "reference.json"
BESIDE = f"ascenso/{FILE}"  # in the folder of a version

log = logging.getLogger(__name__)

Share: TypeAlias = Annotated[float, Meta(ge=0, le=1)]


class Numbers(msgspec.Struct, frozen=True, tag="numbers", tag_field="kind"):
    """A column of numbers from `low` to `high`; missing ones are none of them.

    `edges` ascend; a bin reaches to its edge and holds it, and one more is above all. `shares`
    are those of the bins among the numbers.
    """

    missing: Share
    low: float
    high: float
    edges: tuple[float, ...]
    shares: tuple[Share, ...]

    def __post_init__(self) -> None:
        if len(self.shares) != len(self.edges) + 1:
            raise ValueError(
                f"{len(self.edges)} edges make {len(self.edges) + 1} bins, but there are "
                f"{len(self.shares)} shares"
            )
        if sorted(set(self.edges)) != list(self.edges):
            raise ValueError("edges must ascend")


class Texts(msgspec.Struct, frozen=True, tag="texts", tag_field="kind"):
    """A column of categories: `shares` of the texts among those that are there.

    `whole` says that these are all that there were: any other is then unknown.
    """

    missing: Share
    shares: dict[str, Share]
    whole: bool


Expected: TypeAlias = Numbers | Texts


class Reference(msgspec.Struct, frozen=True):
    """The columns that go into a version, and those of its answers, of so many rows."""

    rows: Annotated[int, Meta(ge=1)]
    inputs: dict[str, Expected]
    outputs: dict[str, Expected]
    format: Literal[1] = 1

    def of(self, side: Literal["inputs", "outputs"]) -> Mapping[str, Expected]:
        """The columns of one side."""
        return self.inputs if side == "inputs" else self.outputs


def read(path: Path) -> Reference | None:
    """The reference in a file; None where there is none that can be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Reference)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        log.warning("%s is no reference for drift: %s", path, error)
        return None
