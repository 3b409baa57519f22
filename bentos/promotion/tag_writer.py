"""Writes on a version what is done with it: in words for people, in tags for scripts, by an alias.

What is written is derived from the records of all processes, so that it is right whoever writes.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime

import msgspec
from msgspec.structs import replace

from bentos.promotion.ledger import now
from bentos.promotion.promoter import is_copied
from bentos.promotion.replicas import Record
from bentos.registry.client import TAG_LIMIT, CallFailed, Model, NotInRegistry, Registry, Version
from bentos.registry.tags import (
    OLD_RECORD_TAG,
    OWNER_TAG,
    PROMOTED_BY_TAG,
    REASON_TAG,
    REPLICAS_TAG,
    SINCE_TAG,
    STATE_TAG,
    WORDS_TAG,
    Owner,
    State,
    is_foreign,
    is_ours,
    owner,
)

log = logging.getLogger(__name__)

Known = Mapping[str, Record]
PHRASES: dict[State, str] = {
    "admitting": "being checked since {at}",
    "live": "live since {at} on {replicas}",
    "challenger": "challenger since {at}",
    "refused": "refused {at}",
    "withdrawn": "withdrawn {at}",
    "retired": "retired {at}",
    "stopped": "stopped {at}: no replica runs; the next one brings it back",
}


class TagWriter:
    """Writes tags and aliases. `alias` gives that of a model's live version; none: no alias."""

    def __init__(self, registry: Registry, alias: Callable[[str], str]) -> None:
        self._registry = registry
        self._alias = alias
        self._barred: set[str] = set()  # models whose alias the registry does not let us move

    def write(
        self, version: Version, known: Known, state: State, reason: str = "", channel: str = ""
    ) -> bool:
        """Bring the tags of a version, as it is now, to what the records say, or else to a state.

        `channel` is the one that led to it; none: as it was. Returns whether that changed any.
        """
        before = replace(version, tags=()) if is_foreign(version) else version
        said = [one for r in known.values() if (one := r.said.get(version.version))]
        count = sum(one.state == "live" for one in said)
        state = "live" if count else state
        lasting = before.tag(STATE_TAG) == state and before.tag(SINCE_TAG)
        since = before.tag(SINCE_TAG) if lasting else now()
        runs = sorted({one.runs for one in said if one.state == state and one.runs})
        tags = {
            OWNER_TAG: _owned(version, before, channel),
            REPLICAS_TAG: str(count),
            REASON_TAG: reason,
            SINCE_TAG: since,
            WORDS_TAG: words(state, since, count, runs, reason),
            STATE_TAG: state,  # the last, for those who wait for it
        }
        changed = {k: value for k, value in tags.items() if value[:TAG_LIMIT] != version.tag(k)}
        for key, value in changed.items():
            self._registry.set_tag(version, key, value)
        self._remove(version, lambda key: key.startswith(OLD_RECORD_TAG))
        return bool(changed)

    def remove(self, version: Version) -> None:
        """Remove what was written on another version than this one."""
        if is_foreign(version):
            self._remove(version, is_ours)
        if is_copied(version):
            self._remove(version, lambda key: key == PROMOTED_BY_TAG)

    def point(self, model: Model, version: str | None) -> None:
        """Let the alias of the live version point to one, or nowhere."""
        alias = self._alias(model.name)
        if not alias or model.name in self._barred or model.alias(alias) == version:
            return
        try:
            if version:
                self._registry.set_alias(model.name, version, alias)
            else:
                self._registry.delete_alias(model.name, alias)
        except CallFailed as error:
            if not error.final:
                raise
            self._barred.add(model.name)
            log.warning("the alias %s of %s is left as it is: %s", alias, model.name, error)

    def pointed(self, model: Model) -> str | None:
        """The version that the alias points to."""
        alias = self._alias(model.name)
        return model.alias(alias) if alias and model.name not in self._barred else None

    def _remove(self, version: Version, which: Callable[[str], bool]) -> None:
        shows_whose = (OWNER_TAG, SINCE_TAG)  # the last, if this breaks off
        for tag in sorted(version.tags, key=lambda tag: tag.key in shows_whose):
            if which(tag.key):
                with suppress(NotInRegistry):  # another process was faster
                    self._registry.delete_tag(version, tag.key)


def words(state: State, since: str, replicas: int, runs: Sequence[str], reason: str) -> str:
    """The state of a version as a person reads it."""
    at = datetime.fromisoformat(since).strftime("%Y-%m-%d %H:%M UTC")
    count = f"{replicas} replica" if replicas == 1 else f"{replicas} replicas"
    phrase = PHRASES[state].format(at=at, replicas=count)
    phrase += f", as {' and '.join(runs)}" if runs else ""
    joint = "; " if state in ("live", "challenger", "stopped") else ": "
    return f"{phrase}{joint}{reason}" if reason else phrase


def _owned(version: Version, before: Version, channel: str) -> str:
    known = owner(before)
    of = Owner.of(version, channel or (known.channel if known else ""))
    return msgspec.json.encode(of).decode()
