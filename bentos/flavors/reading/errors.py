"""Why a file of somebody does not become a model here."""


class Unreadable(ValueError):
    """The file is not read as data: it needs code, is damaged, or of another release."""


class Unreviewed(Unreadable):
    """The file names a class or a function that nobody here has looked at."""

    def __init__(self, name: str) -> None:
        brought = ", for code that it brings along," if name.startswith("cloudpickle.") else ""
        super().__init__(
            f"{name}{brought} is not a type that Ascenso knows: see quarantine in docs/models.md"
        )
        self.name = name


class Damaged(Unreadable):
    """The file is broken, or made to break its reader, or the model that would come out."""
