"""Python's own values, as the protocols of pickle write them."""

from collections import OrderedDict, defaultdict
from functools import partial
from typing import Any

from bentos.flavors.reading.instances import new
from bentos.flavors.reading.names import (
    MAKERS,
    Begun,
    Held,
    Maker,
    constructor,
    expect,
    imported,
    stateful,
)


@constructor("_codecs.encode")
def encoded(text: Any, encoding: Any = "utf-8") -> bytes:
    """Bytes, as protocols 0 to 2 write them."""
    expect(type(text) is str and encoding in ("latin1", "utf-8"), "bytes are no latin1")
    return text.encode(encoding)  # type: ignore[no-any-return]


@constructor("builtins.bytes")
def no_bytes(*args: Any) -> bytes:
    """Nothing: what has a length is written otherwise."""
    expect(not args, "bytes are made of something")
    return b""


@constructor("builtins.bytearray")
def byte_array(content: Any = b"", encoding: Any = "latin-1") -> bytearray:
    """A bytearray, of bytes or of text."""
    if type(content) is str and encoding == "latin-1":
        content = content.encode("latin-1")
    expect(type(content) is bytes, "a bytearray is made of something")
    return bytearray(content)


@constructor("builtins.slice")
def a_slice(*args: Any) -> slice:
    """A slice between numbers, or names of columns."""
    expect(all(type(arg) in (int, str, type(None)) for arg in args), "a slice is of something")
    return slice(*args)


@constructor("builtins.range")
def a_range(*args: Any) -> range:
    """A range, which takes no memory."""
    expect(all(type(arg) is int for arg in args), "a range is of something")
    return range(*args)


@constructor("builtins.complex")
def a_complex(*args: Any) -> complex:
    """A complex number."""
    expect(all(type(arg) is float for arg in args), "a complex number is of something")
    return complex(*args)


@constructor("builtins.set", "builtins.frozenset")
def a_set(items: Any = ()) -> frozenset[Any] | set[Any]:
    """A set, as protocols below 4 write it."""
    expect(
        type(items) is list and all(type(item) in (str, int, float, bool) for item in items),
        "a set is of something",
    )
    return set(items)


@constructor("collections.OrderedDict")
def ordered(*args: Any) -> OrderedDict[Any, Any]:
    """An empty one."""
    expect(not args, "an OrderedDict is made of something")
    return OrderedDict()


@constructor("collections.defaultdict")
def defaulted(factory: Any = None) -> defaultdict[Any, Any]:
    """An empty one."""
    if factory is MAKERS["collections.OrderedDict"]:
        factory = OrderedDict
    known = (None, int, float, list, dict, str, OrderedDict)
    expect(factory in known, "a defaultdict calls something")
    return defaultdict(factory)


@constructor("copyreg._reconstructor")
def reconstructed(kind: Any, base: Any, state: Any) -> Any:
    """What protocols 0 and 1 make empty instances with."""
    if isinstance(kind, Maker) and base is tuple and type(state) is tuple and kind.make:
        return kind.make(*state)
    expect(isinstance(kind, Held), "the pickle makes an instance of something")
    instance = new(kind.kind)
    if isinstance(instance, dict) and base is dict and type(state) is dict:
        instance.update(state)
    else:
        expect(base is object and state is None, "an instance is of another type within")
    return Begun(instance)


@constructor("sklearn.impute._iterative._ImputerTriplet")
def triplet(*args: Any) -> Any:
    """How one column is imputed from the others."""
    kind = imported("sklearn.impute._iterative._ImputerTriplet")
    expect(len(args) == 3, "an _ImputerTriplet has not three parts")
    return tuple.__new__(kind, args)


@stateful("functools.partial")
def checked_array(args: tuple[Any, ...], state: Any) -> partial[Any]:
    """`check_array` with two arguments, which HistGradientBoosting leaves beside categories."""
    check_array = imported("sklearn.utils.validation.check_array")
    expect(args == (check_array,), "a partial is of another function than check_array")
    function, given, named, more = state
    expect(function is check_array and given == () and not more, "check_array is given arguments")
    return partial(check_array, **named)
