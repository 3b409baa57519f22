"""What BentoML is given: nothing when a service is imported, all of it where it is served."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.settings import ROOT

IMPORTED = """
from bentos.settings import settings
from bentos.stack import Stack

Stack.inject_config()
print(settings.cache_info().currsize, Stack.mount_apps)
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("empty")


def run(home: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run Python where nobody has made a secret."""
    env = {name: value for name, value in os.environ.items() if "SECRET" not in name}
    env |= {"ASCENSO_HOME": str(home), "BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "true"}
    return subprocess.run(
        [sys.executable, *command],
        env=env,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_an_import_reads_no_settings_and_makes_nothing(home: Path) -> None:
    done = run(home, "-c", IMPORTED)
    assert (done.returncode, done.stdout) == (0, "0 []\n"), done.stderr
    assert not [path for path in home.iterdir() if path.name != "tmp"]


def test_without_a_secret_serving_ends_in_one_line_that_says_what_to_do(home: Path) -> None:
    done = run(home, "-m", "bentoml", "serve")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: keras_api must not run open (security.guarded): ")
    assert "`make up`" in done.stderr
    assert "ASCENSO_SECURITY__SECRET" in done.stderr
    assert done.stderr.count("\n") == 1
