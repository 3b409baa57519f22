"""A process that is tied ends with the one that started it, however that ends."""

import subprocess
import sys
from pathlib import Path

import psutil

from deploy.local.settings import ROOT
from tests.itransformer.bench import ended
from tests.stack import wait_for

PARENT = """
import signal, sys
from pathlib import Path
from bentos.itransformer import tied
with Path(sys.argv[1]).open("wb") as log:
    child = tied.start("http.server", "0", "--bind", "127.0.0.1", mlflow="http://m", log=log)
print(child.pid, flush=True)
signal.pause()
"""


def test_a_process_outlives_no_parent(tmp_path: Path) -> None:
    log = tmp_path / "log"
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(log)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert parent.stdout
        child = psutil.Process(int(parent.stdout.readline()))
        wait_for(
            lambda: "http.server" in child.cmdline()[2:3] and b"Serving" in log.read_bytes(), 120
        )
        assert child.environ()["MLFLOW_TRACKING_URI"] == "http://m"
        assert child.environ()["OMP_NUM_THREADS"] == "1"
    finally:
        parent.kill()
        parent.communicate()
    wait_for(lambda: ended(child), 60)


def test_it_keeps_no_secrets(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from bentos.itransformer import tied
with Path(sys.argv[1]).open("wb") as log:
    tied.start("timeit", "-n1", "import os; print(sorted(os.environ))", mlflow="", log=log).wait()
"""
    env = {"ASCENSO_ADMIN_KEY": "k", "ASCENSO_SECURITY__SECRET": "s", "ASCENSO_HOME": "h"}
    log = tmp_path / "log"
    subprocess.run([sys.executable, "-c", code, str(log)], cwd=ROOT, env=env, check=True)
    said = log.read_text()
    assert "ASCENSO_HOME" in said
    assert "ASCENSO_ADMIN_KEY" not in said
    assert "ASCENSO_SECURITY__SECRET" not in said
