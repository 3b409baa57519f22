"""One stack a state folder."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.local.errors import LocalError


@contextmanager
def sole(home: Path) -> Iterator[None]:
    """Hold the folder, making it if missing. Raises `LocalError` while another stack holds it."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (home / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise LocalError(
                f"A stack already runs on {home} (pid {file.read().strip()}). "
                "Stop it with Ctrl-C, or set ASCENSO_HOME to another folder."
            ) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
