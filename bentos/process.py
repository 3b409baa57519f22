"""What tunes this process, or changes a library for a moment: in one place, one at a time.

Two threads that changed the same attribute at once could each take the other's change for what
was there before, and leave it in place for ever.
"""

import gc
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache, wraps
from importlib import import_module
from threading import RLock
from types import FrameType, ModuleType
from typing import Any, TypeVar

T = TypeVar("T")

# A call takes the interpreter's lock several times, and while a version is loaded in another
# thread each time takes this long: of Python's own 5 ms a promotion would make a quarter second.
SWITCH_SECONDS = 0.0001
MADE = 5000  # objects since the last collection: some tenths of a millisecond
YOUNG = 16  # collections, of which all but one leave older objects alone
_LOCK = RLock()
_quiet: list[object] = []  # those who want no warnings now
_filters = ExitStack()
_told_to_end = threading.Event()


@dataclass
class _Tidying:
    due: bool = False
    count: int = 0


_tidying = _Tidying()


def once(function: Callable[[], T]) -> Callable[[], T]:
    """A function that runs once in a process; who calls it meanwhile waits for its answer."""
    cached = cache(function)

    @wraps(function)
    def locked() -> T:
        with _LOCK:
            return cached()

    return locked


def switch_quickly() -> None:
    """Let a thread that waits for the interpreter have it soon."""
    sys.setswitchinterval(SWITCH_SECONDS)


def freeze() -> None:
    """Let no later collection walk over what is there now: it would stop the calls."""
    gc.freeze()


def settle() -> None:
    """Throw away what nobody needs, and freeze the rest."""
    gc.collect()
    gc.freeze()


def collect_between() -> None:
    """From now on collect garbage only where `tidy` is called: no collection stops a batch."""
    gc.disable()


def collect_soon() -> None:
    """Collect all garbage at the next `tidy`: a release has left.

    What came with the new one is not frozen: the cycles in it would never go.
    """
    _tidying.due = True


def tidy() -> None:
    """Collect garbage, if there may be much and it is not done by itself."""
    if gc.isenabled() or not (_tidying.due or gc.get_count()[0] > MADE):
        return
    _tidying.count += 1
    whole = _tidying.due or _tidying.count % YOUNG == 0
    _tidying.due = False
    gc.collect(2 if whole else 1)


def one_thread() -> None:
    """Let torch compute in the calling thread alone: a batch has its core, others have theirs."""
    import_module("torch").set_num_threads(1)


@once
def skops_io() -> ModuleType:
    """`skops.io`, imported without its list of all estimators.

    Making that list imports every module of scikit-learn, and torch with it: seconds that a
    restarted service does not have. The list would only widen what is trusted. MLflow needs it to
    write a model, so whoever imports `skops.io` by its name still gets a whole one.
    """
    if whole := sys.modules.get("skops.io"):
        return whole
    import sklearn.utils

    with _replaced(sklearn.utils, "all_estimators", list):
        made = import_module("skops.io")
    for name in [name for name in sys.modules if name.partition(".")[0] == "skops"]:
        del sys.modules[name]
    return made


@once
def keras_on_torch() -> ModuleType:
    """The module `keras`; its backend is chosen by the first import in a process."""
    os.environ["KERAS_BACKEND"] = "torch"
    with without_compiler():
        keras = import_module("keras")
    one_thread()
    return keras


@contextmanager
def without_warnings() -> Iterator[None]:
    """Let libraries warn nobody, until the last of those who want that is done.

    Two threads that each used `warnings.catch_warnings` could silence the process for ever.
    """
    me = object()
    with _LOCK:
        if not _quiet:
            _filters.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
        _quiet.append(me)
    try:
        yield
    finally:
        with _LOCK:
            _quiet.remove(me)
            if not _quiet:
                _filters.close()


@contextmanager
def _replaced(module: Any, name: str, value: object) -> Iterator[None]:
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)


@contextmanager
def without_compiler() -> Iterator[None]:
    """Hide torch's compiler: half the seconds of importing Keras would be its own.

    It is asked only not to compile some functions, and nothing is compiled here.
    """
    torch, name = import_module("torch"), "torch._dynamo"
    stand_in: Any = ModuleType(name)
    stand_in.disable = _as_it_is
    with _LOCK:
        known = sys.modules.setdefault(name, stand_in)
        try:
            yield
        finally:
            if known is stand_in:
                del sys.modules[name]
                vars(torch).pop("_dynamo", None)  # torch imports it itself once it is asked for


def _as_it_is(function: Any = None, *_: object, **__: object) -> Any:
    """A decorator, with or without arguments, that changes nothing."""
    return function or _as_it_is


def ending() -> bool:
    """Whether this process was told to end, since `notice_the_end`."""
    return _told_to_end.is_set()


def notice_the_end() -> None:
    """Notice the signals that end a server; those who handle them still do.

    uvicorn waits for all answers before it tells the app, so one that goes on must end by itself.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    for number in (signal.SIGTERM, signal.SIGINT):
        handled = signal.getsignal(number)
        if callable(handled):
            signal.signal(number, _noticed(handled))


def _noticed(
    handled: Callable[[int, FrameType | None], object],
) -> Callable[[int, FrameType | None], None]:
    def notice(number: int, frame: FrameType | None) -> None:
        _told_to_end.set()
        handled(number, frame)

    return notice
