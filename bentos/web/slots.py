"""The slots of services: channels and limits are those of the settings, counts go to metrics."""

from typing import Any

from bentos.serving.engine import Run
from bentos.serving.rack import Rack
from bentos.serving.release import Contract
from bentos.serving.slot import Slot
from bentos.serving.table import Table
from bentos.serving.waiting import Answer, Row
from bentos.settings import Settings
from bentos.web.observing import Metrics


def tracked(
    settings: Settings, model: str, contract: Contract, run: Run[Row, Answer]
) -> Slot[Row, Answer]:
    """The slot of a registered model."""
    return Slot(model, contract, run, settings.channel(model), settings.limits, Metrics(model))


def racked(settings: Settings, prefix: str, run: Run[Row, Answer]) -> Rack[Row, Answer]:
    """The slots of every registered model of a prefix, whatever its signature."""

    def make(model: str) -> Slot[Row, Answer]:
        channel, limits = settings.channel(model), settings.limits
        return Slot(model, Contract(None, None), run, channel, limits, Metrics(), vacates=True)

    return Rack(prefix, make)


def tabled(
    settings: Settings, run: Run[dict[str, Any], dict[str, Any]]
) -> Rack[dict[str, Any], dict[str, Any]]:
    """The slots of every registered model that has no service of its own."""

    def make(model: str) -> Slot[dict[str, Any], dict[str, Any]]:
        contract = Contract(None, None, by_schema=True)
        channel, limits = settings.channel(model), settings.limits
        return Slot(
            model, contract, run, channel, limits, Metrics(), vacates=True, join=Table.join
        )

    chosen = settings.models
    return Rack("", make, chosen.include, chosen.exclude, chosen.alone)
