import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.local import orphans


@contextmanager
def process(home: Path, name: str, code: str = "") -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", f"import signal\n{code}\nprint(flush=True)\nsignal.pause()"]
    env = os.environ | orphans.mark(home, name)
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        child.stdout.readline()
        try:
            yield child
        finally:
            child.kill()


def test_only_the_marked_are_ended(tmp_path: Path) -> None:
    with process(tmp_path, "mlflow") as mlflow, process(tmp_path, "s3") as s3:
        assert orphans.end(tmp_path, "mlflow") == [mlflow.pid]
        assert s3.poll() is None


def test_all_of_a_home(tmp_path: Path) -> None:
    other = Path(f"{tmp_path}-2")
    with (
        process(tmp_path, "mlflow") as mlflow,
        process(tmp_path, "s3") as s3,
        process(other, "s3") as stranger,
    ):
        assert set(orphans.end(tmp_path)) == {mlflow.pid, s3.pid}
        assert stranger.poll() is None


def test_one_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    deaf = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    with process(tmp_path, "s3", deaf) as stubborn:
        assert orphans.end(tmp_path, grace=0.2) == [stubborn.pid]
        stubborn.wait(60)  # a kill takes its time on a busy machine
        assert orphans.end(tmp_path) == []
