"""A call to a model by its name: bytes to columns, and answers back."""

import time
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeAlias, TypeVar

from cachetools import LRUCache

from bentos.serving.rack import Rack
from bentos.serving.release import Release
from bentos.serving.slot import Slot
from bentos.serving.table import Table
from bentos.tensors import BadInput, Batch, Schema
from bentos.tensors.schema import PROBABILITIES
from bentos.version import Version
from bentos.web.errors import HTTPError, NotReady, clip
from bentos.web.following import NOT_KNOWN
from bentos.web.hot import predict, unfit

TRIES = 5
PROBA = "proba"  # what the query of a call says for probabilities
KEPT = 4096  # readers and writers, one for each version that answers
Row: TypeAlias = dict[str, Any]
Models: TypeAlias = Rack[Row, Row]


class Stale(Exception):
    """The call was read by the schema of another release than the one that is to answer it."""


C = TypeVar("C")


def run(release: Release, rows: Sequence[Row]) -> Sequence[Row]:
    """Run one batch."""
    if not isinstance(rows, Table) or release.schema is None:
        raise TypeError(f"{release} is asked by columns")
    if rows.schema is not release.schema and rows.schema != release.schema:
        raise Stale
    predict = release.probabilities.predict if rows.probable else release.predict
    if predict is None:
        raise Stale  # the call was read by a release that has probabilities
    return Table(predict(rows.batch), release.schema, rows.probable)


class Codecs(Generic[C]):
    """The readers and writers of one protocol, made once for each release.

    `make` is given the release, its schema, and the most rows of a call.
    """

    def __init__(self, make: Callable[[Release, Schema, int], C]) -> None:
        self._make = make
        self._kept: LRUCache[tuple[str, str], tuple[Schema, C]] = LRUCache(KEPT)
        self._last: tuple[Version, Schema, C] | None = None

    def of(self, slot: Slot[Row, Row], release: Release) -> C:
        """The one for the schema of a release."""
        last = self._last
        if last and last[0] is release.version and last[1] is release.schema:
            return last[2]
        if release.schema is None:
            raise TypeError(f"{release} has no schema")
        key = release.version.name, release.version.version
        kept = self._kept.get(key)
        if kept is None or kept[0] is not release.schema:
            most = slot.limits.rows_per_call
            kept = release.schema, self._make(release, release.schema, most)
            self._kept[key] = kept
        self._last = release.version, kept[0], kept[1]
        return kept[1]


def has_flag(release: Release) -> bool:
    """Whether `?proba=` asks a release for probabilities: it may have a param of that name."""
    params = release.schema.params if release.schema else ()
    return all(param.name != PROBA for param in params)


def find(rack: Models, name: str) -> Slot[Row, Row]:
    """The slot of a promoted model.

    Raises HTTPError 404, which lists what there is, or NotReady before that is known.
    """
    slot = rack.get(name)
    if slot is not None:
        return slot
    if not rack.known:
        raise NotReady(NOT_KNOWN)
    known = ", ".join(slot.name for slot in rack.slots) or "none yet"
    raise HTTPError(404, f"No model {clip(name)!r} is promoted. Those that are: {clip(known)}")


def live(slot: Slot[Row, Row]) -> Release:
    """What serves. Raises NotReady with the reason why nothing does."""
    if slot.live is None:
        raise NotReady(f"{slot.name}: {slot.hindrance}")
    return slot.live


def standing(slot: Slot[Row, Row], version: str | None) -> Release:
    """What serves, or a version that stands beside it: the previous one, or the challenger.

    Raises NotReady as `live` does, and HTTPError 404, which lists the versions that there are.
    """
    release = live(slot)
    if version is None:
        return release
    there = slot.standing
    if version not in there:
        raise HTTPError(
            404,
            f"{slot.name}: version {clip(version)!r} does not serve. Those that do: "
            f"{', '.join(there)}",
        )
    return there[version][0]


async def ask(
    slot: Slot[Row, Row],
    read: Callable[[Release], Batch],
    seconds: float,
    probable: bool = False,
    version: str | None = None,
) -> tuple[Batch, Release]:
    """The answers to a call, read again where a swap came between reading and answering.

    Those of a `probable` call have a column of probabilities; all are by `version`, if one is
    named. Raises HTTPError where it takes longer than so many seconds, or as `predict`.
    """
    until = time.monotonic() + seconds
    for _ in range(TRIES):
        if slot.live is None:
            await slot.arrival(until)
        release = standing(slot, version)
        try:
            batch = read(release)
            if probable and release.probabilities.predict is None:
                raise BadInput(f"proba: {release} has none: {release.probabilities.lacks}")
        except BadInput as error:
            raise unfit(error) from None
        if release.schema is None:
            raise TypeError(f"{release} has no schema")
        try:
            table = Table(batch, release.schema, probable)
            answered = await predict(slot, table, until - time.monotonic(), version)
        except Stale:
            continue
        if version not in (None, answered.release.version.version):
            continue
        return _answers(answered.answers, probable), answered.release
    raise NotReady(f"{slot.name} changed its columns {TRIES} times meanwhile")


def _answers(table: Sequence[Row], probable: bool) -> Batch:
    """The columns of a call, without those that others in the batch asked for."""
    if not isinstance(table, Table):
        return Batch({})
    if probable or not table.probable:
        return table.batch
    return table.batch.select([name for name in table.batch if name != PROBABILITIES])
