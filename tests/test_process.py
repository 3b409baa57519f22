"""What changes a library changes it back, whoever asks at the same time; and garbage."""

import gc
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from threading import Barrier, Thread
from weakref import ref

import pytest

from bentos.process import (
    MADE,
    YOUNG,
    collect_between,
    collect_soon,
    once,
    tidy,
    without_warnings,
)

BOTH = """
from threading import Barrier, Thread
import sklearn.utils
from bentos.process import skops_io

barrier = Barrier(2)
def ask():
    barrier.wait()
    skops_io()

threads = [Thread(target=ask) for _ in range(2)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert sklearn.utils.all_estimators is not list, "scikit-learn stays patched"
"""

WHOLE = """
from bentos.process import skops_io

ours = skops_io()
import skops.io
from skops.io._trusted_types import SKLEARN_ESTIMATOR_TYPE_NAMES as known

assert len(known) > 100, "MLflow finds no estimator trusted"
assert skops_io() is ours is not skops.io
from sklearn.linear_model import LinearRegression
written = skops.io.dumps(LinearRegression())
assert ours.loads(written, ["sklearn.linear_model._base.LinearRegression"]).fit_intercept
"""


def test_who_imports_skops_by_its_name_gets_it_whole() -> None:
    subprocess.run([sys.executable, "-c", WHOLE], check=True, timeout=240)


def test_two_admissions_that_import_skops_at_once_leave_scikit_learn_as_it_was() -> None:
    subprocess.run([sys.executable, "-c", BOTH], check=True, timeout=240)


def test_who_silences_warnings_while_another_does_leaves_them_as_they_were() -> None:
    before = list(warnings.filters)
    one, two = ExitStack(), ExitStack()
    one.enter_context(without_warnings())
    two.enter_context(without_warnings())
    one.close()
    warnings.warn("nobody hears this", stacklevel=1)
    two.close()
    assert list(warnings.filters) == before


def test_once_is_once_for_threads_too() -> None:
    barrier, ran = Barrier(4), []

    @once
    def slow() -> int:
        ran.append(1)
        return len(ran)

    def ask() -> None:
        barrier.wait()
        assert slow() == 1

    threads = [Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ran == [1]


class Node:
    """Something that only a collection of garbage finds."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture
def between() -> Iterator[None]:
    gc.collect()
    collect_between()
    yield
    gc.enable()


def test_garbage_stays_until_there_is_much_or_a_release_left(between: None) -> None:
    kept = ref(Node())
    tidy()
    assert kept()
    collect_soon()
    tidy()
    assert kept() is None
    kept = ref(Node())
    for _ in range(MADE):
        Node()
    tidy()
    assert kept() is None


def test_old_garbage_goes_too_in_time(between: None) -> None:
    old = Node()
    gc.collect()
    kept = ref(old)
    del old
    for _ in range(YOUNG):
        for _ in range(MADE + 1):
            Node()
        tidy()
    assert kept() is None


def test_a_process_that_collects_by_itself_is_left_alone() -> None:
    kept = ref(Node())
    collect_soon()
    tidy()
    assert kept()
    gc.collect()
