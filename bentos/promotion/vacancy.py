"""Nothing serves in a slot, as the version that its channel points to cannot."""

import logging
from typing import Any

from bentos.promotion.channel import Promotions, cause, lack
from bentos.promotion.pauses import Patience
from bentos.promotion.release_store import PASSING
from bentos.promotion.revival import Revival
from bentos.registry.client import Version
from bentos.serving.slot import Slot

log = logging.getLogger(__name__)


class Vacancy:
    """Of one slot. It is filled by what served last, unless it is `tried`: a challenger's."""

    def __init__(
        self, slot: Slot[Any, Any], revival: Revival, patience: Patience, tried: bool
    ) -> None:
        self._slot = slot
        self._revival = revival
        self._patience = patience
        self._tried = tried
        self._vain: Promotions | None = None  # with it, nothing was found that served last

    def retry(self) -> None:
        """Look for what served last although none was found."""
        self._vain = None

    def is_open(self, target: Version | None, seen: Promotions | None) -> bool:
        """Whether nothing serves here, though another version may have."""
        waits = target is not None or not self._slot.vacates
        in_vain = seen is None or seen == self._vain
        lacks = self._slot.live is None and not self._tried
        return lacks and waits and not in_vain and self._patience.over

    def fill(self, target: Version | None, seen: Promotions | None) -> None:
        """Serve what served last, as the processes do that were running then."""
        try:
            if not self._revival.from_registry(target, self._hindrance(target, seen)):
                self._vain = seen
        except PASSING as error:
            seconds = self._patience.fail()
            log.warning("what served last of %s waits %.1f s: %s", self._slot.name, seconds, error)

    def _hindrance(self, target: Version | None, seen: Promotions | None) -> str:
        if target is None:
            return lack(self._slot.channel, self._slot.name)
        return f"{target} does not serve, although {cause(self._slot.channel, seen)}"
