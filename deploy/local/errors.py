"""What stops the local stack."""


class LocalError(Exception):
    """A reason that a person can act on; shown without a stack trace."""
