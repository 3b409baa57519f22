"""Which version to go back to."""

from collections.abc import Iterable, Iterator, Sequence

from bentos.registry.client import Version
from bentos.registry.tags import SINCE_TAG, state

FAR = 1000  # events of the history that are looked at

Served = tuple[str, str]  # version and run


def back(
    live: Served | None, served: Iterable[Served], versions: Sequence[Version]
) -> Iterator[Version]:
    """The versions to go back to from what is live, the best first.

    Those that `served`, the latest first, and then those that the registry knows did.
    """
    known = {(version.version, version.run_id): version for version in versions}
    for one in served:
        if one != live and one in known:
            yield known[one]
    retired = [version for version in versions if state(version) in ("retired", "stopped")]
    yield from sorted(retired, key=lambda version: version.tag(SINCE_TAG), reverse=True)
