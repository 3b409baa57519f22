"""The digest of a version that was registered again, from where training keeps it for all.

A version made with MLflow's *Register model* has no tags. Its source names the logged model that
it is made of, or the version that it was copied from, and training tags the logged model too. All
of that lies in MLflow's database: whoever can only write to the bucket changes none of it.
"""

import logging
import re

from msgspec.structs import replace

from bentos.registry.client import CallFailed, NotInRegistry, Registry
from bentos.version import DIGEST_TAG, Tag, Version

log = logging.getLogger(__name__)

LOGGED = re.compile(r"(?:^models:|/models)/(m-[0-9a-f]{32})(?:/|$)")
COPIED = re.compile(r"models:/([^/]+)/(\d+)")
MOST_COPIES = 10  # of copies


def signed(registry: Registry, version: Version) -> Version:
    """The version with the tag of its digest, where one can be found. Raises as `Registry`."""
    if version.digest:
        return version
    digest = _found(registry, version)
    return replace(version, tags=(*version.tags, Tag(DIGEST_TAG, digest))) if digest else version


def _found(registry: Registry, version: Version) -> str:
    try:
        for _ in range(MOST_COPIES):
            if version.digest:
                return version.digest
            if logged := LOGGED.search(version.source):
                tags = registry.logged_tags(logged[1])
                return next((tag.value for tag in tags if tag.key == DIGEST_TAG), "")
            copied = COPIED.fullmatch(version.source)
            if not copied:
                break
            version = registry.version(copied[1], copied[2])
    except NotInRegistry:
        log.info("what %s was made of is gone from the registry", version)
    except CallFailed as error:
        if not error.final:
            raise
        log.warning("the digest of %s cannot be looked up: %s", version, error)
    return ""
