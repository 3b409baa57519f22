import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.settings import ROOT

START = ROOT / "mlflow" / "start.sh"
NEEDED = {
    "MLFLOW_BACKEND_STORE_URI": "sqlite:///never.db",
    "MLFLOW_ARTIFACTS_DESTINATION": "s3://never/mlflow",
}


@pytest.mark.parametrize("missing", NEEDED)
def test_a_missing_variable_is_named(missing: str) -> None:
    env = {"PATH": os.environ["PATH"]} | {k: v for k, v in NEEDED.items() if k != missing}
    done = subprocess.run([START], env=env, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert f"{missing}: give the" in done.stderr


def test_a_missing_mlflow_is_named() -> None:
    env = NEEDED | {"PATH": "/usr/bin:/bin"}
    done = subprocess.run([START], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 127
    assert "mlflow is not on PATH" in done.stderr


def test_mlflow_gets_its_settings_from_the_environment_alone(tmp_path: Path) -> None:
    spy = tmp_path / "mlflow"
    spy.write_text('#!/bin/sh\necho "args: $*"\nenv\n')
    spy.chmod(0o755)
    env = NEEDED | {"PATH": f"{tmp_path}:/usr/bin:/bin", "MLFLOW_PORT": "5999"}
    done = subprocess.run(
        [START, "--app-name", "basic-auth"], env=env, capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert lines[0] == "args: server --app-name basic-auth"
    assert {
        "MLFLOW_HOST=127.0.0.1",
        "MLFLOW_PORT=5999",
        "MLFLOW_WORKERS=1",
        "MLFLOW_SERVE_ARTIFACTS=true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false",
        "MLFLOW_DISABLE_TELEMETRY=true",
    } < set(lines)


def test_the_folder_hides_no_package() -> None:
    code = "import importlib.util as u; print(u.find_spec('mlflow').origin)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "site-packages" in done.stdout
    found = sorted(path.name for path in (ROOT / "mlflow").rglob("*.py"))
    assert found == ["ascenso_oidc.py", "ascenso_teams.py"]
