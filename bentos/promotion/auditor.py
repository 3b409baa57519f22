"""Puts right what nobody stands by any more: tags of dead processes, and of copied versions."""

import logging
from collections.abc import Collection, Mapping
from contextlib import suppress

from bentos.promotion.replicas import Census, Record, live, records
from bentos.promotion.scribe import Scribe
from bentos.registry.client import (
    CallFailed,
    Model,
    NotInRegistry,
    Registry,
    RegistryUnavailable,
    Version,
)
from bentos.registry.tags import (
    REASON_TAG,
    RECORD_TAG,
    REPLICAS_TAG,
    SINCE_TAG,
    State,
    is_foreign,
    owner,
    state,
)

log = logging.getLogger(__name__)

AT_ONCE = 10  # models between two looks


class Auditor:
    """Sees in each look which models have wrong tags, and rights them when asked to."""

    def __init__(self, registry: Registry, census: Census, scribe: Scribe) -> None:
        self._registry = registry
        self._census = census
        self._scribe = scribe
        self._seen: set[str] = set()
        self._due: dict[str, None] = {}  # in order
        self._barred: set[str] = set()  # models whose tags the registry does not let us change
        self._dead: set[str] = set()

    def see(self, models: Mapping[str, Model], followed: Collection[str]) -> None:
        """Note what is to be put right; of those followed, all at their first sight."""
        self._dead = self._census.dead()
        told: set[str] = set()
        for name, model in models.items():
            known = records(model)
            told |= known.keys()
            new = name in followed and name not in self._seen
            if new or self._gone(known) or self._is_wrong(model, known):
                self.due(name)
        self._seen |= models.keys() & set(followed)
        for replica in self._dead - told:
            self._census.bury(replica)

    def due(self, name: str) -> None:
        """Look through a model's versions when there is time."""
        if name not in self._barred:
            self._due[name] = None

    def work(self) -> None:
        """Put some of it right. Raises RegistryUnavailable."""
        for name in list(self._due)[:AT_ONCE]:
            del self._due[name]
            try:
                self.audit(name)
            except RegistryUnavailable:
                self._due[name] = None  # the last, so that it keeps no other waiting
                raise

    def audit(self, name: str) -> None:
        """Put right what stands on the versions of a model, and where its alias points.

        Raises RegistryUnavailable.
        """
        try:
            versions = self._registry.versions(name)
            model = self._registry.model(name)  # after: who says something records it first
            known = self.living(model)
            for replica in records(model).keys() - known.keys():
                with suppress(NotInRegistry):
                    self._registry.delete_model_tag(name, RECORD_TAG + replica)
            for version in versions:
                self._put_right(version, versions, known)
            self._put_alias_right(model, versions, live(known))
        except NotInRegistry as error:
            log.info("%s changes while its tags are put right: %s", name, error)
        except CallFailed as error:
            if not error.final:
                raise
            self._barred.add(name)
            log.warning("the tags of %s are left as they are: %s", name, error)

    def living(self, model: Model) -> dict[str, Record]:
        """The records of processes that live, as far as is known here."""
        known = records(model)
        return {replica: known[replica] for replica in known.keys() - self._gone(known)}

    def _gone(self, known: Mapping[str, Record]) -> set[str]:
        stale = {r for r, record in known.items() if record.stale and r != self._census.me}
        return stale | (known.keys() & self._dead)

    def _is_wrong(self, model: Model, known: Mapping[str, Record]) -> bool:
        pointed = self._scribe.pointed(model)
        serving = live(known)
        astray = self._census.me in known and pointed not in (None, *serving) and bool(serving)
        return astray or any(map(is_foreign, model.latest_versions))

    def _put_right(
        self, version: Version, versions: list[Version], known: Mapping[str, Record]
    ) -> None:
        if is_foreign(version):
            self._scribe.clean(version)
            return
        said = state(version)
        standing = [
            one.said[version.version] for one in known.values() if version.version in one.said
        ]
        if standing:
            count = sum(one.state == "live" for one in standing)
            if said == "live" and version.tag(REPLICAS_TAG) != str(count):
                self._scribe.write(version, known, said, version.tag(REASON_TAG))
        elif said in ("live", "stopped"):
            after = _successor(version, versions, live(known))
            end: State = "retired" if after else "stopped"
            if said != end or version.tag(REPLICAS_TAG) != "0":
                self._scribe.write(version, known, end, f"replaced by {after}" if after else "")
        elif said in ("admitting", "challenger"):
            self._scribe.write(version, known, "retired", "no replica goes on with it")

    def _put_alias_right(self, model: Model, versions: list[Version], serving: set[str]) -> None:
        pointed = self._scribe.pointed(model)
        if pointed in serving:
            return
        known = {version.version: version for version in versions}
        if serving & known.keys():
            latest = max(serving & known.keys(), key=lambda number: known[number].tag(SINCE_TAG))
            self._scribe.point(model, latest)
        elif pointed in known and state(known[pointed]) == "retired":
            self._scribe.point(model, None)


def _successor(version: Version, versions: list[Version], serving: set[str]) -> Version | None:
    """The version that serves in the channel where this one did."""
    mine = owner(version)
    for other in versions:
        theirs = owner(other)
        same = not (mine and theirs) or mine.channel == theirs.channel
        if other.version in serving and same:
            return other
    return None
