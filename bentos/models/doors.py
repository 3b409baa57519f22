"""The fast route of each promoted model: `POST /NAME/predict`, with metrics of its own."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from starlette.types import Receive, Scope

from bentos.models.calls import Codecs, Models, Row, ask, find, live
from bentos.protocols.rows import Rows, by_class
from bentos.serving.release import Release
from bentos.serving.slot import Slot
from bentos.tensors import BadInput, Batch
from bentos.web.body import Decoder, decode_query, read, read_json
from bentos.web.errors import HTTPError, NotReady, Problem, UnprocessableBody, clip
from bentos.web.hot import MISMATCH, Door, Header, headers_of, late

END = "/predict"
PROBA = "proba"


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

    async def answer(self, scope: Scope, receive: Receive) -> tuple[int, list[Header], bytes]:
        """The answers to the rows of a body."""
        query = scope["query_string"]
        asked = _asked(query) if query else PLAIN
        body = await read(scope, receive, self.slot.limits.body_bytes)
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

        answers, release = await ask(self.slot, decoded, None, asked.proba)
        if asked.proba:
            answers = by_class(answers, release.probabilities.classes)
        given = self._codecs.of(self.slot, release).encode(answers, many)
        return 200, headers_of(given, release), given

    def late(self) -> HTTPError:
        """What is answered when a call took longer than `timeout` seconds."""
        return late(self.slot, self.timeout)


def _asked(query: bytes) -> Asked:
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    flags = decode_query([pair for pair in pairs if pair[0] == PROBA], Asked)
    params = dict[str, str]()
    for name, text in pairs:
        if name in params:
            message = "Given more than once; give it once, a list as JSON"
            raise UnprocessableBody(Problem(["query", clip(name)], message, "duplicate"))
        if name != PROBA:
            params[name] = text
    return Asked(flags.proba, params)


def _params(rows: Rows, texts: Mapping[str, str]) -> dict[str, Any]:
    try:
        return rows.params(texts)
    except BadInput as error:
        problem = Problem(["query", clip(error.column)], error.message, MISMATCH)
        raise UnprocessableBody(problem) from None


class Doors:
    """The doors of a rack's models, made at their first calls."""

    def __init__(self, rack: Models, timeout: float) -> None:
        self.timeout = timeout
        self._rack = rack
        self._made: dict[str, Predictions] = {}

    def __call__(self, path: str) -> Predictions | None:
        """The door that a path leads to, if its model is promoted."""
        return self.of(path[1 : -len(END)]) if path.endswith(END) else None

    def of(self, name: str) -> Predictions | None:
        """The door of a model, if it is promoted."""
        slot = self._rack.get(name)
        if slot is None:
            self._made.pop(name, None)  # its model has left
            return None
        door = self._made.get(name)
        if door is None or door.slot is not slot:
            door = self._made[name] = Predictions(slot, self.timeout)
        return door


class _Call(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    rows: msgspec.Raw


class ByName(Door):
    """One door to all models: the body is `{"name": ..., "rows": ...}`, of so many bytes."""

    def __init__(self, rack: Models, doors: Doors, most: int) -> None:
        super().__init__("models", END, doors.timeout)
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
