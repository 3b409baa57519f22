"""The tools that judge the files of deploy/."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.local.settings import ROOT

ELSEWHERE = ("kubectl", "systemd-analyze", "terraform")
SCRIPTS = Path(sys.executable).parent


def judge(tool: str, *arguments: str | Path, stdin: str | None = None) -> str:
    """Run a tool at the root; gives what it says, and fails when it finds fault.

    A tool that is not installed skips the test by its name; in CI, only one that Debian lacks.
    """
    path = shutil.which(tool, path=str(SCRIPTS)) or shutil.which(tool)
    if path is None:
        assert tool in ELSEWHERE or not os.environ.get("CI"), f"{tool} is missing"
        pytest.skip(f"{tool} is not installed")
    done = subprocess.run(
        [path, *map(str, arguments)],
        cwd=ROOT,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, f"{tool}: {done.stdout}{done.stderr}"
    return done.stdout


def load(path: Path) -> Any:
    """A YAML file."""
    return yaml.safe_load(path.read_text())


def literals(name: str) -> dict[str, str]:
    """What Kubernetes' production overlay puts into a ConfigMap."""
    overlay = load(ROOT / "deploy/k8s/overlays/production/kustomization.yaml")
    (given,) = [c["literals"] for c in overlay["configMapGenerator"] if c["name"] == name]
    return dict(literal.split("=", 1) for literal in given)
