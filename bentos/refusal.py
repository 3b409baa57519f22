"""Why a candidate may not serve, in words that the person who promoted it can act on."""

from typing import Literal

Reason = Literal[
    "flavor",
    "pickle",
    "code",
    "unsigned",
    "digest",
    "library",
    "signature",
    "schema",
    "load",
    "samples",
    "latency",
    "memory",
    "deadline",
    "crash",
    "replay",
    "watch",
]


class Refusal(Exception):
    """A version was judged and may not serve. Another try of the same version changes nothing."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason: Reason = reason
        self.message = message

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"


OF_MEMORY = Refusal("memory", "it asks for more memory than it may (admission.memory_mb)")


def lacked_memory(error: BaseException | None) -> bool:
    """Whether a want of memory is at the beginning of it."""
    if error is None:
        return False
    return isinstance(error, MemoryError) or lacked_memory(error.__cause__)
