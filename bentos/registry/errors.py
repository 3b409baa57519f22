"""What asking the registry may end in."""


class RegistryUnavailable(Exception):
    """The registry did not answer, or not with what its API promises. Worth another try."""


class CallFailed(RegistryUnavailable):
    """The registry answered, but not this call: others may go well.

    `final` says that it would answer the same again; `status` is that of HTTP.
    """

    def __init__(self, message: str, final: bool = False, status: int = 0) -> None:
        super().__init__(message)
        self.final = final
        self.status = status


class RegistryRefused(Exception):
    """The registry answered that it will not do that; the message says what to do."""


class NotInRegistry(Exception):
    """The registry answered that it holds no such model, version or alias."""
