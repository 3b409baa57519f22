"""A version, and replicas that write notes on it."""

from pathlib import Path

import pytest

from bentos.promotion.notes import Note, Notes
from bentos.promotion.replicas import ReplicaLocks
from bentos.promotion.tag_writer import TagWriter
from bentos.registry.client import Registry, Version
from bentos.registry.tags import State
from tests.serving.notes.written import Open, Say, created
from tests.serving.versions import Shelf


@pytest.fixture
def version(shelf: Shelf) -> Version:
    """A version that needs no files."""
    return created(shelf.registry, shelf.name)


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    """The notes of a replica of one home."""

    def notes(
        registry: Registry, replica: str = "", alias: str = "live", brief: float = 0
    ) -> Notes:
        return Notes(
            registry,
            ReplicaLocks(tmp_path / "replicas", replica),
            TagWriter(registry, lambda model: alias),
            brief,
        )

    return notes


@pytest.fixture
def say(registry: Registry, opened: Open) -> Say:
    """Several replicas: each with notes of its own, writing under its own name."""
    replicas: dict[str, Notes] = {}

    def said(
        replica: str,
        version: Version,
        state: State | None,
        reason: str = "",
        runs: str = "",
        channel: str = "stage Production",
    ) -> None:
        notes = replicas[replica] if replica in replicas else opened(registry, replica)
        replicas[replica] = notes
        if state is None:
            notes.close()
            return
        notes.put(Note(version, state, reason, channel, runs))
        notes.flush()

    return said
