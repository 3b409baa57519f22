"""A version that is judged before its promotion."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import mlflow.sklearn
import numpy as np
import pytest
from sklearn.preprocessing import FunctionTransformer

from tests.models.conftest import Models


def admit(models: Models, *arguments: str, **environment: str) -> tuple[int, str, str]:
    """Exit status, standard output and errors of the command, as the service's user runs it."""
    command = [sys.executable, "-m", "bentos.cli", "admit", *arguments]
    home = {"ASCENSO_HOME": str(models.home)}
    done = subprocess.run(
        command, env=os.environ | home | environment, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


def verdicts(models: Models, name: str) -> list[Path]:
    return sorted(models.home.glob(f"cache/{name}/1-*.*/verdict.json"))


def test_a_promotion_of_an_admitted_version_only_opens_it(
    models: Models, slopes: list[str]
) -> None:
    models.register("prepared", slopes[0])
    status, said, errors = admit(models, "prepared", "1", "--json")
    assert status == 0, errors
    found: dict[str, Any] = json.loads(said)
    assert (found["admitted"], found["version"], found["runs"]) == (True, "1", "onnx")
    assert "rows are answered alike" in found["note"]
    assert errors.splitlines()[:2] == ["Fetching prepared/1", "Judging it"]
    (verdict,) = verdicts(models, "prepared")
    judged = verdict.stat().st_mtime_ns
    tags = models.client.get_model_version("prepared", "1").tags
    assert not [name for name in tags if "serving" in name or "ascenso" in name]
    models.promote("prepared")
    assert models.served("prepared", [1.0])["prediction"] == pytest.approx(2.0)
    assert verdicts(models, "prepared") == [verdict]
    assert verdict.stat().st_mtime_ns == judged


def test_what_may_not_serve_is_said_with_the_reason(models: Models) -> None:
    model = FunctionTransformer(lambda rows: rows + 1).fit(np.eye(2))
    models.log(model, "strange", mlflow.sklearn, serialization_format="cloudpickle")
    status, said, errors = admit(models, "strange", "1", "--json")
    assert status == 1
    found = json.loads(said)
    assert (found["admitted"], found["reason"]) == (False, "pickle")
    assert "is not a type that Ascenso knows" in found["message"]
    assert "Error: strange/1 was refused: pickle: " in errors
    status, _, errors = admit(models, "strange", "7")
    assert (status, "has versions 1 of strange, but not 7" in errors) == (1, True)
    status, _, errors = admit(models, "strange", "1", MLFLOW_TRACKING_URI="http://127.0.0.1:1")
    assert (status, "--registry" in errors) == (2, True)
