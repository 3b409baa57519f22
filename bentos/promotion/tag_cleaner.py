"""Corrects tags that nobody keeps up any more: of dead processes, and of copied versions."""

import logging
from collections.abc import Collection, Mapping
from contextlib import suppress

from bentos.promotion.promoter import is_copied
from bentos.promotion.replicas import Beats, Record, ReplicaLocks, live, records
from bentos.promotion.tag_writer import TagWriter
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


class TagCleaner:
    """Finds in each look the models that have wrong tags, and corrects them when asked to."""

    def __init__(self, registry: Registry, locks: ReplicaLocks, writer: TagWriter) -> None:
        self._registry = registry
        self._locks = locks
        self._writer = writer
        self._seen: set[str] = set()
        self._due: dict[str, None] = {}  # in order
        self._barred: set[str] = set()  # models whose tags the registry does not let us change
        self._dead: set[str] = set()
        self._beats = Beats()
        self._shown: Mapping[str, Model] = {}  # by the last look, and what was on them
        self._records: dict[str, dict[str, Record]] = {}
        self._seen_ended: set[str] = set()

    def see(self, models: Mapping[str, Model], followed: Collection[str], whole: bool) -> bool:
        """Note what is to be put right; of those followed, all at their first sight.

        `whole` says that these are all models. Returns whether there was anything new to see.
        """
        if models is not self._shown:
            self._records = {
                name: self._records[name] if self._shown.get(name) is model else records(model)
                for name, model in models.items()
            }
            self._beats.see(self._records.values(), whole)
        elif whole:
            self._beats.see_again()
        self._dead = self._locks.dead()
        if models is self._shown and self._ended == self._seen_ended:
            return False
        self._shown, self._seen_ended = models, self._ended
        for name, model in models.items():
            known = self._records[name]
            new = name in followed and name not in self._seen
            if new or self._seen_ended & known.keys() or self._is_wrong(model, known):
                self.due(name)
        self._seen |= models.keys() & set(followed)
        return True

    def lacks(self, name: str) -> bool:
        """Whether a model was seen without a record of this process."""
        return name in self._records and self._locks.me not in self._records[name]

    def due(self, name: str) -> None:
        """Look through a model's versions when there is time."""
        if name not in self._barred:
            self._due[name] = None

    def work(self) -> None:
        """Put some of it right. Raises RegistryUnavailable."""
        for name in list(self._due)[:AT_ONCE]:
            del self._due[name]
            try:
                self.clean(name)
            except RegistryUnavailable:
                self._due[name] = None  # the last, so that it keeps no other waiting
                raise
        if self._dead:
            self._look_everywhere()
            for replica in self._dead - self._beats.replicas:
                self._locks.forget(replica)

    def clean(self, name: str) -> None:
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
        """The records of processes that live. Raises RegistryUnavailable."""
        known = records(model)
        self._beats.see([known], whole=False)
        if self._ended & known.keys():
            self._look_everywhere()
        return {replica: known[replica] for replica in known.keys() - self._ended}

    @property
    def _ended(self) -> set[str]:
        """The processes that have ended, as far as is known here."""
        return (self._beats.quiet | self._dead) - {self._locks.me}

    def _look_everywhere(self) -> None:
        """See when each process last wrote, on any model, unless that was just seen."""
        if not self._beats.is_whole:
            self._beats.see(map(records, self._registry.models().values()), whole=True)

    def _is_wrong(self, model: Model, known: Mapping[str, Record]) -> bool:
        pointed = self._writer.pointed(model)
        serving = live(known)
        astray = self._locks.me in known and pointed not in (None, *serving) and bool(serving)
        return astray or any(is_foreign(one) or is_copied(one) for one in model.latest_versions)

    def _put_right(
        self, version: Version, versions: list[Version], known: Mapping[str, Record]
    ) -> None:
        self._writer.remove(version)
        if is_foreign(version):
            return
        said = state(version)
        standing = [
            one.said[version.version] for one in known.values() if version.version in one.said
        ]
        if standing:
            count = sum(one.state == "live" for one in standing)
            if said == "live" and version.tag(REPLICAS_TAG) != str(count):
                self._writer.write(version, known, said, version.tag(REASON_TAG))
        elif said in ("live", "stopped"):
            after = _successor(version, versions, live(known))
            end: State = "retired" if after else "stopped"
            if said != end or version.tag(REPLICAS_TAG) != "0":
                self._writer.write(version, known, end, f"replaced by {after}" if after else "")
        elif said in ("admitting", "challenger"):
            self._writer.write(version, known, "retired", "no replica goes on with it")

    def _put_alias_right(self, model: Model, versions: list[Version], serving: set[str]) -> None:
        pointed = self._writer.pointed(model)
        if pointed in serving:
            return
        known = {version.version: version for version in versions}
        if serving & known.keys():
            latest = max(serving & known.keys(), key=lambda number: known[number].tag(SINCE_TAG))
            self._writer.point(model, latest)
        elif pointed in known and state(known[pointed]) == "retired":
            self._writer.point(model, None)


def _successor(version: Version, versions: list[Version], serving: set[str]) -> Version | None:
    """The version that serves in the channel where this one did."""
    mine = owner(version)
    for other in versions:
        theirs = owner(other)
        same = not (mine and theirs) or mine.channel == theirs.channel
        if other.version in serving and same:
            return other
    return None
