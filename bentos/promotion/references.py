"""Where what is usual for a version is known from: its training, its example, what it served."""

from pathlib import Path

from bentos.admission.cache import Artifacts
from bentos.drift.counting import Places
from bentos.drift.reference import BESIDE, FILE
from bentos.serving.release import Release


class References:
    """Those of the versions on this machine; what they are asked is counted below `root`."""

    def __init__(self, artifacts: Artifacts, root: Path) -> None:
        self._artifacts = artifacts
        self._root = root

    def of(self, release: Release) -> Places:
        """The files of a release, the best first, and the folder of its counts."""
        folder = self._artifacts.folder(release.version)
        place = self._artifacts.place(release.version)
        counts = self._root / folder.relative_to(self._artifacts.root)
        return (("training", folder / BESIDE), ("example", place / FILE)), counts
