"""What is known of columns while a graph is made."""

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

FLOAT32_MAX = float(np.finfo(np.float32).max)
FLOAT64_MAX = float(np.finfo(np.float64).max)
UNKNOWN, MISSING, FIRST_VALUE = 0, 1, 2  # the codes of a text column

Dtype: TypeAlias = "np.dtype[Any]"


@dataclass(frozen=True)
class Column:
    """One column of a tensor (rows, columns).

    `dtype` is what the model sees, which may be narrower than the tensor's. No value is farther
    from zero than `reach`. A missing value in an input column of `doors` may arrive here. Where
    this column is made from one input column by adding and multiplying alone, `steps` are these.
    A text column holds codes: `renamed` says which values stand for others by now.
    """

    tensor: str
    index: int
    dtype: Dtype
    reach: float
    doors: frozenset[str] = frozenset()
    source: str | None = None
    steps: tuple[tuple[str, float], ...] = ()
    text: str | None = None
    renamed: tuple[tuple[Any, Any], ...] = ()


Frame: TypeAlias = tuple[Column, ...]


@dataclass(frozen=True)
class Answer:
    """What a model gives: a tensor (rows, width) of numbers, or of indices into `classes`.

    `flat` says that the model itself gives (rows,).
    """

    tensor: str
    width: int
    flat: bool = False
    classes: NDArray[Any] | None = None
    doors: frozenset[str] = frozenset()


@dataclass
class Words:
    """The values of a text column that encoders know, and those that all of them accept."""

    values: dict[Any, int] = field(default_factory=dict)
    accepted: set[Any] | None = None
    refuses_unknown: bool = False

    def code(self, value: Any) -> int:
        """The code of a value, which from now on has one."""
        return self.values.setdefault(value, FIRST_VALUE + len(self.values))


def floating(frame: Frame) -> Dtype:
    """The dtype in which scikit-learn computes with these columns."""
    narrow = bool(frame) and all(column.dtype == np.float32 for column in frame)
    return np.dtype(np.float32 if narrow else np.float64)


def reaches(frame: Frame) -> NDArray[np.float64]:
    """How far from zero the values of each column can be."""
    return np.array([column.reach for column in frame], dtype=np.float64)
