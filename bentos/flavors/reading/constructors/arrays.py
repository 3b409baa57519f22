"""numpy's arrays, types and scalars, made of the bytes in the stream.

numpy's own `__setstate__` trusts its argument, so it is not called.
"""

import math
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bentos.flavors.reading.names import constructor, expect, stateful

CODE = re.compile(r"[biufcmMSUV]\d{1,9}|O8?|O4|[?]")
UNITS = ("Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "ps", "fs", "as", "generic")
NOTHING = (np.ndarray, (0,), (b"b", "b"))


@stateful("numpy.dtype")
def dtype(args: tuple[Any, ...], state: Any) -> np.dtype[Any]:
    """A type of elements, plain or of named fields."""
    expect(
        len(args) == 3 and type(args[0]) is str and bool(CODE.fullmatch(args[0])),
        "a dtype is of a kind that numpy has not",
    )
    expect(type(state) is tuple and len(state) in (8, 9), "the state of a dtype is none")
    _, byteorder, within, names, fields, itemsize, _, flags = state[:8]
    expect(byteorder in ("<", ">", "=", "|") and within is None, "a dtype is within another")
    if names is not None:
        return _record(names, fields, itemsize, flags)
    unit = _unit(state[8]) if len(state) == 9 and args[0][0] in "mM" else ""
    made: np.dtype[Any] = np.dtype(args[0] + unit).newbyteorder(byteorder)
    return made


def _unit(metadata: Any) -> str:
    unit, count, *_ = metadata[1]
    unit = unit.decode() if type(unit) is bytes else unit
    expect(unit in UNITS, "a time has no unit")
    expect(type(count) is int, "a time has no unit")
    return "" if unit == "generic" else f"[{count}{unit}]"


def _record(names: Any, fields: Any, itemsize: Any, flags: Any) -> np.dtype[Any]:
    expect(type(names) is tuple and type(fields) is dict, "a dtype has no fields")
    formats, offsets = zip(*(fields[name][:2] for name in names), strict=True)
    expect(
        all(isinstance(one, np.dtype) and one.kind in "iuf" for one in formats)
        and all(type(offset) is int and offset >= 0 for offset in offsets)
        and type(itemsize) is int
        and type(flags) is int,
        "a dtype has fields of another kind than numbers",
    )
    spec = {"names": list(names), "formats": formats, "offsets": offsets, "itemsize": itemsize}
    return np.dtype(spec, align=bool(flags & 128))  # type: ignore[call-overload, no-any-return]


@stateful("numpy._core.multiarray._reconstruct")
def reconstructed(args: tuple[Any, ...], state: Any) -> NDArray[Any]:
    """An array, as protocols 0 to 4 write it."""
    expect(_is_nothing(args), "an array is of another class")
    expect(type(state) is tuple and len(state) == 5, "the state of an array is none")
    _, shape, kind, fortran, raw = state
    return array(shape, kind, raw, "F" if fortran else "C")


@constructor("numpy._core.numeric._frombuffer")
def from_buffer(
    raw: Any, kind: Any, shape: Any, order: Any, axis_order: Any = None
) -> NDArray[Any]:
    """An array, as protocol 5 writes it."""
    if order != "K":
        return array(shape, kind, raw, order)
    expect(
        type(axis_order) is tuple and sorted(axis_order) == list(range(len(axis_order))),
        "an array has its axes in no order",
    )
    return array(shape, kind, raw, "C").transpose(axis_order)


@constructor("numpy._core.multiarray.scalar")
def scalar(kind: Any, raw: Any = b"") -> Any:
    """One element."""
    expect(isinstance(kind, np.dtype) and not kind.hasobject, "a number is of no kind")
    return array((), kind, raw, "C")[()] if kind.itemsize else kind.type()


@stateful("numpy.ma._mareconstruct")
def masked(args: tuple[Any, ...], state: Any) -> Any:
    """An array of which some elements are hidden."""
    expect(args[:1] == (np.ma.MaskedArray,) and _is_nothing(args[1:]), "an array is of a class")
    expect(type(state) is tuple and len(state) == 7, "the state of an array is none")
    _, shape, kind, fortran, raw, mask, filler = state
    order = "F" if fortran else "C"
    hidden = array(shape, np.dtype(bool), mask, order)
    made: Any = np.ma.MaskedArray(array(shape, kind, raw, order), mask=hidden)
    if isinstance(filler, np.ndarray) and filler.ndim == 0:
        expect(isinstance(filler[()], str | np.generic | int), "an array is filled with something")
        made.fill_value = filler[()]
    return made


@constructor("numpy.ma.MaskedConstant")
def hidden_element(*args: Any) -> Any:
    """The one hidden element of numpy."""
    expect(not args, "the hidden element is of something")
    return np.ma.masked


def _is_nothing(args: tuple[Any, ...]) -> bool:
    kind, shape, code = NOTHING
    return len(args) == 3 and args[0] is kind and args[1] == shape and args[2] in code


def array(shape: Any, kind: Any, raw: Any, order: Any) -> NDArray[Any]:
    """An array of its own, of a shape and type that the bytes have the length for."""
    expect(
        type(shape) is tuple
        and len(shape) <= 32
        and all(type(n) is int and n >= 0 for n in shape),
        "the shape of an array is none",
    )
    expect(isinstance(kind, np.dtype) and order in ("C", "F"), "the type of an array is none")
    count = math.prod(shape)
    if kind.hasobject:
        return _objects(shape, count, raw)
    expect(
        type(raw) in (bytes, bytearray)
        and kind.itemsize > 0
        and len(raw) == count * kind.itemsize,
        "an array has not the bytes that its shape asks for",
    )
    whole_values(made := np.ndarray(shape, kind, buffer=raw, order=order))
    return made.copy(order="K")


def whole_values(made: NDArray[Any]) -> None:
    """Refuse bools of another byte than 0 and 1: numpy counts with them how much to write."""
    expect(
        made.dtype != bool or not made.size or made.view(np.uint8).max() <= 1,
        "a bool is neither true nor false",
    )


def _objects(shape: Any, count: int, raw: Any) -> NDArray[Any]:
    expect(type(raw) is list and len(raw) == count, "an array has not the parts of its shape")
    made = np.empty(count, dtype=object)
    for at, part in enumerate(raw):
        made[at] = part
    return made.reshape(shape)
