"""Admissions in a real process of their own: what they leave, and what of them goes wrong."""

import signal
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import catboost
import mlflow.catboost
import numpy as np
import psutil
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bentos.admission import verdict as verdicts
from bentos.admission.office import Office
from bentos.admission.releases import open_release
from bentos.admission.verdict import Admitted, Case, Refused
from bentos.registry.sources import StoreUnavailable
from bentos.tensors import Batch
from tests.admission.judged import BY_SCHEMA, case
from tests.serving import versions
from tests.serving.bad_models import forest
from tests.stack import wait_for


@pytest.fixture(scope="module")
def office() -> Iterator[Office]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_SECRET_ACCESS_KEY", "of the bucket")
        patch.setenv("MLFLOW_TRACKING_PASSWORD", "of the registry")
        office = Office()
        yield office
        office.close()


def server(office: Office) -> psutil.Process:
    assert office._server
    return psutil.Process(office._server.pid)


def judging(office: Office) -> psutil.Process | None:
    """The process that judges now, which another one waits for."""
    waiting = server(office).children()
    found = [child for one in waiting for child in one.children()]
    return found[0] if found else None


def test_what_is_left_answers_as_the_model_does(office: Office, tmp_path: Path) -> None:
    asked = case(versions.signed(versions.line(3.0), tmp_path / "model"))
    verdict = office.judge(asked)
    assert isinstance(verdict, Admitted)
    assert verdict == verdicts.read(asked.place)
    assert (verdict.runs, verdict.holds(asked.place)) == ("onnx", True)
    assert sorted(path.name for path in asked.place.iterdir()) == ["model.onnx", "verdict.json"]
    release = open_release(asked.version, verdict, asked.place)
    np.testing.assert_allclose(release.predict(np.array([[2.0]])), [6.0])
    (asked.place / "model.onnx").write_bytes(b"rotten")
    assert not verdict.holds(asked.place)


def test_a_pickle_is_left_as_skops(office: Office, tmp_path: Path) -> None:
    """CatBoost has no graph, so a pipeline with it is opened as it is."""
    X = np.random.default_rng(0).random((60, 2))
    booster = catboost.CatBoostRegressor(
        iterations=3, verbose=0, thread_count=1, allow_writing_files=False
    )
    model = make_pipeline(StandardScaler(), booster).fit(X, X[:, 0])
    versions.save(model, tmp_path / "model", serialization_format="cloudpickle", signature=None)
    asked = case(tmp_path / "model", BY_SCHEMA)
    verdict = office.judge(asked)
    assert isinstance(verdict, Admitted), verdict
    assert verdict.note.startswith("read from a pickle; ")
    assert sorted(verdict.opens) == ["model/MLmodel", "model/model.skops"]
    release = open_release(asked.version, verdict, asked.place)
    answers = release.predict(Batch({"": X}))
    np.testing.assert_array_equal(answers["prediction"], model.predict(X))


def test_a_file_that_makes_its_library_crash_is_refused(office: Office, tmp_path: Path) -> None:
    """A cbm file with one number changed: how many splits its first tree has."""
    X = np.random.default_rng(0).random((120, 3))
    model = catboost.CatBoostRegressor(
        iterations=4, verbose=0, thread_count=1, allow_writing_files=False
    ).fit(X, X[:, 0])
    mlflow.catboost.save_model(model, tmp_path / "model", pip_requirements=["catboost"])
    path = tmp_path / "model" / "model.cb"
    content, sizes = path.read_bytes(), struct.pack("<5i", 4, 6, 6, 6, 6)
    assert sizes in content
    path.write_bytes(content.replace(sizes, struct.pack("<5i", 4, 2**24 - 1, 6, 6, 6)))
    refused = office.judge(case(tmp_path / "model", BY_SCHEMA))
    assert isinstance(refused, Refused)
    assert (refused.reason, "with SIGSEGV" in refused.message) == ("crash", True)


def test_the_process_has_no_credentials(office: Office) -> None:
    office.prepare()
    names = server(office).environ()
    assert "OMP_NUM_THREADS" in names
    assert not [name for name in names if name.startswith(("AWS_", "MLFLOW_", "ASCENSO_"))]


