"""The versions at hand: fetched, admitted, kept on disk."""

import logging
from collections.abc import Collection
from pathlib import Path

from bentos.admission.cache import Artifacts
from bentos.admission.columns import admit_by_schema
from bentos.admission.judge import admit
from bentos.refusal import Refusal
from bentos.registry.client import Registry, Version
from bentos.registry.sources import StoreUnavailable, open_source
from bentos.serving.release import Contract, Release
from bentos.settings import Settings

log = logging.getLogger(__name__)


class Stock:
    """Makes releases of versions. Raises what the registry, the store and admission raise."""

    def __init__(self, registry: Registry, artifacts: Artifacts, settings: Settings) -> None:
        self.artifacts = artifacts
        self._registry = registry
        self._settings = settings

    def fetched(self, version: Version) -> Path:
        """The folder of a version, downloaded if need be."""
        folder = self.artifacts.folder(version)
        if folder.is_dir():
            return folder
        uri = self._registry.artifact_uri(version)
        source = open_source(self._registry, self._settings.registry, uri)
        return self.artifacts.fetch(version, source)

    def admit(self, contract: Contract, version: Version) -> Release:
        """The release of a version. Raises Refusal."""
        compiled = self.artifacts.compiled(version)
        for last_try in (False, True):
            folder = self.fetched(version)
            try:
                if contract.by_schema:
                    return admit_by_schema(version, folder, self._settings.admission, compiled)
                return admit(version, folder, contract, self._settings.admission, compiled)
            except Refusal as refusal:
                if not folder.is_dir():  # by another process, so that the reason may be wrong
                    raise StoreUnavailable(f"{folder} was removed meanwhile") from refusal
                if refusal.reason != "digest" or last_try:
                    raise
                log.warning("%s: %s; fetching it once more", version, refusal)
                self.artifacts.discard(version)
        raise AssertionError("unreachable")

    def keep(self, release: Release, kept: Collection[Version], last: bool) -> None:
        """Keep a release on disk, as the last good one if it is, and throw away the oldest."""
        try:
            if last:
                self.artifacts.remember(release.version)
            self.artifacts.evict(release.version.name, kept)
        except (OSError, StoreUnavailable) as error:
            log.warning("%s serves, but a restart may not find it on disk: %s", release, error)
