"""What can be wrong with columns."""


class BadInput(ValueError):
    """A value that the model cannot take. It is the caller's: `row` counts from 0 in the call."""

    def __init__(self, message: str, column: str = "", row: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.column = column
        self.row = row


class Mismatch(BadInput):
    """Columns, shapes, params or a number of rows that are not those of the model."""


class BadSchema(ValueError):
    """A description of columns that cannot be read, or that a model cannot have."""
