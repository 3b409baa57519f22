"""Versions whose own code runs once, shut in."""

import re
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import mlflow.sklearn
import numpy as np
import pandas as pd
import pytest
from mlflow.models import infer_signature
from msgspec import structs
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import make_scorer
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

from bentos.admission import quarantine
from bentos.admission.judging import judge
from bentos.admission.office import Office
from bentos.admission.releases import open_release
from bentos.admission.verdict import Admitted, Refused
from bentos.tensors import Batch
from tests.admission.hostile_code import DEEDS, Canaries, canaries
from tests.admission.judged import BY_SCHEMA, case
from tests.shut_in import require_sandbox

ALL: dict[str, Any] = {"quarantine": ["loc*"]}
TABLE = pd.DataFrame(np.random.default_rng(0).random((200, 3)), columns=list("abc"))
ROWS = Batch({name: TABLE[name].to_numpy() for name in "abc"})
ABOVE = (TABLE.a > TABLE.b).astype(int)


@pytest.fixture(scope="module", autouse=True)
def _available() -> None:
    require_sandbox()


@pytest.fixture(scope="module")
def office() -> Iterator[Office]:
    with closing(Office()) as office:
        yield office


@pytest.fixture
def birds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Canaries]:
    with canaries(tmp_path, monkeypatch) as birds:
        yield birds


@pytest.mark.parametrize("deed", DEEDS)
def test_nothing_gets_out(deed: str, birds: Canaries, office: Office) -> None:
    code, said = DEEDS[deed]
    more: dict[str, Any] = {"deadline_seconds": 3} if "for ever" in deed else {}
    asked = case(birds.version(code), BY_SCHEMA, memory_mb=500, **ALL, **more)
    verdict = office.judge(asked)
    assert isinstance(verdict, Refused)
    assert re.search(said, f"{verdict.reason}: {verdict.message}"), verdict
    assert not birds.sang()


@pytest.mark.parametrize(
    "code", ["time.sleep(600)", "os.close(1); [os.close(n) for n in range(3, 9)]"]
)
def test_one_that_does_nothing_more_is_ended(code: str, birds: Canaries, office: Office) -> None:
    asked = case(birds.version(f"{code}\ntime.sleep(600)"), BY_SCHEMA, deadline_seconds=1, **ALL)
    started = time.monotonic()
    verdict = office.judge(asked)
    assert isinstance(verdict, Refused)
    assert time.monotonic() - started < 300
    assert not birds.sang()


