"""Slots for models that nobody listed: one for every registered model of some names."""

import re
from collections.abc import Callable, Collection, Sequence
from fnmatch import fnmatchcase
from glob import escape
from typing import Generic

from bentos.serving.slot import Slot
from bentos.serving.waiting import Answer, Row
from bentos.serving.witness import Witness


class Rack(Generic[Row, Answer]):
    """The slots of all registered models whose names are `prefix` and a match of `included`.

    A slot appears with its model, and leaves with it. Its release leaves too when the channel
    is empty: callers name their model themselves, and get the answer that it is gone.
    `make` gives the slot of a model, by its registered name, with `vacates`; the names of
    those without one match a pattern of `excluded`. `alone` names the one model that there is,
    whatever the patterns say.
    """

    def __init__(
        self,
        prefix: str,
        make: Callable[[str], Slot[Row, Answer]],
        included: Sequence[str] = ("*",),
        excluded: Sequence[str] = (),
        alone: str = "",
    ) -> None:
        self.prefix = prefix
        named = [escape(prefix) + pattern for pattern in included]
        self.patterns = [escape(alone)] if alone else named  # of registered names
        self.excluded = () if alone else excluded
        self.alone = alone
        self.known = False  # whether it is known which models there are
        self._make = make
        self._slots: dict[str, Slot[Row, Answer]] = {}
        self.witnesses: list[Witness] = []  # of all slots

    @property
    def stems(self) -> list[str]:
        """What the registry is asked for: how the names of the models begin."""
        return [re.split(r"[*?[]", pattern)[0] for pattern in self.patterns]

    @property
    def slots(self) -> list[Slot[Row, Answer]]:
        """The slots whose channels hold a version, by name."""
        return [slot for _, slot in sorted(self._slots.items()) if slot.promised]

    @property
    def ready(self) -> bool:
        """Whether every promoted model serves, or was refused."""
        return self.known and all(slot.live or slot.refused for slot in self.slots)

    def get(self, name: str) -> Slot[Row, Answer] | None:
        """The slot of `<prefix><name>`, if a version of that model is promoted."""
        slot = self._slots.get(f"{self.prefix}{name}")
        return slot if slot and slot.promised else None

    def holds(self, name: str) -> bool:
        """Whether a registered model of that name has a slot here."""
        kept_out = any(fnmatchcase(name, pattern) for pattern in self.excluded)
        return not kept_out and any(fnmatchcase(name, pattern) for pattern in self.patterns)

    def name(self, slot: Slot[Row, Answer]) -> str:
        """What callers call a slot's model."""
        return slot.name.removeprefix(self.prefix)

    def add(self, registered: Collection[str]) -> list[Slot[Row, Answer]]:
        """Make slots for those of the registered models that have none yet; give the new ones."""
        names = {name for name in registered if self.holds(name)}
        added = {name: self._make(name) for name in sorted(names - self._slots.keys())}
        for name, slot in added.items():
            slot.witnesses.add(name, self.witnesses)
        self._slots = self._slots | added  # readers in other threads see the old or the new
        return list(added.values())

    def drop(self, registered: Collection[str]) -> list[Slot[Row, Answer]]:
        """Remove the empty slots of models that the registry holds no more; give them."""
        gone = {
            name: slot
            for name, slot in self._slots.items()
            if name not in registered and not slot.live
        }
        self._slots = {name: slot for name, slot in self._slots.items() if name not in gone}
        return list(gone.values())
