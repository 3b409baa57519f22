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