def hung(folder: Path, **admission: Any) -> Case:
    """One whose judging takes a while: 300 trees, one by one."""
    folder = versions.signed(forest(300), folder, skops_trusted_types=["sklearn.tree._tree.Tree"])
    return case(folder, **admission)


def test_one_that_takes_too_long_is_refused_and_another_is_not(
    office: Office, tmp_path: Path
) -> None:
    slow = hung(tmp_path / "slow" / "model", deadline_seconds=0.05)
    good = case(versions.signed(versions.line(3.0), tmp_path / "good" / "model"))
    with ThreadPoolExecutor(2) as pool:
        refused, admitted = pool.map(office.judge, [slow, good])
    assert isinstance(admitted, Admitted)
    assert isinstance(refused, Refused)
    assert refused.reason == "deadline"
    assert "more than 0.05 s of a processor" in refused.message
    assert verdicts.read(slow.place) == refused


def test_one_that_asks_for_too_much_memory_is_refused(office: Office, tmp_path: Path) -> None:
    model = versions.line(1.0)
    model.ballast_ = np.zeros(30_000_000)  # 240 MB, packed away in the file
    asked = case(versions.signed(model, tmp_path / "model"), memory_mb=50)
    refused = office.judge(asked)
    assert isinstance(refused, Refused)
    assert (refused.reason, "admission.memory_mb" in refused.message) == ("memory", True)


@pytest.mark.parametrize(
    ("number", "hint"), [(signal.SIGSEGV, "save it again"), (signal.SIGKILL, "short of memory")]
)
def test_a_crash_is_a_refusal(
    office: Office, tmp_path: Path, number: signal.Signals, hint: str
) -> None:
    asked = hung(tmp_path / "model")
    with ThreadPoolExecutor(1) as pool:
        refusal = pool.submit(office.judge, asked)
        wait_for(lambda: judging(office) or refusal.done(), 240)
        found = judging(office)
        assert found
        found.send_signal(number)
        refused = refusal.result(60)
    assert isinstance(refused, Refused)
    assert refused.reason == "crash"
    assert f"ended with {number.name}" in refused.message
    assert hint in refused.message
    assert not list(tmp_path.glob("partial-*/*.onnx"))


def test_an_error_of_our_own_is_a_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked again, it would be the same: such a version must not wait for ever."""
    broken = "from bentos.admission import judging\njudging.judge = lambda case: 1 / 0\n"
    (tmp_path / "sitecustomize.py").write_text(broken)
    monkeypatch.syspath_prepend(tmp_path)
    office = Office()
    asked = case(versions.signed(versions.line(3.0), tmp_path / "model"))
    refused = office.judge(asked)
    office.close()
    assert isinstance(refused, Refused)
    assert refused.reason == "crash"
    assert "an error of Ascenso's own" in refused.message


def test_a_server_that_is_killed_is_started_again(office: Office, tmp_path: Path) -> None:
    office.prepare()
    server(office).kill()
    asked = case(versions.signed(versions.line(3.0), tmp_path / "model"))
    assert isinstance(office.judge(asked), Admitted)


def test_a_closed_office_judges_nothing_and_leaves_no_process(tmp_path: Path) -> None:
    office = Office()
    office.prepare()
    process, asked = server(office), hung(tmp_path / "model")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(office.judge, asked)
        wait_for(lambda: judging(office) or waiting.done(), 240)
        children = process.children(recursive=True)
        office.close()
        with pytest.raises(StoreUnavailable, match="was ended"):
            waiting.result(60)
    office.prepare()  # as a follower does that has not heard of it
    assert office._server is None
    psutil.wait_procs([process, *children], 30)
    assert not [one for one in (process, *children) if one.is_running()]


def test_an_idle_server_ends() -> None:
    office = Office(idle_seconds=0.01)
    try:
        office.prepare()
        process = server(office)
        wait_for(lambda: process.status() == psutil.STATUS_ZOMBIE, 240)
    finally:
        office.close()
