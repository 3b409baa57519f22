"""A pickle machine that can build reviewed types, and nothing else.

A pickle is a program. This machine knows its instructions, but those that would call, import or
set something do so only with what `names` gives it, on what this stream made itself.
"""

import io
import pickletools
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np

from bentos.flavors.reading.containers import filled, plain, put_items
from bentos.flavors.reading.errors import Damaged, Unreadable
from bentos.flavors.reading.instances import fill, new
from bentos.flavors.reading.limits import Limits
from bentos.flavors.reading.names import Begun, Held, Maker, Unbuilt, expect, find

PUSHED = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
    *("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "BYTEARRAY8"),
}
FIXED: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_DICT": dict,
    "EMPTY_SET": set,
}
# What an old-style class, an extension code, or memory outside of the stream would give.
REFUSED = {
    *("INST", "OBJ", "EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID"),
    *("NEXT_BUFFER", "READONLY_BUFFER", "NEWOBJ_EX"),
}


class Machine:
    """Reads one pickle from a stream. What it gives was not looked at yet: see `checks`."""

    found: ClassVar[Mapping[str, Maker]] = {}  # besides what `names` knows

    def __init__(self, stream: io.BytesIO, limits: Limits) -> None:
        self.stream = stream
        self.limits = limits
        self.names: set[str] = set()
        self.versions: set[str] = set()
        self.stack: list[Any] = []
        self._below: list[list[Any]] = []
        self._memo: dict[int, Any] = {}
        self._begun: dict[int, Any] = {}  # instances that wait for their state
        self.steps = 0
        self.copied = 0

    def run(self) -> Any:
        """The object that the stream describes."""
        try:
            for opcode, arg, _ in pickletools.genops(self.stream):
                self._step(opcode.name, arg)
            expect(len(self.stack) == 1 and not self._below, "the pickle leaves things behind")
            return self.stack.pop()
        except Unreadable:
            raise
        except Exception as error:
            raise Damaged(f"this is no whole pickle: {type(error).__name__}: {error}") from error

    def _step(self, name: str, arg: Any) -> None:
        self.steps += 1
        if self.steps > self.limits.objects:
            raise Damaged(f"the pickle has more than {self.limits.objects:,} steps")
        if name in PUSHED:
            self.stack.append(arg)
        elif name in FIXED:
            self.stack.append(FIXED[name]())
        elif name in REFUSED:
            raise Damaged(f"the pickle says {name}, which no model needs")
        else:
            STEPS[name](self, arg)

    def _marked(self) -> list[Any]:
        """What was put on the stack since the last mark."""
        items = self.stack
        self.stack = self._below.pop()
        return items

    def _mark(self, _: Any) -> None:
        self._below.append(self.stack)
        self.stack = []

    def _pop(self, _: Any) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self._marked()

    def _drop(self, _: Any) -> None:
        self._marked()

    def _gather(self, make: Callable[[list[Any]], Any]) -> None:
        made = make(self._marked())
        self.stack.append(made)

    def _tuples(self, size: int) -> None:
        expect(len(self.stack) >= size, "the pickle takes more than it put")
        self.stack[-size:] = [tuple(self.stack[-size:])]

    def _put(self, place: int) -> None:
        self._memo[place] = self.stack[-1]
        if isinstance(self.stack[-1], Unbuilt):
            self.stack[-1].places.append(place)

    def _memoize(self, _: Any) -> None:
        self._put(len(self._memo))

    def _get(self, place: int) -> None:
        self.stack.append(self._memo[place])

    def _extend(self, items: list[Any]) -> None:
        expect(type(self.stack[-1]) is list, "the pickle appends to what is no list")
        self.stack[-1].extend(items)

    def _set_items(self, items: list[Any]) -> None:
        put_items(self.stack[-1], items)

    def _add_items(self, items: list[Any]) -> None:
        expect(type(self.stack[-1]) is set, "the pickle adds to what is no set")
        self.stack[-1].update(plain(item) for item in items)

    def _name(self, module: Any, name: Any) -> None:
        expect(type(module) is str and type(name) is str, "the pickle names with what is no text")
        full, meaning = find(module, name, self.found)
        self.names.add(full)
        self.stack.append(meaning)

    def _reduce(self, _: Any) -> None:
        args, made = self.stack.pop(), self.stack.pop()
        expect(type(args) is tuple, "the pickle calls with what are no arguments")
        if isinstance(made, Held):
            raise Damaged(f"the pickle calls {made.name}, instead of giving it a state")
        expect(isinstance(made, Maker), "the pickle calls something")
        self.stack.append(self._made(made, args))

    def _made(self, maker: Maker, args: tuple[Any, ...]) -> Any:
        made = maker.make(*args) if maker.make else None
        if made is None and maker.finish:
            return Unbuilt(maker, args, maker.finish)
        return self._begin(made.instance) if isinstance(made, Begun) else self.weigh(made)

    def _new_object(self, _: Any) -> None:
        args, made = self.stack.pop(), self.stack.pop()
        expect(type(args) is tuple, "the pickle makes something with what are no arguments")
        if isinstance(made, Maker):
            self.stack.append(self._made(made, args))
        else:
            expect(isinstance(made, Held) and not args, "the pickle makes what is no empty object")
            self.stack.append(self._begin(new(made.kind)))

    def _begin(self, instance: Any) -> Any:
        self._begun[id(instance)] = instance
        return self.weigh(instance)

    def weigh(self, made: Any) -> Any:
        """Count what is copied: the same bytes can be asked for again and again."""
        if isinstance(made, np.ndarray | np.generic):
            self.copied += made.nbytes
        elif isinstance(made, bytes | bytearray):
            self.copied += len(made)
        elif isinstance(made, dict | set):
            self.copied += 100 * len(made)
        if self.copied > self.limits.bytes:
            raise Damaged(f"the pickle makes copies of more than {self.limits.bytes:,} bytes")
        return made

    def _build(self, _: Any) -> None:
        state, instance = self.stack.pop(), self.stack.pop()
        if isinstance(instance, Unbuilt):
            built = self.built(instance, state)
            self._memo.update(dict.fromkeys(instance.places, built))
        else:
            built = self._begun.pop(id(instance), None)
            expect(built is not None, "the pickle sets a state on what it did not just make")
            self.versions |= fill(built, self.weigh(state))
        self.stack.append(built)

    def built(self, instance: Unbuilt, state: Any) -> Any:
        """What is made of a state."""
        return self.weigh(instance.finish(instance.args, state))


