"""How much a file may ask of its reader."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What is above these is refused before memory is asked for it."""

    objects: int = 5_000_000  # made by the stream; a forest of 1,000 trees makes 150,000
    depth: int = 200  # of parts in parts; a search over a pipeline of forests has 15
    bytes: int = 4 * 1024**3  # of the file, and of what it unpacks to


LIMITS = Limits()
