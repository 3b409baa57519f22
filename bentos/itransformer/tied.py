"""`python -m bentos.itransformer.tied PARENT MODULE ARGUMENT...`: outlives no parent.

Linux kills the process when the thread that started it ends, `kill -9` included; that bond
holds over `exec` (prctl(2), PR_SET_PDEATHSIG).
"""

import ctypes
import os
import signal
import sys
from pathlib import Path
from subprocess import STDOUT, Popen
from typing import IO

PR_SET_PDEATHSIG = 1
ROOT = Path(__file__).parents[2]
SECRETS = {"ASCENSO_ADMIN_KEY", "ASCENSO_SECURITY__SECRET", "ASCENSO_WEBHOOK_SECRET"}


def start(module: str, *arguments: str, mlflow: str, log: IO[bytes]) -> Popen[bytes]:
    """Start `python -m module` in a session of its own, tied to this thread.

    `mlflow` is its server's address; what it says goes to `log`.
    """
    env = {name: value for name, value in os.environ.items() if name not in SECRETS}
    return Popen(  # noqa: S603 - the arguments are ours
        [sys.executable, "-m", __name__, str(os.getpid()), module, *arguments],
        cwd=ROOT,
        env=env | {"OMP_NUM_THREADS": "1", "MLFLOW_TRACKING_URI": mlflow},
        stdout=log,
        stderr=STDOUT,
        start_new_session=True,
    )


def main(parent: int, module: str, *arguments: str) -> None:
    """Become the module."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the bond was made
        raise SystemExit(1)
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])  # noqa: S606


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
