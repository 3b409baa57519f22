import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.errors import LocalError
from deploy.local.lock import sole


def test_one_stack_a_folder(tmp_path: Path) -> None:
    home = tmp_path / "state"
    with (
        sole(home),
        pytest.raises(LocalError, match=rf"already runs on {home} \(pid {os.getpid()}\)"),
        sole(home),
    ):
        pass
    with sole(home):
        assert (home / "lock").read_text() == str(os.getpid())


def test_a_killed_stack_leaves_no_lock(tmp_path: Path) -> None:
    code = "import sys, os; from deploy.local.lock import sole\nfrom pathlib import Path\n"
    code += "with sole(Path(sys.argv[1])): os.kill(os.getpid(), 9)"
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert killed.returncode == -9
    with sole(tmp_path):
        pass


def test_only_its_owner_may_look_in(tmp_path: Path) -> None:
    with sole(tmp_path / "state"):
        assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
