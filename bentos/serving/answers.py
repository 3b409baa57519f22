"""Whether two releases answer the same."""

import math

import msgspec
import numpy as np

CLOSE = 0.01  # relative: floats this near count as the same answer


def alike(one: object, other: object) -> bool:
    """Two answers to the same row: floats within `CLOSE`, all else equal."""
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=CLOSE, abs_tol=1e-9)
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one.shape == other.shape and bool(np.allclose(other, one, CLOSE, 1e-9, True))
    if isinstance(one, msgspec.Struct) and type(one) is type(other):
        return all(
            alike(getattr(one, name), getattr(other, name)) for name in one.__struct_fields__
        )
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(alike(one[name], other[name]) for name in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(alike, one, other))
    return one == other
