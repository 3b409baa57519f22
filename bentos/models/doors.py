"""The fast route of each promoted model: `POST /NAME/predict`, with metrics of its own."""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Generic, TypeVar
from urllib.parse import parse_qsl

import msgspec
from starlette.types import Receive, Scope

from bentos.models import tables
from bentos.models.calls import PROBA, Codecs, Models, Row, ask, find, has_flag, live
from bentos.protocols.arrow_stream import MEDIA_TYPE, ArrowStream
from bentos.protocols.rows import Rows, by_class
from bentos.serving.release import Release
from bentos.serving.slot import Slot
from bentos.tensors import BadInput, Batch
from bentos.web.body import Decoder, decode_query, read, read_json
from bentos.web.errors import HTTPError, NotReady, Problem, UnprocessableBody, clip
from bentos.web.hot import MISMATCH, Door, headers_of, late, unfit
from bentos.web.whole import Header

END = "/predict"
PATH = re.compile(r"/([^/]+)/predict")
PATHS, LONG = 4096, 256  # so many paths are remembered, if they are no longer than that


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The query of a call; `params` are those of the model's signature."""

    proba: bool = False
    params: Mapping[str, str] = MappingProxyType({})


PLAIN = Asked()


class Predictions(Door):
    """Rows in, answers out, by the schema of the live release."""

    def __init__(self, slot: Slot[Row, Row], timeout: float) -> None:
        super().__init__("models", slot.name, timeout)
        self.slot = slot
        self._codecs = Codecs(lambda release, schema, most: Rows(schema, most))
        self._streams = Codecs(lambda release, schema, most: ArrowStream(schema, most))

    async def answer(self, scope: Scope, receive: Receive) -> tuple[int, list[Header], bytes]:
        """The answers to the rows of a body."""
        query = scope["query_string"]
        release = self.slot.live
        asked = _asked(query, release is None or has_flag(release)) if query else PLAIN
        body = await read(scope, receive, self.slot.limits.body_bytes)
        comes, is_wanted = tables.comes(scope), tables.is_wanted(scope)
        if comes or is_wanted:
            return await self._with_tables(body, asked, comes, is_wanted)
        return await self.answers(body, asked)

    async def answers(self, body: bytes, asked: Asked = PLAIN) -> tuple[int, list[Header], bytes]:
        """The answers to rows in JSON. Raises HTTPError."""
        many = False

        def decoded(release: Release) -> Batch:
            nonlocal many
            rows = self._codecs.of(self.slot, release)
            call = rows.decode(body, _params(rows, asked.params) if asked.params else None)
            many = call.many
            return call.batch

        answers, release = await self._ask(decoded, asked)
        given = self._codecs.of(self.slot, release).encode(answers, many)
        return 200, headers_of(given, release), given

    async def _with_tables(
        self, body: bytes, asked: Asked, comes: bool, is_wanted: bool
    ) -> tuple[int, list[Header], bytes]:
        """The answers to rows of which those that come, or the answers, are a table of Arrow."""

        def decoded(release: Release) -> Batch:
            rows = self._codecs.of(self.slot, release)
            params = _params(rows, asked.params) if asked.params else None
            if not comes:
                return rows.decode(body, params).batch
            return self._streams.of(self.slot, release).decode(body, self.slot.limits.body_bytes)

        answers, release = await self._ask(decoded, asked)
        if not is_wanted:
            given = self._codecs.of(self.slot, release).encode(answers, many=True)
            return 200, headers_of(given, release), given
        try:
            given = self._streams.of(self.slot, release).encode(answers)
        except BadInput as error:
            raise unfit(error) from None
        return 200, headers_of(given, release, MEDIA_TYPE), given

    async def _ask(
        self, decoded: Callable[[Release], Batch], asked: Asked
    ) -> tuple[Batch, Release]:
        answers, release = await ask(self.slot, decoded, self.timeout, asked.proba)
        if asked.proba:
            answers = by_class(answers, release.probabilities.classes)
        return answers, release

    def late(self) -> HTTPError:
        """What is answered when a call took longer than `timeout` seconds."""
        return late(self.slot, self.timeout)


def _asked(query: bytes, has_flag: bool) -> Asked:
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    flags = decode_query([pair for pair in pairs if has_flag and pair[0] == PROBA], Asked)
    params = dict[str, str]()
    for name, text in pairs:
        if name in params:
            message = "Given more than once; give it once, a list as JSON"
            raise UnprocessableBody(Problem(["query", clip(name)], message, "duplicate"))
        if name != PROBA or not has_flag:
            params[name] = text
    return Asked(flags.proba, params)


def _params(rows: Rows, texts: Mapping[str, str]) -> dict[str, Any]:
    try:
        return rows.params(texts)
    except BadInput as error:
        problem = Problem(["query", clip(error.column)], error.message, MISMATCH)
        raise UnprocessableBody(problem) from None


D = TypeVar("D", bound=Door)


class Doors(Generic[D]):
    """The doors of a rack's models, made at their first calls.

    The first group of a `path` is the name; without one it is the model that is served alone.
    """

    def __init__(
        self, rack: Models, path: re.Pattern[str], make: Callable[[Slot[Row, Row]], D]
    ) -> None:
        self._rack = rack
        self._path = path
        self._named = lru_cache(PATHS)(self._name)
        self._make = make
        self._made: dict[str, tuple[Slot[Row, Row], D]] = {}

    def __call__(self, path: str) -> D | None:
        """The door that a path leads to, if its model is promoted."""
        name = (self._named if len(path) < LONG else self._name)(path)
        return None if name is None else self.of(name or self._rack.alone)

    def _name(self, path: str) -> str | None:
        found = self._path.fullmatch(path)
        return (found[1] or "") if found else None

    def of(self, name: str) -> D | None:
        """The door of a model, if it is promoted."""
        slot = self._rack.get(name)
        if slot is None:
            self._made.pop(name, None)  # its model has left
            return None
        made = self._made.get(name)
        if made is None or made[0] is not slot:
            made = self._made[name] = slot, self._make(slot)
        return made[1]


def any_of(*doors: Callable[[str], Door | None]) -> Callable[[str], Door | None]:
    """The first door that one of these knows for a path."""

    def found(path: str) -> Door | None:
        for each in doors:
            if (door := each(path)) is not None:
                return door
        return None

    return found


class _Call(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    rows: msgspec.Raw


class ByName(Door):
    """One door to all models: the body is `{"name": ..., "rows": ...}`, of so many bytes."""

    def __init__(self, rack: Models, doors: Doors[Predictions], most: int, timeout: float) -> None:
        super().__init__("models", END, timeout)
        self._rack = rack
        self._doors = doors
        self._most = most
        self._decode: Decoder[_Call] = Decoder(_Call)

    async def answer(self, scope: Scope, receive: Receive) -> tuple[int, list[Header], bytes]:
        """The answers to the rows of a body, by the model that it names."""
        call = self._decode(await read_json(scope, receive, self._most))
        door = self._doors.of(call.name)
        if door is None:
            live(find(self._rack, call.name))
            raise NotReady("The model came this moment: call again")
        try:
            return await door.answers(bytes(call.rows))
        except UnprocessableBody as error:
            raise UnprocessableBody(*map(_in_rows, error.detail)) from None


def _in_rows(problem: Problem) -> Problem:
    return msgspec.structs.replace(problem, loc=["body", "rows", *problem.loc[1:]])
