"""Replicas as far as they look and download: threads of one process, by a service's own code."""

import logging
import multiprocessing
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bentos.admission.cache import Artifacts
from bentos.promotion.pauses import pause
from bentos.promotion.relayed import Relayed
from bentos.promotion.view import View
from bentos.registry.client import Model, Registry, RegistryUnavailable, Version
from bentos.registry.sources import FileMissing, StoreUnavailable, open_source
from bentos.settings import CacheSettings, RegistrySettings

if TYPE_CHECKING:
    from multiprocessing.queues import Queue

FIRST = "first"  # what a replica says once it has seen all models
LONGEST = 30.0  # seconds between two looks at everything, as where MLflow is another machine
TIMEOUT = 60.0


class Heard(NamedTuple):
    """A replica has every file of a version, since a time."""

    replica: int
    version: str
    at: float


class Replica(threading.Thread):
    """Looks at all models, and downloads what is promoted of one of them."""

    def __init__(
        self, number: int, address: RegistrySettings, model: str, home: Path, heard: "Queue[Heard]"
    ) -> None:
        super().__init__(daemon=True)
        self._number = number
        self._settings = address
        self._model = model
        self._heard = heard
        self._wake = threading.Event()
        self._registry = Registry(address.uri, TIMEOUT, address.direct)
        self._relayed = Relayed(address.uri, TIMEOUT, self._wake.set)
        self._view = View(self._registry, [], [""], LONGEST, relayed=self._relayed)
        self._artifacts = Artifacts(home / str(number), CacheSettings())
        self._has = ""

    def run(self) -> None:
        """Look until the process ends."""
        time.sleep(random.random())
        self._relayed.start()
        failures = 0
        while True:
            try:
                self._look(self._view.look().get(self._model))
                failures = 0
            except (RegistryUnavailable, StoreUnavailable, FileMissing):
                failures += 1
            self._wake.wait(pause(self._settings, failures, LONGEST))
            self._wake.clear()

    def _look(self, model: Model | None) -> None:
        found = [v for v in model.latest_versions if v.stage == "Production"] if model else []
        if found and found[0].version != self._has:
            first = not self._has
            self._has = found[0].version
            if not first:
                self._fetch(found[0])
            self._heard.put(Heard(self._number, FIRST if first else self._has, time.time()))

    def _fetch(self, version: Version) -> None:
        source = open_source(self._registry, self._settings, self._registry.artifact_uri(version))
        self._artifacts.fetch(version, source)


def _run(addresses: list[RegistrySettings], model: str, home: Path, heard: "Queue[Heard]") -> None:
    logging.disable()  # each of them would say that the relay is gone
    for number, address in enumerate(addresses):
        Replica(number, address, model, home, heard).start()
    threading.Event().wait()


@contextmanager
def fleet(addresses: list[RegistrySettings], model: str, home: Path) -> Iterator["Queue[Heard]"]:
    """Replicas that run, each at its address; what they have heard of comes in the queue."""
    context = multiprocessing.get_context("spawn")
    heard = context.Queue()
    process = context.Process(target=_run, args=(addresses, model, home, heard), daemon=True)
    process.start()
    try:
        yield heard
    finally:
        process.kill()
        process.join()
