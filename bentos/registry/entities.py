"""What the registry holds, as its REST API tells it."""

import msgspec

from bentos.registry.tags import SERVE_TAG
from bentos.version import Tag, Version


class Alias(msgspec.Struct, frozen=True):
    """A name that points to a version."""

    alias: str
    version: str


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

    def tag(self, key: str) -> str:
        """The value of a tag, or an empty string."""
        return next((tag.value for tag in self.tags if tag.key == key), "")

    @property
    def kept_out(self) -> bool:
        """Whether its tag says that no service shall make a slot for it."""
        return Tag(SERVE_TAG, "false") in self.tags
