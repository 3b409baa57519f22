"""What a look at the registry shows, and what has changed since the last one.

MLflow takes about a millisecond for each model that it answers with. So where there are many,
each look asks for those that moved last: a promotion by stage moves a model. Aliases, tags and
deletions do not: they are seen when all are asked for, which may take a twentieth of the time.

Where a relay keeps all of that, the registry is not asked: the relay says what changed. Else one
of the processes of a home asks. Where the registry's database is a file of this machine, it asks
when that file was written, and now and then to be sure.
"""

import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Self

from bentos.promotion.lookout import Lookout
from bentos.promotion.pauses import longest
from bentos.promotion.relayed import Relayed
from bentos.promotion.writes import Writes
from bentos.registry.client import Model, Registry
from bentos.settings import Settings

MOST_QUESTIONS = 3  # beyond, one for everything is cheaper
NEWEST = 3  # models; if all of them moved, others may have, too
SHARE = 0.05  # of the time that a look at everything may take
LONGEST_STILL = 30.0  # seconds without a question, which also tells whether the registry answers


class View:
    """The registered models that have one of these names or prefixes; others too, of many.

    A model that did not change is the same object in each look, and so are all of them together
    when none did.
    """

    def __init__(
        self,
        registry: Registry,
        names: Collection[str],
        prefixes: Collection[str],
        longest: float,
        share: float = SHARE,
        relayed: Relayed | None = None,
        lookout: Lookout | None = None,
        writes: Writes | None = None,
    ) -> None:
        self._registry = registry
        self._relayed = relayed
        self._relay_has: Mapping[str, Model] | None = None
        self._share = share
        self._names = sorted(set(names))
        self._prefixes = sorted(set(prefixes))
        self._longest = longest  # seconds between two looks at everything
        self._due = 0.0
        self._lookout = lookout
        self._writes = writes or Writes(None)
        self._sure = 0.0  # until then, a look need not ask when nothing was written
        self._expired = True
        self._leads = False
        self._asked = True  # in the last look
        self.as_of = 0.0  # the moment that `models` tells of, by time.monotonic()
        self.models: Mapping[str, Model] = {}

    @classmethod
    def of(
        cls,
        registry: Registry,
        settings: Settings,
        names: Collection[str],
        prefixes: Collection[str],
        relayed: Relayed,
    ) -> Self:
        """One that all processes of the home share that ask for the same."""
        question = f"{registry.uri} {sorted(set(names))} {sorted(set(prefixes))}"
        lookout = Lookout(settings.home / "looks", question, settings.registry.poll_seconds)
        writes = Writes(settings.registry.file)
        return cls(registry, names, prefixes, longest(settings), SHARE, relayed, lookout, writes)

    @property
    def is_whole(self) -> bool:
        """Whether it shows every model that there is."""
        return "" in self._prefixes or len(self._names + self._prefixes) > MOST_QUESTIONS

    @property
    def news_in(self) -> list[Path]:
        """The files that are written before there are news."""
        return self._writes.files + ([self._lookout.file] if self._lookout else [])

    @property
    def has_news(self) -> bool:
        """Whether a look would show more than the last one, as far as can be told for nothing."""
        if self._asked:
            return False
        heard = self._lookout is not None and self._lookout.has_news
        return heard or (self._leads and self._writes.moved)

    def expire(self) -> None:
        """Ask for everything the next time."""
        self._expired = True

    def look(self) -> Mapping[str, Model]:
        """The models now, as far as it is known. Raises RegistryUnavailable."""
        if not self._is_relayed():
            self._look()
        return self.models

    def _look(self) -> None:
        self._leads = self._lookout is None or self._lookout.leads()
        known = not self._expired and (self._stands_still() if self._leads else self._hears())
        self._asked = not known
        if self._asked:
            self._ask()
        if self._lookout and self._leads:
            self._lookout.tell(self.models, self.as_of)

    def close(self) -> None:
        """Look no more, and let others do so."""
        if self._lookout:
            self._lookout.close()

    def _is_relayed(self) -> bool:
        """Whether a relay tells what is there, which says by itself when that changes."""
        if self._relayed is None:
            return False
        began, before = time.monotonic(), self._relay_has
        fresh, self._expired = self._expired, False
        self._relay_has = self._relayed.models(fresh)
        if self._relay_has is None:
            self._expired = fresh or before is not None
            return False
        if self._relay_has is not before:
            self._take(self._wanted(self._relay_has))
        self._asked, self.as_of = True, began
        return True

    def _stands_still(self) -> bool:
        """Whether nothing was written since this process asked."""
        now = time.monotonic()
        if now > self._sure or self._writes.moved:
            return False
        self.as_of = now
        return True

    def _hears(self) -> bool:
        """Whether another process has told what is there, since this one last wrote."""
        heard = self._lookout.hear(self._registry.wrote_at) if self._lookout else None
        if heard is None:
            return False
        models, at = heard
        if at > self.as_of:
            self._take(models)
            self.as_of = at
        return True

    def _ask(self) -> None:
        if self._expired:
            self._due = 0.0
        self._expired = False
        mark, began = self._writes.read(), time.monotonic()
        try:
            newest = self._newest()
            self._take(self._everything() if newest is None else newest)
        except BaseException:
            self._expired = True
            raise
        if newest is None:  # else what was written may have moved no model
            self._writes.seen(mark)
        self.as_of, self._sure = began, began + LONGEST_STILL

    def _take(self, found: Mapping[str, Model]) -> None:
        """Keep what is new, and every object that is not."""
        if found is self.models:
            return
        kept = {name: self._same(name, model) for name, model in found.items()}
        changed = kept.keys() != self.models.keys() or any(
            self.models[name] is not model for name, model in kept.items()
        )
        if changed:
            self.models = kept

    def _newest(self) -> Mapping[str, Model] | None:
        """The models with those that moved last, unless everything must be asked for."""
        if not self.is_whole or time.monotonic() >= self._due:
            return None
        newest = {model.name: model for model in self._registry.newest(NEWEST)}
        last = max((model.last_updated_timestamp for model in self.models.values()), default=0)
        if all(model.last_updated_timestamp > last for model in newest.values()):
            return None
        known = all(self.models.get(name) == model for name, model in newest.items())
        return self.models if known else {**self.models, **newest}

    def _everything(self) -> dict[str, Model]:
        if not self.is_whole:
            return self._named()
        began = time.monotonic()
        found = self._registry.models()
        now = time.monotonic()
        self._due = now + min((now - began) / self._share, self._longest)
        return found

    def _named(self) -> dict[str, Model]:
        found: dict[str, Model] = {}
        for name in self._names:
            found |= self._registry.models(name=name)
        for prefix in self._prefixes:
            found |= self._registry.models(prefix=prefix)
        return found

    def _wanted(self, kept: Mapping[str, Model]) -> Mapping[str, Model]:
        if self.is_whole:
            return kept
        prefixes = tuple(self._prefixes)
        return {n: kept[n] for n in kept if n in self._names or n.startswith(prefixes)}

    def _same(self, name: str, model: Model) -> Model:
        before = self.models.get(name)
        return before if before is model or before == model else model
