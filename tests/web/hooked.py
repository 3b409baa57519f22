"""A service with a hook, and a watcher that only counts what wakes it."""

from dataclasses import dataclass, field

from bentos.serving.watcher import Watcher
from bentos.web.hooks import Deliveries

SECRET = "not the one of any installation"


class Sleeper(Watcher):
    """Counts how often it is woken, and does nothing else."""

    def __init__(self) -> None:
        self.woken = 0

    def wake(self) -> None:
        self.woken += 1


@dataclass
class Service:
    """A hook behind a real uvicorn, and its watcher, there once it has started."""

    deliveries: Deliveries
    sleeper: Sleeper = field(default_factory=Sleeper)
    started: bool = True
    url: str = ""

    @property
    def watcher(self) -> Watcher | None:
        return self.sleeper if self.started else None

    @property
    def woken(self) -> int:
        return self.sleeper.woken
