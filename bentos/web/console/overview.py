"""What the overview shows of each model."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from bentos.promotion.fleet import Fleet
from bentos.promotion.ledger import Ledger
from bentos.promotion.shared import Serving
from bentos.serving.drift import Drift
from bentos.serving.release import Release
from bentos.serving.slot import Slot
from bentos.settings import Settings
from bentos.web.console import words
from bentos.web.console.counts import Counts, total
from bentos.web.console.ring import MINUTES

SHIFTED = 0.25  # a population stability index from which a shift is to be looked into
LATEST = 6  # places of the ring, of which the present one is not whole yet


@dataclass(frozen=True)
class Fact:
    """One figure; `bad` ones want to be seen."""

    name: str
    value: str
    bad: bool = False


@dataclass(frozen=True)
class Card:
    """One model of one service."""

    service: str
    model: str
    version: str
    since: str
    age: str
    promoted: str
    mlflow: str
    facts: Sequence[Fact]
    coming: str
    trouble: str
    challenger: str
    refusal: str
    refused: str

    @property
    def id(self) -> str:
        """What the page calls it."""
        return f"m{hashlib.sha256(f'{self.service}/{self.model}'.encode()).hexdigest()[:16]}"

    @property
    def page(self) -> str:
        """Where its page is, below its service."""
        return f"console/models/{quote(self.model, safe='')}"


def card(
    service: str,
    slot: Slot[Any, Any],
    settings: Settings,
    places: Sequence[Counts],
    trial: Counts,
    promoters: Mapping[tuple[str, str], str],
    fleet: Fleet | None = None,
) -> Card:
    """What there is to say of a slot: its traffic of some minutes, its trial of the last day.

    Of a trial in a fleet, what all replicas saw since it began.
    """
    live, refused = slot.live, slot.refused
    who = promoters.get((slot.name, live.version.version), "") if live else ""
    return Card(
        service,
        slot.name,
        live.version.version if live else "",
        words.moment(live.since) if live else "",
        words.age(live.since) if live else "",
        f"by {who}, {slot.channel}" if who else str(slot.channel),
        words.in_mlflow(settings, live.version) if live else "",
        facts(slot, places) + ([Fact("replicas", str(len(fleet.of(slot))))] if fleet else []),
        slot.candidate.version if slot.candidate else "",
        slot.trouble,
        tried(slot, trial, fleet.of(slot.trial.slot) if fleet and slot.trial else []),
        f"{refused.reason}: {refused.message}" if refused else "",
        f"{refused.version}, {words.age(refused.at)} ago" if refused else "",
    )


def facts(slot: Slot[Any, Any], places: Sequence[Counts]) -> list[Fact]:
    """The figures of a model: calls a second of late, and the rest of the last minutes."""
    recent, counts = total(places[-LATEST:-1]), total(places)
    rate = recent.calls / ((LATEST - 1) * MINUTES.seconds)
    live = slot.live
    shift, shifted = drift(slot)
    return [
        Fact("calls a second", words.number(rate)),
        Fact("p50", words.milliseconds(counts.quantile(0.5))),
        Fact("p99", words.milliseconds(counts.quantile(0.99))),
        Fact("errors", words.share(counts.failing), bad=counts.errors > 0),
        Fact("turned away", words.share(counts.rejected)),
        Fact("rows in a batch", words.number(counts.batch)),
        Fact("runs as", live.runs if live else words.NOTHING),
        Fact("memory", words.size(memory(live))),
        Fact("drift", shift, bad=shifted),
    ]


def memory(release: Release | None) -> int | None:
    """The bytes that a release takes in a worker, where that is known."""
    if release is None:
        return None
    return release.process.memory if release.process else release.memory


def drift(slot: Slot[Any, Any]) -> tuple[str, bool]:
    """The column that shifted most, and whether that is much."""
    found = drift_of(slot.live)
    columns = {**found.columns, **found.outputs} if found else {}
    shifts = [(one.psi, name) for name, one in columns.items() if one.psi is not None]
    if not shifts:
        return words.NOTHING, False
    psi, name = max(shifts)
    return f"{psi:.2f} ({name})", psi >= SHIFTED


def drift_of(release: Release | None) -> Drift | None:
    """What is known of the rows that came to a release beside the usual ones."""
    return release.sample.found if release else None


def tried(slot: Slot[Any, Any], trial: Counts, all_of: Sequence[Serving] = ()) -> str:
    """How the challenger does: on this machine, or on all replicas."""
    if slot.trial is None or slot.trial.slot.live is None:
        return ended(slot)
    report, version = slot.trial.report(), slot.trial.slot.live.version.version
    if all_of:
        trial = together(all_of)
    did = f"{trial.calls:,.0f} calls"
    if report["mode"] == "shadow":
        agreed = 1 - trial.turned_away / trial.calls if trial.calls else None
        did = f"agreed in {words.share(agreed)} of {did}"
    return (
        f"version {version} as {report['mode']} of {words.share(report['share'])}: {did}, "
        f"{trial.errors:,.0f} errors" + (f", on {len(all_of)} replicas" if all_of else "")
    )


def together(all_of: Sequence[Serving]) -> Counts:
    """The calls that a challenger was tried with on all replicas, as `Traffic` counts them."""
    compared, agreed = sum(s.compared or 0 for s in all_of), sum(s.agreed or 0 for s in all_of)
    answered, errors = sum(s.answered or 0 for s in all_of), sum(s.errors or 0 for s in all_of)
    return Counts(compared + answered, errors, compared - agreed)


def ended(slot: Slot[Any, Any]) -> str:
    """Which challenger is tried no more, though the alias points to it, and why."""
    tried = slot.trial.slot if slot.trial else None
    if tried is None or tried.refused is None or not tried.promised:
        return ""
    why = f"{tried.refused.reason}: {tried.refused.message}"
    return f"version {tried.refused.version} is not tried: {why}"


def promoters(ledger: Ledger | None) -> Mapping[tuple[str, str], str]:
    """Who promoted each version, where somebody is named. Raises sqlite3.Error."""
    return ledger.promoters() if ledger else {}
