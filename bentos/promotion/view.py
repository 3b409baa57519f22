"""What a look at the registry shows, and what has changed since the last one.

MLflow takes about a millisecond for each model that it answers with. So where there are many,
each look asks for those that moved last: a promotion by stage moves a model. Aliases, tags and
deletions do not: they are seen when all are asked for, which may take a twentieth of the time.

Where a relay keeps all of that, the registry is not asked: the relay says what changed.
"""

import time
from collections.abc import Collection, Mapping

from bentos.promotion.relayed import Relayed
from bentos.registry.client import Model, Registry

MOST_QUESTIONS = 3  # beyond, one for everything is cheaper
NEWEST = 3  # models; if all of them moved, others may have, too
SHARE = 0.05  # of the time that a look at everything may take


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
    ) -> None:
        self._registry = registry
        self._relayed = relayed
        self._kept: Mapping[str, Model] | None = None  # by the relay
        self._fresh = False  # the relay shall look, too
        self._share = share
        self._names = sorted(set(names))
        self._prefixes = sorted(set(prefixes))
        self._longest = longest  # seconds between two looks at everything
        self._due = 0.0
        self.models: Mapping[str, Model] = {}

    @property
    def is_whole(self) -> bool:
        """Whether it shows every model that there is."""
        return "" in self._prefixes or len(self._names + self._prefixes) > MOST_QUESTIONS

    def expire(self) -> None:
        """Look at everything the next time."""
        self._due, self._fresh = 0.0, True

    def look(self) -> Mapping[str, Model]:
        """The models now, as far as it is known. Raises RegistryUnavailable."""
        found = self._found()
        if found is self.models:
            return found
        kept = {name: self._same(name, model) for name, model in found.items()}
        changed = kept.keys() != self.models.keys() or any(
            self.models[name] is not model for name, model in kept.items()
        )
        if changed:
            self.models = kept
        return self.models

    def _found(self) -> Mapping[str, Model]:
        fresh, self._fresh = self._fresh, False
        before, self._kept = self._kept, self._relayed.models(fresh) if self._relayed else None
        if self._kept is not None:
            return self.models if self._kept is before else self._wanted(self._kept)
        return self._asked()

    def _asked(self) -> Mapping[str, Model]:
        if not self.is_whole:
            return self._named()
        if time.monotonic() < self._due:
            newest = {model.name: model for model in self._registry.newest(NEWEST)}
            last = max((model.last_updated_timestamp for model in self.models.values()), default=0)
            if any(model.last_updated_timestamp <= last for model in newest.values()):
                known = all(self.models.get(name) == model for name, model in newest.items())
                return self.models if known else {**self.models, **newest}
        return self._all()

    def _all(self) -> dict[str, Model]:
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
