"""One version of a registered model, as everybody here speaks of it."""

import msgspec

DIGEST_TAG = "ascenso.digest"


class Tag(msgspec.Struct, frozen=True):
    """A note on a version."""

    key: str
    value: str = ""


class Version(msgspec.Struct, frozen=True, rename={"stage": "current_stage"}):
    """One version of a registered model. Times are milliseconds since 1970, UTC."""

    name: str
    version: str
    creation_timestamp: int = 0
    last_updated_timestamp: int = 0
    stage: str = "None"
    source: str = ""
    run_id: str = ""
    model_id: str = ""
    user_id: str = ""
    tags: tuple[Tag, ...] = ()

    def tag(self, key: str) -> str:
        """The value of a tag, or an empty string."""
        return next((tag.value for tag in self.tags if tag.key == key), "")

    @property
    def number(self) -> int:
        """The version as a number."""
        return int(self.version)

    @property
    def digest(self) -> str:
        """What training said of the manifest: `sha256:<hex>`, or nothing."""
        return self.tag(DIGEST_TAG)

    def __str__(self) -> str:
        return f"{self.name}/{self.version}"
