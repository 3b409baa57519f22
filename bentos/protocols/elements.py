"""What a value of a column may be: a number, a text, a time, or JSON that has a description."""

import base64
import math
import re
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any, TypeAlias

import numpy as np

from bentos.protocols import times
from bentos.tensors import Column
from bentos.tensors.signature import SCALARS

Check: TypeAlias = Callable[[Any], Any]
SHOWN = 60
SPACE = re.compile(r"\s+")
EXACT = 2**53 - 1  # up to here every integer is a float64, and no other integer is the same one
UNFIT = (ValueError, TypeError, OverflowError, RecursionError)  # of values that are not as typed


class Wrong(ValueError):
    """A value that its column does not take: the message says what it is, and why not."""


class Misshapen(Wrong):
    """A value of another shape than its column has."""


def show(value: object) -> str:
    """A value as a message can show it."""
    if isinstance(value, list | tuple | dict):
        return "an object" if isinstance(value, dict) else f"a list of {len(value)}"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def names(given: Iterable[object]) -> str:
    """The first of some names, as a message can show them."""
    first = list(islice(given, 6))
    return ", ".join([show(name) for name in first[:5]] + ["..."] * (len(first) > 5)) or "nothing"


def check(column: Column) -> Check:
    """What makes a JSON value an element of the column's array, or raises Wrong."""
    if column.dtype == "json":
        return _described(column.spec) if column.spec else _anything
    element = scalar(column.dtype, column.nullable)
    return _or_none(element) if column.nullable else element


def scalar(dtype: str, exact: bool = False) -> Check:
    """The check of a dtype; `exact` integers must be equal as float64."""
    kind = "" if dtype in OTHERS else np.dtype(dtype).kind
    if kind == "f":
        return _Float(dtype)
    return _Integer(dtype, exact) if kind and kind in "iu" else OTHERS[dtype]


def _or_none(element: Check) -> Check:
    return lambda value: None if value is None else element(value)


def _anything(value: Any) -> Any:
    return value


class _Float:
    def __init__(self, dtype: str) -> None:
        info = np.finfo(dtype)
        self.dtype = info.dtype
        half = 2 - 2.0 ** -(info.nmant + 1)  # from here on numbers are rounded to infinity
        self.bound = np.inf if dtype == "float64" else math.ldexp(half, info.maxexp - 1)

    def __call__(self, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Wrong(f"{show(value)} is no number")
        try:
            number = float(value)
        except OverflowError:
            raise Wrong(f"{show(value)} is too large for {self.dtype}") from None
        if self.bound <= abs(number) < np.inf:
            raise Wrong(f"{show(value)} is too large for {self.dtype}")
        return number


class _Integer:
    def __init__(self, dtype: str, exact: bool) -> None:
        self.limits = np.iinfo(dtype)
        self.exact = exact

    def __call__(self, value: Any) -> int:
        whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        if isinstance(value, bool) or not whole:
            raise Wrong(f"{show(value)} is no integer")
        number = int(value)
        if not self.limits.min <= number <= self.limits.max:
            raise Wrong(f"{show(value)} does not fit into {self.limits.dtype}")
        if self.exact and abs(number) > EXACT:
            raise Wrong(f"{show(value)} cannot be kept exactly where values may be missing")
        return number


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Wrong(f"{show(value)} is neither true nor false")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Wrong(f"{show(value)} is no text")
    return value


def _binary(value: Any) -> bytes:
    try:
        return base64.b64decode(SPACE.sub("", _text(value)), validate=True)
    except ValueError:
        raise Wrong(f"{show(value)} is no text in base64") from None


def _datetime(value: Any) -> str:
    try:
        times.nanoseconds(_text(value))
    except ValueError:
        raise Wrong(f"{show(value)} is no date and time as 2026-01-31T12:00:00Z") from None
    return str(value)


OTHERS: Mapping[str, Check] = {
    "bool": _boolean,
    "string": _text,
    "binary": _binary,
    "datetime": _datetime,
}


def _described(spec: Mapping[str, Any]) -> Check:
    """JSON by MLflow's description of it."""
    kind = spec["type"]
    if kind == "array":
        inner: Check = _Array(_described(spec["items"]))
    elif kind == "sparkml_vector":
        inner = _Array(scalar("float64"))
    elif kind == "object":
        inner = _Object(spec["properties"])
    elif kind == "map":
        inner = _Map(_described(spec["values"]))
    else:
        inner = _anything if kind == "any" else _json(kind)
    return inner if spec.get("required", True) else _or_none(inner)


def _json(kind: str) -> Check:
    """A scalar inside JSON: checked, and kept as JSON has it."""
    element = scalar(SCALARS[kind])
    if kind != "binary":
        return element

    def checked(value: Any) -> Any:
        element(value)
        return value

    return checked


def _inside(element: Check, value: Any, place: str) -> Any:
    try:
        return element(value)
    except Wrong as wrong:
        raise Wrong(f"in {place}: {wrong}") from None


class _Array:
    def __init__(self, element: Check) -> None:
        self.element = element

    def __call__(self, value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise Wrong(f"{show(value)} is no list")
        return [_inside(self.element, item, f"[{at}]") for at, item in enumerate(value)]


class _Map:
    def __init__(self, element: Check) -> None:
        self.element = element

    def __call__(self, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise Wrong(f"{show(value)} is no object")
        return {key: _inside(self.element, item, show(key)) for key, item in value.items()}


class _Object:
    def __init__(self, properties: Mapping[str, Mapping[str, Any]]) -> None:
        self.checks = {name: _described(spec) for name, spec in properties.items()}
        self.required = [name for name, spec in properties.items() if spec.get("required", True)]

    def __call__(self, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise Wrong(f"{show(value)} is no object")
        known = ", ".join(map(repr, self.checks))
        if missing := [name for name in self.required if name not in value]:
            raise Wrong(f"{missing[0]!r} is missing; there are {known}")
        if foreign := [name for name in value if name not in self.checks]:
            raise Wrong(f"{show(foreign[0])} is unknown; there are {known}")
        return {name: _inside(self.checks[name], item, repr(name)) for name, item in value.items()}
