"""What changes a library changes it back, whoever asks at the same time."""

import subprocess
import sys
import warnings
from contextlib import ExitStack
from threading import Barrier, Thread

from bentos.process import once, without_warnings

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
