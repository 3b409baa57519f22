"""Lists, dicts and sets that a stream fills."""

from collections import OrderedDict, defaultdict
from typing import Any

import numpy as np

from bentos.flavors.reading.names import expect

PLAIN = (str, bytes, int, float, complex, bool, type(None), np.generic)


def put_items(target: Any, items: list[Any]) -> None:
    """Put keys and values, one after the other, into a dict of this stream."""
    from sklearn.utils import Bunch

    expect(type(target) in (dict, OrderedDict, defaultdict, Bunch), "the pickle fills no dict")
    expect(len(items) % 2 == 0, "the pickle sets a key without a value")
    for key, value in zip(items[::2], items[1::2], strict=True):
        dict.__setitem__(target, plain(key), value)


def filled(items: list[Any]) -> dict[Any, Any]:
    """A dict of keys and values, one after the other."""
    made: dict[Any, Any] = {}
    put_items(made, items)
    return made


def plain(key: Any) -> Any:
    """A key that costs nothing to hash, and whose hash is Python's own."""
    parts = key if type(key) in (tuple, frozenset) else (key,)
    expect(all(isinstance(part, PLAIN) for part in parts), "a key of a dict is no plain value")
    return key
