"""What is lost when processes are killed: `python -m benchmarks.kills [KILLS]`, beside `make up`.

One process of each kind is killed alone; then KILLS (200) of them in random order, a few seconds
apart, the first half at rest, the second amid promotions, whatever is still starting again. A
client asks contugas all the while. Exits with 1 when not everything comes back.
"""

import random
import sys
import time
from collections import Counter
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from threading import Event, Thread

import httpx
import psutil
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.pace import JSON, ONE
from benchmarks.swaps import MODEL, copy
from bentos.registry.client import Registry
from deploy.local import orphans
from deploy.local.settings import Settings

PAUSE_SECONDS = 4.0  # between two kills, on average
PATIENCE_SECONDS = 180.0  # until all is up again, or a promoted version serves
CALL_SECONDS = 0.05
WHEN_NEEDED = "bentos.admission.server"  # it is killed, too, and started for the next promotion


class Caller(Thread):
    """Calls contugas for ever, and keeps when which version answered."""

    def __init__(self, api: str) -> None:
        super().__init__(daemon=True)
        self.answers: list[tuple[float, str]] = []  # no version: no answer, or no 200
        self._url = f"{api}/contugas/predict"

    def run(self) -> None:
        """Call, one call after the other."""
        with httpx.Client(timeout=30, trust_env=False) as client:
            while True:
                time.sleep(CALL_SECONDS)
                self.answers.append((time.monotonic(), self._call(client)))

    def _call(self, client: httpx.Client) -> str:
        try:
            answer = client.post(self._url, content=ONE, headers=JSON)
        except httpx.TransportError:
            return ""
        return answer.headers["x-model-version"] if answer.status_code == httpx.codes.OK else ""

    @property
    def first(self) -> str:
        """The version that answered first; nothing before."""
        served = (served for _, served in list(self.answers) if served)
        return next(served, "").rpartition("/")[2]

    def answered(self, version: str) -> bool:
        """Whether this version has answered."""
        return f"{MODEL}/{version}" in {served for _, served in list(self.answers)}

    def lost(self, since: float) -> tuple[str, str, str]:
        """The calls since then, those without an answer, and the longest time without one."""
        calls = [(at, served) for at, served in list(self.answers) if at > since]
        times = [since, *(at for at, served in calls if served), time.monotonic()]
        silence = max(after - before for before, after in pairwise(times))
        return str(len(calls)), str(sum(not served for _, served in calls)), f"{silence:.1f}"


class Promoter(Thread):
    """Promotes one copy of what serves after the other, until it is left."""

    def __init__(self, mlflow: str, caller: Caller) -> None:
        super().__init__(daemon=True)
        self.fates: Counter[str] = Counter()
        self._registry = Registry(mlflow)
        self._caller = caller
        self._left = Event()

    def run(self) -> None:
        """Promote; the registry may be away."""
        while not self._left.is_set():
            self.fates[self.promote()] += 1

    def leave(self) -> None:
        """Finish the promotion under way, and no more."""
        self._left.set()
        self.join()

    def promote(self) -> str:
        """Promote a copy; tell what became of it."""
        try:
            version = copy(self._registry, self._caller.first)
            self._registry.promote(MODEL, version, "Production")
        except Exception as error:  # what a person at the registry would see
            time.sleep(1)
            return f"{type(error).__name__} from the registry"
        began = time.monotonic()
        while time.monotonic() < began + PATIENCE_SECONDS:
            if self._caller.answered(version):
                return "served"
            time.sleep(0.1)
        return "LOST"


class Stack:
    """The running stack, as it is when all is well."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        kinds = map(kind, self.processes())
        self.well = Counter(name for name in kinds if not name.endswith(WHEN_NEEDED))

    def processes(self) -> list[psutil.Process]:
        """All but the supervisor."""
        return [process for process in orphans.of(self.settings.home) if kind(process)]

    def kill(self, kinds: str = "") -> str:
        """Kill one, of these kinds or of any; tell of which."""
        while True:
            with suppress(psutil.NoSuchProcess, IndexError):  # it ended by itself, or is not back
                of = [p for p in self.processes() if not kinds or kind(p) == kinds]
                victim = random.choice(of)
                name = kind(victim)
                victim.kill()
                return name
            time.sleep(0.1)

    def missing(self) -> str:
        """What is not up yet."""
        if gone := self.well - Counter(kind(process) for process in self.processes()):
            return ", ".join(gone)
        urls = (f"{self.settings.mlflow}/health", f"{self.settings.api}/readyz")
        return ", ".join(url for url in urls if not answers(url))

    def recovery(self) -> str:
        """Wait until all is up; tell how long that took."""
        began = time.monotonic()
        while missing := self.missing():
            if time.monotonic() > began + PATIENCE_SECONDS:
                return f"NEVER: {missing}"
            time.sleep(0.05)
        return f"{time.monotonic() - began:.1f}"


def kind(process: psutil.Process) -> str:
    """Which server it is of, and its program; nothing when it has just ended."""
    with suppress(psutil.Error):
        server = process.environ()[orphans.MARK].rpartition(":")[2]
        words = [Path(word).name for word in process.cmdline() if not word.startswith("-")]
        programs = words[1:] if words and words[0].startswith("python") else words
        return f"{server} {programs[0]}" if programs else ""
    return ""


def answers(url: str) -> bool:
    """Whether it is well."""
    try:
        return httpx.get(url, timeout=5, trust_env=False).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def main(kills: int) -> int:
    """Kill, and print a table of what was lost."""
    settings = Settings()
    stack = Stack(settings)
    table = Table("killed", "kills", "calls", "unanswered", "longest silence s", "all up after s")
    caller = Caller(settings.api)
    caller.start()
    promoter = Promoter(settings.mlflow, caller)
    while not caller.first:
        time.sleep(CALL_SECONDS)
    for each in sorted(stack.well):
        began = time.monotonic()
        stack.kill(each)
        recovery = stack.recovery()
        table.add_row(each, "1", *caller.lost(began), recovery)
    for label in ("any, at rest", "any, amid promotions"):
        if "amid" in label:
            promoter.start()
        began = time.monotonic()
        victims = storm(stack, kills // 2, label)
        recovery = stack.recovery()
        table.add_row(label, str(victims.total()), *caller.lost(began), recovery)
        print(label, dict(victims))
    promoter.leave()
    last = promoter.promote()
    Console().print(table)
    print(f"promotions amid kills: {dict(promoter.fates)}; one more afterwards: {last}")
    return int("NEVER" in recovery or last != "served")


def storm(stack: Stack, kills: int, label: str) -> Counter[str]:
    """Kill so many, in random order; tell which."""
    victims: Counter[str] = Counter()
    for _ in track(range(kills), label, transient=True):
        time.sleep(random.uniform(0, 2 * PAUSE_SECONDS))
        victims[stack.kill()] += 1
    return victims


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if sys.argv[1:] else 200))
