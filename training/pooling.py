"""Layers of Keras that answer otherwise on torch than on the backends that others train with.

It imports nothing of Keras, as services read it before they know whether they open a file.
"""

from itertools import cycle
from typing import Any


def otherwise_on_torch(node: Any) -> str:
    """Name the first such layer in a model's config, and say why; empty when there is none.

    Where padding "same" is not as wide on both sides, Keras on torch repeats the border's values,
    and counts them; under TensorFlow and JAX no padding counts.
    """
    if isinstance(node, dict):
        kind, options = str(node.get("class_name")), node.get("config")
        if kind.startswith("AveragePooling") and isinstance(options, dict) and is_uneven(options):
            return (
                f"{kind} {options.get('name')!r} pools {options['pool_size']} with "
                "padding='same', which torch, where it would be served, answers otherwise than "
                "TensorFlow and JAX"
            )
        node = list(node.values())
    if not isinstance(node, list):
        return ""
    return next(filter(None, map(otherwise_on_torch, node)), "")


def is_uneven(options: dict[str, Any]) -> bool:
    """Whether the padding of a pooling layer may be wider on one side, and change an average.

    A border's value repeated once in a window of two is the average without it.
    """
    pools = _sizes(options["pool_size"])
    strides = _sizes(options.get("strides") or pools)
    even = all(p == 1 or (p % 2 and s == 1) for p, s in zip(pools, cycle(strides)))
    return options.get("padding") == "same" and max(pools) > 2 and not even


def _sizes(given: int | list[int]) -> list[int]:
    """By dimension; one number is for each."""
    return [given] if isinstance(given, int) else given
