"""The Open Inference Protocol (v2), which clients of Triton, KServe and MLServer speak.

Format: https://github.com/kserve/open-inference-protocol; errors are `{"error": ...}`.
"""

import re
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from bentos.models.calls import Codecs, Models, Row, arrived, ask, find, standing
from bentos.protocols import V2, Inference, V2Call
from bentos.serving.release import Release
from bentos.serving.slot import Slot
from bentos.tensors import BadInput, Batch, Schema
from bentos.web.app import to_json
from bentos.web.body import read
from bentos.web.endpoint import NOT_READY, Answer, Endpoint
from bentos.web.errors import JSON, HTTPError, Problem, UnprocessableBody
from bentos.web.headers import VERSION_HEADER, spelled
from bentos.web.hot import unfit
from bentos.web.metrics import ROUTE

LENGTH = "inference-header-content-length"
BINARY = "application/octet-stream"
NAME, VERSION = "ascenso", "2"
EXTENSIONS = ["binary_tensor_data"]
INDEX_BYTES = 64 * 1024
LONGEST = re.compile(r"[0-9]{1,12}")


class Entry(msgspec.Struct, frozen=True):
    """A version in the index of the repository."""

    name: str
    version: str
    state: str
    reason: str


class IndexAsked(msgspec.Struct):
    """What a call for the index may say."""

    ready: bool = False


class OpenInference:
    """The endpoints, for the models of a rack; a call is given up after `timeout` seconds."""

    def __init__(self, rack: Models, timeout: float) -> None:
        self._rack = rack
        self._timeout = timeout
        self._codecs = Codecs(lambda *about: V2(inference(*about)))

    @property
    def endpoints(self) -> list[Endpoint]:
        """What the protocol names, below /v2."""
        ready = {200: Answer("They do"), 503: Answer("Some do not yet")}
        return [
            Endpoint("GET", "/v2", self._server, "The server", {200: Answer("Its name")}),
            Endpoint(
                "GET", "/v2/health/live", self._alive, "Whether it answers", {200: Answer("Yes")}
            ),
            Endpoint("GET", "/v2/health/ready", self._ready, "Whether all models serve", ready),
            Endpoint(
                "POST",
                "/v2/repository/index",
                self._index,
                "All versions that serve, are looked at, or were refused",
                {200: Answer("Name, version, state and reason of each")},
                body=IndexAsked,
                examples={"those that serve": {"ready": True}},
            ),
            *self._of_model("/v2/models/{name}"),
            *self._of_model("/v2/models/{name}/versions/{version}"),
        ]

    def _of_model(self, place: str) -> list[Endpoint]:
        """What is asked of a model, or of a version of it that stands."""
        known = {200: Answer("It"), 404: Answer("No such model, or another version"), **NOT_READY}
        infer = "Answers of a model, by the Open Inference Protocol"
        return [
            Endpoint("POST", f"{place}/infer", self._infer, infer, known, body=Any),
            Endpoint("GET", f"{place}/ready", self._model_ready, "Whether a model serves", known),
            Endpoint("GET", place, self._metadata, "What a model takes and gives", known),
        ]

    async def _server(self, request: Request) -> Response:
        return to_json({"name": NAME, "version": VERSION, "extensions": EXTENSIONS})

    async def _alive(self, request: Request) -> Response:
        return to_json({"live": True})

    async def _ready(self, request: Request) -> Response:
        ready = self._rack.ready
        return to_json({"ready": ready}, 200 if ready else 503)

    async def _index(self, request: Request) -> Response:
        try:
            asked = _asked(await read(request.scope, request.receive, INDEX_BYTES))
        except HTTPError as error:
            return _refusal(error)
        return to_json(index(self._rack, asked.ready))

    async def _model_ready(self, request: Request) -> Response:
        try:
            slot, _ = self._standing(request)
        except HTTPError as error:
            return _refusal(error)
        return to_json({"name": slot.name, "ready": True})

    async def _metadata(self, request: Request) -> Response:
        try:
            slot, release = self._standing(request)
        except HTTPError as error:
            return _refusal(error)
        return to_json(self._codecs.of(slot, release).model.metadata(list(slot.standing)))

    async def _infer(self, request: Request) -> Response:
        try:
            return await self._answer(request)
        except HTTPError as error:
            return _refusal(error)

    async def _answer(self, request: Request) -> Response:
        slot = find(self._rack, request.path_params["name"])
        request.scope[ROUTE] = f"{slot.name}/infer"
        await arrived(slot, self._timeout)
        self._standing(request)
        body = await read(request.scope, request.receive, slot.limits.body_bytes)
        length, calls = _length(request), list[V2Call]()

        def decoded(release: Release) -> Batch:
            calls[:] = [self._codecs.of(slot, release).decode(body, length)]
            return calls[0].batch

        answers, release = await ask(slot, decoded, self._timeout, version=_version(request))
        try:
            given, header = self._codecs.of(slot, release).encode(answers, calls[0])
        except BadInput as error:
            raise unfit(error) from None
        headers = {VERSION_HEADER: spelled(str(release))}
        if header is None:
            return Response(given, headers=headers, media_type=JSON)
        return Response(given, headers=headers | {LENGTH: str(header)}, media_type=BINARY)

    def _standing(self, request: Request) -> tuple[Slot[Row, Row], Release]:
        """The slot, and its live release or the one of the version that is named."""
        slot = find(self._rack, request.path_params["name"])
        return slot, standing(slot, _version(request))


def inference(release: Release, schema: Schema, most: int) -> Inference:
    """A release as the protocol has it."""
    return Inference(schema, release.version.name, release.version.version, most)


def index(rack: Models, ready: bool) -> list[Entry]:
    """The versions of all promoted models, or those alone that are ready."""
    entries = [entry for slot in rack.slots for entry in _entries(slot)]
    return [entry for entry in entries if not ready or entry.state == "READY"]


def _entries(slot: Slot[Row, Row]) -> list[Entry]:
    """Those that answer, and then the candidate, or the one that was refused."""
    found = [Entry(slot.name, version, "READY", "") for version in slot.standing]
    if slot.candidate:
        found.append(Entry(slot.name, slot.candidate.version, "LOADING", slot.trouble))
    elif slot.refused:
        why = f"{slot.refused.reason}: {slot.refused.message}"
        found.append(Entry(slot.name, slot.refused.version, "UNAVAILABLE", why))
    return found


def _version(request: Request) -> str | None:
    version: str | None = request.path_params.get("version")
    return version


def _asked(body: bytes) -> IndexAsked:
    try:
        return msgspec.json.decode(body or b"{}", type=IndexAsked)
    except (ValueError, RecursionError) as error:
        problem = Problem(["body"], f"the request is none of this protocol: {error}", "json")
        raise UnprocessableBody(problem) from None


def _length(request: Request) -> int | None:
    text = request.headers.get(LENGTH)
    if text is None:
        return None
    if not LONGEST.fullmatch(text):
        message = f"the header {LENGTH} is {text[:40]!r}, and no number of bytes"
        raise UnprocessableBody(Problem(["header", LENGTH], message, "wrong_value"))
    return int(text)


def _refusal(error: HTTPError) -> Response:
    response = to_json({"error": error.sentence}, 400 if error.status == 422 else error.status)
    response.headers.update(error.headers)
    return response
