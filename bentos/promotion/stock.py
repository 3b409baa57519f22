"""The versions at hand: fetched, admitted, kept on disk."""

import logging
from collections.abc import Callable, Collection
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from bentos.admission.budgets import weight
from bentos.admission.cache import Artifacts
from bentos.admission.columns import Admitted, admit_by_schema, open_again
from bentos.admission.judge import admit
from bentos.refusal import Refusal
from bentos.registry.client import NotInRegistry, Registry, RegistryUnavailable, Version
from bentos.registry.sources import FileMissing, StoreUnavailable, open_source
from bentos.serving.budget import Budget, CannotOpen, Closable, Model
from bentos.serving.release import Contract, Release
from bentos.settings import Settings

T = TypeVar("T")
PASSING = (RegistryUnavailable, StoreUnavailable, FileMissing, NotInRegistry)

log = logging.getLogger(__name__)


class Stock:
    """Makes releases of versions. Raises what the registry, the store and admission raise."""

    def __init__(
        self, registry: Registry, artifacts: Artifacts, settings: Settings, budget: Budget
    ) -> None:
        self.artifacts = artifacts
        self._budget = budget
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
        if not contract.by_schema:
            return self._checked(
                version,
                lambda folder: admit(
                    version, folder, contract, self._settings.admission, compiled
                ),
            )
        release = self._checked(
            version,
            lambda folder: admit_by_schema(version, folder, self._settings.admission, compiled),
        )
        return self._closable(release, compiled)

    def _closable(self, release: Release, compiled: Path) -> Release:
        """A release whose model may be closed, and is opened again from its folder."""
        version, shares = release.version, release.probabilities
        admitted = Admitted(version, release.files, release.runs, shares.predict is not None)
        size = weight(self.artifacts.folder(version), compiled, release.runs)
        model = Model(release.predict, shares.predict)
        one = Closable(self._budget, size, model, partial(self._reopen, admitted))
        if shares.predict:
            shares = replace(shares, predict=one.probable)
        return replace(release, predict=one, probabilities=shares)

    def _reopen(self, admitted: Admitted) -> Model:
        """The model of a version, from the files that were admitted. Raises CannotOpen."""
        version, settings = admitted.version, self._settings.admission
        compiled = self.artifacts.compiled(version)
        try:
            return self._checked(
                version, lambda folder: open_again(admitted, folder, settings, compiled)
            )
        except (Refusal, *PASSING) as error:
            log.warning("%s cannot be opened again: %s", version, error)
            raise CannotOpen(str(error)) from error

    def _checked(self, version: Version, check: Callable[[Path], T]) -> T:
        """What a check makes of a version's folder; it is fetched anew if its files are wrong."""
        for last_try in (False, True):
            folder = self.fetched(version)
            try:
                return check(folder)
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
