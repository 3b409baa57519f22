"""Who may read which files: MLflow is asked with the caller's own credentials."""

import re
import time
from urllib.parse import quote

from bentos.relay.caller import Caller
from bentos.relay.shared import Shared

PATH = "/api/2.0/mlflow-artifacts/artifacts"
# As MLflow lays out the files of a run, and of a logged model: of these alone it is known that who
# may list the folder may read what is in it. Other names are MLflow's to understand.
ROOT = re.compile(r"(\d+/(?:[0-9a-f]{32}|models/m-[0-9a-f]{32})/artifacts)/")
PLAIN = re.compile(r"[\w\-. =+@,()]+", re.A)
MOST = 10_000


def root(path: str) -> str:
    """The folder whose reading permits a path, decoded once; nothing if that is not plain."""
    found = ROOT.match(path)
    parts = path.split("/")
    plain = all(PLAIN.fullmatch(part) and part.strip(".") for part in parts)
    return found[1] if found and plain else ""


class Permits:
    """What was permitted, for so many seconds."""

    def __init__(self, shared: Shared, seconds: float) -> None:
        self._shared = shared
        self._seconds = seconds
        self._until: dict[tuple[Caller, str], float] = {}

    async def may_read(self, caller: Caller, folder: str) -> bool:
        """Whether a caller may list a folder."""
        if time.monotonic() < self._until.get((caller, folder), 0.0):
            return True
        began = time.monotonic()
        target = f"{PATH}?path={quote(folder, safe='')}".encode()
        if await self._shared.get(caller, target) is None:
            return False
        if len(self._until) >= MOST:
            self._until.clear()
        self._until[caller, folder] = began + self._seconds
        return True
