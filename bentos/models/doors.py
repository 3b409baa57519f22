"""The fast route of each promoted model: `POST /NAME/predict`, with metrics of its own."""

from urllib.parse import parse_qsl

import msgspec
from starlette.types import Receive, Scope

from bentos.models.calls import Codecs, Models, Row, ask, find, live
from bentos.protocols.rows import Rows, by_class
from bentos.serving.release import Release
from bentos.serving.slot import Slot
from bentos.tensors import Batch
from bentos.web.body import Decoder, decode_query, read, read_json
from bentos.web.errors import HTTPError, NotReady, Problem, UnprocessableBody
from bentos.web.hot import Door, Header, headers_of, late

END = "/predict"


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The query of a call."""

    proba: bool = False


class Predictions(Door):
    """Rows in, answers out, by the schema of the live release."""

    def __init__(self, slot: Slot[Row, Row], timeout: float) -> None:
        super().__init__("models", slot.name, timeout)
        self.slot = slot
        self._codecs = Codecs(lambda release, schema, most: Rows(schema, most))

    async def answer(self, scope: Scope, receive: Receive) -> tuple[int, list[Header], bytes]:
        """The answers to the rows of a body."""
        proba = bool(scope["query_string"]) and _asked(scope["query_string"]).proba
        body = await read(scope, receive, self.slot.limits.body_bytes)
        return await self.answers(body, proba)

    async def answers(self, body: bytes, proba: bool = False) -> tuple[int, list[Header], bytes]:
        """The answers to rows in JSON. Raises HTTPError."""
        many = False

        def decoded(release: Release) -> Batch:
            nonlocal many
            call = self._codecs.of(self.slot, release).decode(body)
            many = call.many
            return call.batch

        answers, release = await ask(self.slot, decoded, None, proba)
        if proba:
            answers = by_class(answers, release.probabilities.classes)
        given = self._codecs.of(self.slot, release).encode(answers, many)
        return 200, headers_of(given, release), given

    def late(self) -> HTTPError:
        """What is answered when a call took longer than `timeout` seconds."""
        return late(self.slot, self.timeout)


def _asked(query: bytes) -> Asked:
    return decode_query(parse_qsl(query.decode("latin-1"), keep_blank_values=True), Asked)


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
