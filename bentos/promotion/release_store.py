"""The versions at hand: fetched, admitted, opened, kept on disk."""

import logging
import time
from collections.abc import Collection
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path

from msgspec import structs

from bentos.admission import verdict as verdicts
from bentos.admission.cache import Artifacts
from bentos.admission.environments import Environments
from bentos.admission.isolated import OTHERWISE
from bentos.admission.office import Office
from bentos.admission.releases import open_release
from bentos.admission.verdict import Admitted, Case, Code, Refused, Verdict
from bentos.promotion.recorded import with_recorded
from bentos.refusal import Refusal
from bentos.registry.client import (
    CallFailed,
    NotInRegistry,
    Registry,
    RegistryUnavailable,
    Tag,
    Version,
)
from bentos.registry.sources import FileMissing, StoreUnavailable, open_source
from bentos.registry.tags import ANSWERS_TAG, PIN_TAG
from bentos.serving.budget import Budget, CannotOpen, Closable, Model
from bentos.serving.failures import REASONS, Failing, Failures, Patience
from bentos.serving.release import Contract, Release
from bentos.settings import Settings
from bentos.tracing import span

PASSING = (RegistryUnavailable, StoreUnavailable, FileMissing, NotInRegistry)

log = logging.getLogger(__name__)


class ReleaseStore:
    """Makes releases of versions. Raises what the registry, the store and admission raise."""

    def __init__(
        self,
        registry: Registry,
        artifacts: Artifacts,
        settings: Settings,
        budget: Budget,
        office: Office,
    ) -> None:
        self.artifacts = artifacts
        self._budget = budget
        self._registry = registry
        self._settings = settings
        self._office = office
        processes = settings.processes
        self._patience = Patience(processes.failures, processes.failures_seconds)
        self._environments = Environments(settings.home.absolute() / "environments")
        self._doubted: set[Path] = set()  # a relay may keep them as they were

    def fetched(self, version: Version) -> Path:
        """The folder of a version, downloaded if need be."""
        folder = self.artifacts.folder(version)
        if folder.is_dir():
            return folder
        fresh = folder in self._doubted
        with span("fetch"):
            uri = self._registry.artifact_uri(version)
            source = open_source(self._registry, self._settings.registry, uri, fresh)
            return self.artifacts.fetch(version, source)

    def discard(self, version: Version) -> None:
        """Forget a fetched version, whose files are in doubt: they are fetched from the store."""
        self._doubted.add(self.artifacts.folder(version))
        self.artifacts.discard(version)

    def admit(self, contract: Contract, version: Version) -> Release:
        """The release of a version: judged once on this machine, opened by each process.

        Raises Refusal.
        """
        case = self._case(contract, version)
        verdict = self._verdict(case)
        try:
            release = self._opened(case, verdict)
        except Failing as error:
            raise Refusal(REASONS[error.how], str(error)) from error
        if isinstance(verdict, Admitted) and contract.by_schema:
            return self._closable(case, verdict, release)
        return release

    def _closable(self, case: Case, admitted: Admitted, release: Release) -> Release:
        """A release whose model may be closed, and is opened again from what was admitted."""
        shares = release.probabilities
        pinned = structs.replace(
            case.version, tags=(Tag(PIN_TAG, admitted.files), *case.version.tags)
        )
        reopen = partial(self._reopen, structs.replace(case, version=pinned))
        one = Closable(
            self._budget, admitted.memory, _model(release), reopen, Failures(self._patience)
        )
        if shares.predict:
            shares = replace(shares, predict=one.probable)
        return replace(release, predict=one, probabilities=shares, process=None)

    def _reopen(self, case: Case) -> Model:
        """The model of a version, as it was admitted. Raises CannotOpen and Failing."""
        try:
            release = self._opened(case, self._verdict(case))
        except (Refusal, *PASSING) as error:
            log.warning("%s cannot be opened again: %s", case.version, error)
            raise CannotOpen(str(error)) from error
        return _model(release)

    def _opened(self, case: Case, verdict: Verdict) -> Release:
        if isinstance(verdict, Refused):
            raise Refusal(verdict.reason, verdict.message)
        try:
            with span("open"):
                return open_release(case.version, verdict, case.place, self._settings.processes)
        except FileNotFoundError as error:
            raise StoreUnavailable(f"{case.place} was removed meanwhile") from error

    def keep(self, release: Release, kept: Collection[Version], last: bool) -> None:
        """Keep a release on disk, as the last good one if it is, and throw away the oldest."""
        try:
            if last:
                self.artifacts.remember(release.version)
            self.artifacts.evict(release.version.name, kept)
        except (OSError, StoreUnavailable) as error:
            log.warning("%s serves, but a restart may not find it on disk: %s", release, error)

    def pin(self, version: Version, release: Release) -> None:
        """Note with the version what it is, as far as this account may."""
        try:
            for tag, value in ((PIN_TAG, release.files), (ANSWERS_TAG, release.answers)):
                if value and not version.tag(tag):
                    self._registry.set_tag(version, tag, value)
        except CallFailed as error:
            log.warning("%s serves, but what it is now is not noted with it: %s", version, error)

    def _case(self, contract: Contract, version: Version) -> Case:
        folder, place = self.artifacts.folder(version), self.artifacts.place(version)
        rules = self._settings.admission.model_dump_json()
        code = self._code(version.name) if contract.by_schema else "none"
        processes = self._settings.processes.model_dump_json()
        return Case(
            version, folder.absolute(), place.absolute(), contract, rules,
            code=code, processes=processes, memory_mb=self._settings.version_mb,
        )  # fmt: skip

    def _code(self, name: str) -> Code:
        """Whether a model may bring code along."""
        models = self._settings.models
        if not any(fnmatchcase(name, pattern) for pattern in models.isolated):
            return "none"
        network = any(fnmatchcase(name, pattern) for pattern in models.isolated_network)
        return "network" if network else "isolated"

    def _verdict(self, case: Case) -> Verdict:
        """One that was left before, one that was waited for, or a new one."""
        asked = time.time()
        if found := _admitted(case):
            return found
        self._office.prepare()
        with span("admission"), self.artifacts.admitting(case.version.name):
            return _admitted(case) or _refused(case, asked) or self._judged(case)

    def _judged(self, case: Case) -> Verdict:
        for last_try in (False, True):
            folder = self.fetched(case.version)
            with with_recorded(case, self._settings) as whole:
                verdict = self._tried(whole)
            if isinstance(verdict, Admitted):
                return verdict
            if not folder.is_dir():  # removed by another process, so that the reason may be wrong
                raise StoreUnavailable(f"{folder} was removed meanwhile")
            if verdict.reason != "digest" or last_try:
                return verdict
            log.warning("%s: %s; fetching it once more", case.version, verdict.message)
            self.discard(case.version)
        raise AssertionError("unreachable")

    def _tried(self, case: Case) -> Verdict:
        """As data, or else, where that is permitted, with its code. Raises Refusal."""
        try:
            verdict = self._office.judge(self._housed(case))
        except Refusal as error:
            verdict = Refused(case.key, error.reason, error.message)
        refused = isinstance(verdict, Refused) and verdict.reason in OTHERWISE
        if case.code == "none" or not refused:
            return verdict
        house = self._environments.named(case.folder)
        return self._office.judge(structs.replace(case, house=house))

    def _housed(self, case: Case) -> Case:
        """With the environment of a version that another release wrote. Raises Refusal."""
        if not (case.contract.by_schema and self._settings.admission.environments):
            return case
        return structs.replace(case, environment=self._environments.of(case.folder))


def _model(release: Release) -> Model:
    check = release.process.check if release.process else None
    return Model(release.predict, release.probabilities.predict, check)


def _admitted(case: Case) -> Admitted | None:
    """The verdict that is there, if it is of this case and its files are sound."""
    found = verdicts.read(case.place)
    if not isinstance(found, Admitted) or found.key != case.key or not found.holds(case.place):
        return None
    pinned = case.version.tag(PIN_TAG)
    return found if not pinned or found.files in ("", pinned) else None


def _refused(case: Case, since: float) -> Refused | None:
    """A refusal that another process came to meanwhile; an older one is tried again."""
    found = verdicts.read(case.place)
    if not isinstance(found, Refused) or found.key != case.key:
        return None
    try:
        return found if (case.place / verdicts.VERDICT).stat().st_mtime >= since else None
    except OSError:
        return None