def test_without_a_sandbox_by_permission(birds: Canaries, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the canaries sing: the code of these tests does run."""
    monkeypatch.setattr(quarantine, "unavailable", lambda: "bwrap is not installed: install it")
    asked = case(
        birds.version("import stat; raise RuntimeError(dict(os.environ))"), BY_SCHEMA, **ALL
    )
    verdict = judge(asked)
    assert isinstance(verdict, Refused)
    assert verdict.message.startswith("builtins.exec is not a type that Ascenso knows")
    assert "no sandbox can be had here: bwrap is not installed: install it" in verdict.message
    assert not birds.sang()
    asked = structs.replace(
        asked, rules=case(asked.folder, quarantine_without_sandbox=True, **ALL).rules
    )
    verdict = judge(asked)
    assert isinstance(verdict, Refused)
    assert "RuntimeError" in verdict.message
    assert "AWS" not in verdict.message
    assert birds.sang()


def test_without_permission_it_does_not_run(birds: Canaries, office: Office) -> None:
    verdict = office.judge(case(birds.version(""), BY_SCHEMA, quarantine=["churn", "team-*"]))
    assert isinstance(verdict, Refused)
    assert verdict.message.startswith("builtins.exec is not a type that Ascenso knows")
    assert not birds.sang()


def cost(wanted: Any, found: Any) -> float:
    return float(np.mean(wanted == found))


cost.__module__ = "__main__"  # cloudpickle stores what it cannot import


def searched(model: Any, **grid: Any) -> Any:
    """A search by somebody's own measure, which the pickle holds."""
    return GridSearchCV(model, grid, scoring=make_scorer(cost), cv=2).fit(TABLE, ABOVE)


def saved(model: Any, folder: Path, **options: Any) -> Path:
    signature = infer_signature(TABLE, model.predict(TABLE))
    mlflow.sklearn.save_model(
        model, str(folder), signature=signature, pip_requirements=["x"],
        **{"serialization_format": "cloudpickle", **options},
    )  # fmt: skip
    return folder


FOREST = RandomForestClassifier(n_estimators=3, random_state=0)


@pytest.mark.parametrize("python", [None, Path(sys.executable)], ids=["here", "its own releases"])
def test_what_comes_out_is_a_graph(office: Office, tmp_path: Path, python: Path | None) -> None:
    model = searched(FOREST, max_depth=[2, 3])
    asked = structs.replace(
        case(saved(model, tmp_path / "model"), BY_SCHEMA, **ALL), environment=python
    )
    verdict = office.judge(asked)
    assert isinstance(verdict, Admitted), verdict
    assert verdict.runs == "onnx"
    assert re.match("opened in quarantine(, with scikit-learn .*)?; 20,000 rows", verdict.note)
    assert (", with scikit-learn " in verdict.note) == (python is not None)
    assert list(verdict.opens) == ["model.onnx"]
    release = open_release(asked.version, verdict, asked.place)
    answers = release.predict(ROWS)
    np.testing.assert_array_equal(answers["prediction"], model.predict(TABLE))


def test_what_has_no_graph_comes_out_as_skops(office: Office, tmp_path: Path) -> None:
    model = searched(KNeighborsClassifier(), n_neighbors=[2, 3])
    asked = case(saved(model, tmp_path / "model"), BY_SCHEMA, **ALL)
    verdict = office.judge(asked)
    assert isinstance(verdict, Admitted), verdict
    assert verdict.runs == "native"
    assert "as skops, 20,000 rows are answered alike" in verdict.note
    assert sorted(verdict.opens) == ["model/MLmodel", "model/model.skops"]
    release = open_release(asked.version, verdict, asked.place)
    answers = release.predict(ROWS)
    np.testing.assert_array_equal(answers["prediction"], model.predict(TABLE))


OWN = """
import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
class Ratio(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None):
        self.fitted_ = True
        return self
    def transform(self, X):
        return np.column_stack([X, X["a"] / (1 + X["b"])])
"""


def test_code_that_is_brought_along(
    office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_package").mkdir()
    (tmp_path / "my_package" / "features.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    from my_package.features import Ratio  # type: ignore[import-not-found]

    model = make_pipeline(Ratio(), LogisticRegression()).fit(TABLE, ABOVE)
    options: dict[str, Any] = {"serialization_format": "pickle"}
    folder = saved(model, tmp_path / "alone" / "model", **options)
    unknown = judge(case(folder, BY_SCHEMA))
    assert isinstance(unknown, Refused)
    assert unknown.message == (
        "my_package.features.Ratio is not a type that Ascenso knows: see quarantine in "
        "docs/models.md"
    )
    lacking = office.judge(case(folder, BY_SCHEMA, **ALL))
    assert isinstance(lacking, Refused)
    assert "needs the module my_package, which it does not bring along" in lacking.message
    options["code_paths"] = [str(tmp_path / "my_package")]
    whole = office.judge(
        case(saved(model, tmp_path / "whole" / "model", **options), BY_SCHEMA, **ALL)
    )
    assert isinstance(whole, Refused)
    assert whole.message == (
        "opened in quarantine, Pipeline has no graph there: my_package.features.Ratio is not "
        "among the known classes; as skops: my_package.features.Ratio is not reviewed; only a "
        "process of its own can serve it, where models.isolated permits that"
    )
    harmless = saved(
        LogisticRegression().fit(TABLE, ABOVE), tmp_path / "kept" / "model", **options
    )
    served = office.judge(case(harmless, BY_SCHEMA, **ALL))
    assert isinstance(served, Admitted), served
    assert (served.runs, "quarantine" in served.note) == ("onnx", False)  # nothing of it ran
