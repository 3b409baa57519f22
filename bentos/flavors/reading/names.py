"""The review: what a name in a pickle or a skops file stands for, and that nothing else does.

Names are exact, of classes and of a few constructors, never of a package as a whole.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, TypeAlias

from bentos.flavors.reading import old_names
from bentos.flavors.reading.errors import Damaged, Unreadable, Unreviewed
from bentos.flavors.reading.estimators import ESTIMATORS
from bentos.flavors.reading.parts import (
    DISTANCES,
    FORGOTTEN,
    FUNCTIONS,
    PARTS,
    TYPES,
)

Finish: TypeAlias = Callable[[tuple[Any, ...], Any], Any]


@dataclass(frozen=True)
class Maker:
    """What a reviewed constructor makes, from arguments that it looks at.

    Where it makes nothing, `finish` is given both when the state is there.
    """

    name: str
    make: Callable[..., Any] | None = None
    finish: Finish | None = None


@dataclass(frozen=True)
class Begun:
    """An instance that may still be given a state, once."""

    instance: Any


@dataclass(frozen=True)
class Held:
    """A class of which a stream may make instances: empty ones, to put a state into."""

    name: str
    kind: type


class Unbuilt:
    """Stands for what is made when its state is there; none may be left when all is read."""

    def __init__(self, maker: Maker, args: tuple[Any, ...], finish: Finish) -> None:
        self.maker = maker
        self.name = f"{maker.name} without its state"
        self.args = args
        self.finish = finish
        self.places: list[int] = []  # in the memo


def exact(table: Mapping[str, str]) -> frozenset[str]:
    """The full names in a table of names by module."""
    return frozenset(f"{module}.{name}" for module in table for name in table[module].split())


HELD = exact(ESTIMATORS) | exact(PARTS)
VALUES = exact(FUNCTIONS) | exact(TYPES) | exact(DISTANCES)
FORGOT = exact(FORGOTTEN)
MAKERS: dict[str, Maker] = {}


def constructor(
    *names: str,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register what these constructors do: it is given their arguments."""

    def register(make: Callable[..., Any]) -> Callable[..., Any]:
        MAKERS.update({name: Maker(name, make=make) for name in names})
        return make

    return register


def stateful(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register what these constructors do: it is given their arguments and the state."""

    def register(finish: Callable[..., Any]) -> Callable[..., Any]:
        MAKERS.update({name: Maker(name, finish=finish) for name in names})
        return finish

    return register


def find(module: str, name: str, more: Mapping[str, Maker]) -> tuple[str, Any]:
    """What a name means here, and what it is called today. Raises Unreviewed for all others."""
    full = f"{old_names.current(module)}.{name}"
    if "." in name:
        raise Unreviewed(full)
    if made := more.get(full) or MAKERS.get(full):
        return full, made
    if full in VALUES:
        return full, imported(full)
    if full in HELD:
        return full, Held(full, imported(full))
    if full in FORGOT:
        return full, Maker(full, finish=lambda args, state: f"{name} (not read)")
    raise Unreviewed(f"{module}.{name}")


def imported(full: str) -> Any:
    """What is called so in the libraries that are installed here."""
    module, name = full.rsplit(".", 1)
    try:
        return getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        raise Unreadable(
            f"{full} needs {error.name}, which is not there: neither the version's "
            "requirements.txt nor its conda.yaml names that package, or its release has no such "
            "module"
        ) from error
    except (ImportError, AttributeError) as error:
        raise Unreadable(
            f"{full} is not in the installed {module.partition('.')[0]}: "
            "the file was written by another release"
        ) from error


def expect(right: object, complaint: str) -> None:
    """Complain about a state or an argument."""
    if not right:
        raise Damaged(complaint)
