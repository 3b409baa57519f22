"""A version that was refused, and whether it is another one by now."""

from hashlib import sha256
from pathlib import Path

from bentos.admission import manifest
from bentos.promotion.pauses import Patience
from bentos.registry.client import Version

FIRST_SECONDS = 30.0  # until its files are looked at again
LONGEST_SECONDS = 600.0


class Rejected:
    """The last version that a channel led to and that was refused.

    A version in a stage is tried again when it is promoted again, which changes its time. An alias
    that is set to where it pointed leaves no trace: there the version's files tell, now and then.
    """

    def __init__(self, version: Version, folder: Path | None) -> None:
        """`folder` has its files; without them, no repair is looked for."""
        self.version = version
        self._files = fingerprint(folder) if folder else None
        self.patience = Patience(LONGEST_SECONDS, FIRST_SECONDS)
        self.patience.fail()

    @property
    def for_good(self) -> bool:
        """Whether only another promotion lets it be tried again."""
        return self._files is None

    @property
    def may_be_repaired(self) -> bool:
        """Whether it is time to look for a repair."""
        return not self.for_good and self.patience.over

    def is_same_promotion(self, version: Version) -> bool:
        """Whether it is this version, not promoted again since."""
        then, now = self.version.last_updated_timestamp, version.last_updated_timestamp
        return same(self.version, version) and then == now

    def is_repaired(self, version: Version, folder: Path) -> bool:
        """Whether the version has another digest or other files than when it was refused."""
        was = self.version.digest, self._files
        return same(self.version, version) and (version.digest, fingerprint(folder)) != was


def same(one: Version, other: Version) -> bool:
    """The same version: a model that was deleted and made anew counts from 1 again."""
    return (one.version, one.creation_timestamp) == (other.version, other.creation_timestamp)


def fingerprint(folder: Path) -> str:
    """What changes when a file below the folder does."""
    total = sha256()
    for path in sorted(filter(Path.is_file, folder.rglob("*"))):
        total.update(f"{path.relative_to(folder)}\0{manifest.sha256(path)}\n".encode())
    return total.hexdigest()