def _global(machine: Machine, arg: str) -> None:
    module, _, name = arg.partition(" ")
    machine._name(module, name)


def _stack_global(machine: Machine, _: Any) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    machine._name(module, name)


def _set_item(machine: Machine, _: Any) -> None:
    value, key = machine.stack.pop(), machine.stack.pop()
    machine._set_items([key, value])


STEPS: dict[str, Callable[[Machine, Any], None]] = {
    **dict.fromkeys(("PROTO", "FRAME", "STOP"), lambda machine, _: None),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), Machine._put),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), Machine._get),
    "MEMOIZE": Machine._memoize,
    "MARK": Machine._mark,
    "POP": Machine._pop,
    "POP_MARK": Machine._drop,
    "DUP": lambda machine, _: machine.stack.append(machine.stack[-1]),
    "LIST": lambda machine, _: machine._gather(list),
    "TUPLE": lambda machine, _: machine._gather(tuple),
    "DICT": lambda machine, _: machine._gather(filled),
    "FROZENSET": lambda machine, _: machine._gather(lambda items: frozenset(map(plain, items))),
    "TUPLE1": lambda machine, _: machine._tuples(1),
    "TUPLE2": lambda machine, _: machine._tuples(2),
    "TUPLE3": lambda machine, _: machine._tuples(3),
    "APPEND": lambda machine, _: machine._extend([machine.stack.pop()]),
    "APPENDS": lambda machine, _: machine._extend(machine._marked()),
    "SETITEM": _set_item,
    "SETITEMS": lambda machine, _: machine._set_items(machine._marked()),
    "ADDITEMS": lambda machine, _: machine._add_items(machine._marked()),
    "GLOBAL": _global,
    "STACK_GLOBAL": _stack_global,
    "REDUCE": Machine._reduce,
    "NEWOBJ": Machine._new_object,
    "BUILD": Machine._build,
}
