"""What the registry holds, as its REST API tells it."""

import msgspec

SERVE_TAG = "serve"
DIGEST_TAG = "ascenso.digest"


class Tag(msgspec.Struct, frozen=True):
    """A note on a version."""

    key: str
    value: str = ""


class Alias(msgspec.Struct, frozen=True):
    """A name that points to a version."""

    alias: str
    version: str


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


class Model(msgspec.Struct, frozen=True):
    """A registered model, with the highest version of each stage and every alias."""

    name: str
    last_updated_timestamp: int = 0
    latest_versions: tuple[Version, ...] = ()
    aliases: tuple[Alias, ...] = ()
    tags: tuple[Tag, ...] = ()

    def alias(self, name: str) -> str | None:
        """The version that an alias points to."""
        return next((a.version for a in self.aliases if a.alias == name), None)

    @property
    def kept_out(self) -> bool:
        """Whether its tag says that no service shall make a slot for it."""
        return Tag(SERVE_TAG, "false") in self.tags
